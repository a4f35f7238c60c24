# SPDX-License-Identifier: Apache-2.0
"""``python tests/inpaint_goldens.py [--out FOLDER] [FAMILY...]``: small networks for inpainting, and what diffusers' pipelines draw with them.

FOLDER/FAMILY-inpaint is the exporter's bundle of the family's build with nine input channels, FOLDER/goldens/FAMILY-inpaint what the pipeline took and
gave: image.png, mask.png, latents.npy after the last step, and settings.json. Of sd15, which the Java tests draw with, the same weights as a single file
are checkpoint/sd15-inpaint.safetensors beside FOLDER. The noise is the engine's, and the autoencoder's means are taken for its samples.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_inpaint
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_inpaint
from family_goldens import PROMPT, RESOURCES, shorten
from PIL import Image
from test_single_file import single_file

import families
from asg4j_export.export import export
from reference.philox import normals

#: of files that the Java tests hold
TESTED = "sd15"
FAMILIES = (TESTED, "sd21", "sdxl")
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
def golden(family: str, checkpoint: Path, out: Path) -> None:
    if family == "sdxl":
        pipeline = StableDiffusionXLInpaintPipeline.from_pretrained(checkpoint, torch_dtype=torch.float32)
    else:
        pipeline = StableDiffusionInpaintPipeline.from_pretrained(
            checkpoint, torch_dtype=torch.float32, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    # The engine's DDIM ends at the first noise level; XL's scheduler, which is another one, does not say so.
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False, set_alpha_to_one=False)
    cells = pipeline.unet.config.sample_size
    image, mask = pictures(8 * cells)
    noise = torch.from_numpy(normals(SEED, np.arange(4 * cells * cells)).astype(np.float32)).reshape(1, 4, cells, cells)
    for module in (pipeline_stable_diffusion_inpaint, pipeline_stable_diffusion_xl_inpaint):
        module.randn_tensor = lambda *_, **__: noise.clone()
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
    print(f"{family}: latents up to {latents.abs().max():.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESOURCES)
    parser.add_argument("families", nargs="*", default=[TESTED], metavar="FAMILY", help=", ".join(FAMILIES))
    arguments = parser.parse_args()
    out = arguments.out
    for family in arguments.families:
        case = f"{family}-inpaint"
        with tempfile.TemporaryDirectory() as scratch:
            checkpoint = families.write(family, Path(scratch) / family, unet=dict(in_channels=9))
            export(checkpoint, out / case, name=case, licence="Apache-2.0")
            shorten(out / case)
            if family == TESTED:
                file = out.parent / "checkpoint" / f"{case}.safetensors"
                file.parent.mkdir(parents=True, exist_ok=True)
                single_file(checkpoint, file)
                file.chmod(0o644)
            golden(family, checkpoint, out / "goldens" / case)


if __name__ == "__main__":
    main()
