# SPDX-License-Identifier: Apache-2.0
"""``python tests/family_goldens.py [--out FOLDER] [FAMILY...]``: the small bundles of the Java tests, and what diffusers' pipelines make of them.

FOLDER/FAMILY is the exporter's bundle of the small checkpoint, with the graphs' inner names shortened (they would be half of the
bytes). FOLDER/goldens/FAMILY holds what the pipeline took and gave, float32: noise.npy [1, C, h, w], hidden.npy [2, T, D] and pooled.npy
[2, P] (unconditional, conditional), latents.npy [1, C, h, w] after the last step, and settings.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from diffusers import DDIMScheduler, DiffusionPipeline

import families
from asg4j_export import storage, templates
from asg4j_export.export import export
from asg4j_export.tracing import fingerprint

RESOURCES = Path(__file__).resolve().parents[2] / "src" / "test" / "resources" / "families"

PROMPT = "A red ball on grass, two blue stars"
STEPS = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESOURCES)
    parser.add_argument("families", nargs="*", default=["sd15", "sd21", "sdxl", "sd3", "sd35"])
    arguments = parser.parse_args()
    out = arguments.out
    for family in arguments.families:
        with tempfile.TemporaryDirectory() as scratch:
            checkpoint = families.write(family, Path(scratch) / family)
            export(checkpoint, out / family, name=family, licence="Apache-2.0")
            shorten(out / family)
            golden(family, checkpoint, out / "goldens" / family)


def shorten(bundle: Path) -> None:
    """Numbers instead of paths as names of nodes and of the tensors between them."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    # The dilated graph last: its weights lie in the plain one, whose bytes move.
    models = {file: onnx.load(file) for file in sorted(bundle.glob("*.onnx"), key=lambda file: "dilated" in file.name)}
    for file, model in models.items():
        templates.shorten(model, set())
        if "dilated" in file.name:
            storage.share(model, bundle / "denoiser.onnx")
        file.write_bytes(model.SerializeToString(deterministic=True))
        manifest["files"][file.name] = fingerprint(file)
    (bundle / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@torch.no_grad()
def golden(family: str, checkpoint: Path, out: Path) -> None:
    pipeline = DiffusionPipeline.from_pretrained(checkpoint, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    network = pipeline.transformer if families.is_transformer(family) else pipeline.unet
    if family == "sd15":  # PNDM keeps state; the engine takes DDIM for it
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    size = network.config.sample_size
    noise = torch.randn(1, network.config.in_channels, size, size, generator=torch.Generator().manual_seed(1))
    scale = 7.0 if families.is_transformer(family) else 5.0
    seen = {}

    def remember(module, arguments, keywords):
        keywords = dict(keywords)
        if "hidden" not in seen:
            seen["hidden"] = keywords["encoder_hidden_states"]
            seen["pooled"] = keywords.get("pooled_projections", (keywords.get("added_cond_kwargs") or {}).get("text_embeds"))

    network.register_forward_pre_hook(remember, with_kwargs=True)
    latents = pipeline(
        PROMPT, height=8 * size, width=8 * size, num_inference_steps=STEPS, guidance_scale=scale, latents=noise.clone(), output_type="latent",
    ).images
    out.mkdir(parents=True, exist_ok=True)
    arrays = {"noise": noise, "hidden": seen["hidden"], "pooled": seen["pooled"], "latents": latents}
    for name, value in arrays.items():
        if value is not None:
            np.save(out / f"{name}.npy", value.numpy())
    settings = {"prompt": PROMPT, "steps": STEPS, "guidance_scale": scale, "size": 8 * size, "scheduler": type(pipeline.scheduler).__name__}
    (out / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    print(family, {name: tuple(value.shape) for name, value in arrays.items() if value is not None}, f"latents up to {latents.abs().max():.2f}")


if __name__ == "__main__":
    main()
