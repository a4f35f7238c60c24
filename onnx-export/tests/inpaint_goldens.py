# SPDX-License-Identifier: Apache-2.0
"""``python tests/inpaint_goldens.py [--out FOLDER]``: a small network for inpainting for the Java tests, and what diffusers' pipeline draws with it.

FOLDER/sd15-inpaint is the exporter's bundle of Stable Diffusion 1.5's build with nine input channels, FOLDER/goldens/sd15-inpaint what the
pipeline took and gave: image.png, mask.png, latents.npy after the last step, and settings.json. The same weights as a single file are
checkpoint/sd15-inpaint.safetensors beside FOLDER. The noise is the engine's, and the autoencoder's means are taken for its samples.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionInpaintPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_inpaint
from family_goldens import PROMPT, RESOURCES, shorten
from PIL import Image
from test_single_file import single_file

import families
from asg4j_export.export import export
from reference.philox import normals

CASE = "sd15-inpaint"
SEED = 3
STEPS = 8
STRENGTH = 0.8
GUIDANCE = 5.0


def pictures(size: int) -> tuple[Image.Image, Image.Image]:
    """A picture of rings and a ramp, and a mask whose borders lie within latent cells."""
    y, x = np.mgrid[0:size, 0:size] / size
    rings = np.sin(30 * np.hypot(x - 0.5, y - 0.3)) > 0
    mask = np.zeros((size, size), np.uint8)
    mask[size // 4 + 3 : 3 * size // 4 + 5, size // 3 : size - 13] = 255
    return Image.fromarray((255 * np.stack([y, rings, 1 - x], 2)).astype(np.uint8)), Image.fromarray(mask)


@torch.no_grad()
def golden(checkpoint: Path, out: Path) -> None:
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(
        checkpoint, torch_dtype=torch.float32, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    cells = pipeline.unet.config.sample_size
    image, mask = pictures(8 * cells)
    noise = torch.from_numpy(normals(SEED, np.arange(4 * cells * cells)).astype(np.float32)).reshape(1, 4, cells, cells)
    pipeline_stable_diffusion_inpaint.randn_tensor = lambda *_, **__: noise.clone()
    DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mean
    latents = pipeline(
        PROMPT, image=image, mask_image=mask, height=8 * cells, width=8 * cells, strength=STRENGTH, num_inference_steps=STEPS,
        guidance_scale=GUIDANCE, output_type="latent",
    ).images
    out.mkdir(parents=True, exist_ok=True)
    image.save(out / "image.png")
    mask.save(out / "mask.png")
    np.save(out / "latents.npy", latents.numpy())
    settings = {"prompt": PROMPT, "seed": SEED, "steps": STEPS, "strength": STRENGTH, "guidance_scale": GUIDANCE, "size": 8 * cells}
    (out / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    print(f"latents up to {latents.abs().max():.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESOURCES)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = families.write("sd15", Path(scratch) / "sd15", unet=dict(in_channels=9))
        export(checkpoint, out / CASE, name=CASE, licence="Apache-2.0")
        shorten(out / CASE)
        file = out.parent / "checkpoint" / f"{CASE}.safetensors"
        single_file(checkpoint, file)
        file.chmod(0o644)
        golden(checkpoint, out / "goldens" / CASE)


if __name__ == "__main__":
    main()
