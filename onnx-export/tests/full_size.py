# SPDX-License-Identifier: Apache-2.0
"""SDXL's UNet at its published size with random weights: what its export and its loading take. Minutes, and about 12 GB of disk.

``python tests/full_size.py checkpoint FOLDER`` writes a checkpoint in halves; its text encoders have SDXL's widths but two layers, its
autoencoder is small. ``python tests/full_size.py step BUNDLE`` loads the exported denoiser without prepacking and does one guided step on
the CPU, at native size. Both print the process's peak memory.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np


def checkpoint(folder: Path) -> None:
    import families
    import torch
    from diffusers import StableDiffusionXLPipeline

    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)  # the weights are drawn in halves: no second copy
    unet = families.denoiser("sdxl", published=True)
    torch.set_default_dtype(torch.float32)
    pipeline = StableDiffusionXLPipeline(
        unet=unet, scheduler=families.scheduler("sdxl"), vae=families._vae("sdxl").half(),
        text_encoder=families._clip(768).half(), tokenizer=families._clip_tokenizer(),
        text_encoder_2=families._clip(1280, projects=1280, activation="gelu").half(), tokenizer_2=families._clip_tokenizer("!"),
    )
    pipeline.save_pretrained(folder)
    print(f"{sum(p.numel() for p in unet.parameters()):,} parameters")


def step(bundle: Path) -> None:
    import onnxruntime

    manifest = json.loads((bundle / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        print(f"{name}: {entry['bytes']:,} bytes")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_prepacking", "1")
    started = time.monotonic()
    session = onnxruntime.InferenceSession(
        str(bundle / "denoiser.onnx"), options, providers=["CPUExecutionProvider"], disabled_optimizers=["ConstantFolding"])
    print(f"loaded in {time.monotonic() - started:.1f} s")
    rng = np.random.default_rng(0)
    side = manifest["latent"]["native_size"][0]
    weights = np.zeros((2, 77), np.float32)
    weights[1, 1:6] = 1
    inputs = {
        "sample": np.repeat(rng.standard_normal((1, 4, side, side), np.float32), 2, 0),
        "timestep": np.full(2, 981, np.float32),
        "encoder_hidden_states": rng.standard_normal((2, 77, 2048), np.float32),
        "text_embeds": rng.standard_normal((2, 1280), np.float32),
        "time_ids": np.tile(np.float32([2048, 2048, 0, 0, 2048, 2048]), (2, 1)),
        "token_weights": weights,
    }
    started = time.monotonic()
    noise, *maps = session.run(None, inputs)
    print(f"one guided step in {time.monotonic() - started:.0f} s on one thread")
    guided = noise[0] + 5 * (noise[1] - noise[0])
    assert np.isfinite(guided).all() and all(np.isfinite(m).all() for m in maps)
    print("noise", noise.shape, "maps", {mask["output"]: m.shape for mask, m in zip(manifest["denoiser"]["masks"], maps)})
    print("maps of the conditional row from", [f"{m[1].min():.3f} to {m[1].max():.3f}" for m in maps])


if __name__ == "__main__":
    {"checkpoint": checkpoint, "step": step}[sys.argv[1]](Path(sys.argv[2]))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
