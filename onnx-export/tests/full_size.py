# SPDX-License-Identifier: Apache-2.0
"""The families at their published sizes with random weights: what their export and their loading take. Some minutes each; SDXL 16 GB of disk.

``python tests/full_size.py checkpoint FAMILY FOLDER`` writes a checkpoint in halves, all networks in their published configurations; only the tokenizers
are small, and SD3 is without T5; sdxl-half is SDXL with half of its transformer layers. Then ``asg4j-export model FOLDER --out BUNDLE --precision fp16`` as for
any other. ``python tests/full_size.py step BUNDLE`` loads the exported denoiser of SDXL without prepacking and does one guided step on the CPU, at native size.
Both print the process's peak memory.

``python tests/full_size.py refiner SDXL FOLDER`` writes the configurations of SDXL's refiner beside its base's, for ``asg4j-export template``: no weights.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from pathlib import Path

import numpy as np

#: text encoders and autoencoders as they are published: CLIP ViT-L/14, OpenCLIP ViT-H/14 less its last layer, OpenCLIP ViT-bigG/14
CLIP_L = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, hidden_act="quick_gelu", projection_dim=768)
CLIP_H = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, hidden_act="gelu", projection_dim=512)
CLIP_BIG_G = dict(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, hidden_act="gelu", projection_dim=1280)
VAE = dict(
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, block_out_channels=(128, 256, 512, 512),
    layers_per_block=2, latent_channels=4,
)
VAES = {
    "sdxl": VAE | dict(sample_size=1024, scaling_factor=0.13025, force_upcast=True),
    "sd3": VAE | dict(sample_size=1024, latent_channels=16, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
}


def checkpoint(family: str, folder: Path) -> None:
    import torch
    from diffusers import AutoencoderKL, StableDiffusion3Pipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    import families

    def text(model: type, config: dict):
        return model(CLIPTextConfig(**config, vocab_size=49408, max_position_embeddings=77, bos_token_id=0, eos_token_id=2, pad_token_id=1))

    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)  # the weights are drawn in halves: no second copy
    parts = {
        "transformer" if family == "sd3" else "unet": families.denoiser(family, published=True),
        "vae": AutoencoderKL(**VAES.get(family.removesuffix("-half"), VAE | dict(sample_size=512))),
    }
    second = dict(text_encoder_2=text(CLIPTextModelWithProjection, CLIP_BIG_G)) if family.startswith("sdxl") or family == "sd3" else {}
    first = CLIPTextModelWithProjection if family == "sd3" else CLIPTextModel
    parts |= {"text_encoder": text(first, CLIP_H if family.startswith("sd21") else CLIP_L)} | second
    torch.set_default_dtype(torch.float32)
    tokenizers = dict(tokenizer=families._clip_tokenizer("!" if family.startswith("sd21") else None))
    if second:
        tokenizers["tokenizer_2"] = families._clip_tokenizer("!")
    if family == "sd3":
        pipeline = StableDiffusion3Pipeline(**parts, **tokenizers, text_encoder_3=None, tokenizer_3=None, scheduler=families.scheduler(family))
    elif family.startswith("sdxl"):
        pipeline = StableDiffusionXLPipeline(**parts, **tokenizers, scheduler=families.scheduler(family))
    else:
        pipeline = StableDiffusionPipeline(**parts, **tokenizers, scheduler=families.scheduler(family), safety_checker=None, feature_extractor=None,
                                           requires_safety_checker=False)
    pipeline.save_pretrained(folder, max_shard_size="3GB")
    for name, network in parts.items():
        print(f"{name}: {sum(p.numel() for p in network.parameters()):,} parameters")


def refiner(base: Path, folder: Path) -> None:
    import families

    for part in ("text_encoder_2", "tokenizer_2", "vae", "scheduler"):
        shutil.copytree(base / part, folder / part)
    unet = json.loads((base / "unet" / "config.json").read_text()) | families.PUBLISHED_UNETS["sdxl-refiner"]
    (folder / "unet").mkdir()
    (folder / "unet" / "config.json").write_text(json.dumps(unet, indent=2))
    index = json.loads((base / "model_index.json").read_text())
    index |= dict(_class_name="StableDiffusionXLImg2ImgPipeline", force_zeros_for_empty_prompt=False, requires_aesthetics_score=True)
    index |= dict.fromkeys(("text_encoder", "tokenizer"), [None, None])
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))


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
    what, *arguments = sys.argv[1:]
    {
        "checkpoint": lambda family, folder: checkpoint(family, Path(folder)), "step": lambda bundle: step(Path(bundle)),
        "refiner": lambda base, folder: refiner(Path(base), Path(folder)),
    }[what](*arguments)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
