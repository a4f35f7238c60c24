# SPDX-License-Identifier: Apache-2.0
"""``python tests/checkpoint_goldens.py [CASE...]``: what diffusers draws with small single files that are opened in Java tests.

goldens/CASE holds latents.npy [1, 4, h, w] after the last step and settings.json; the noise is the engine's. The variants of Stable Diffusion
1.5's build are made from checkpoint/sd15.safetensors; a latent consistency model has one matrix more, which is
checkpoint/lcm-matrix.safetensors. SDXL's refiner begins with image.png, whose means are taken for the autoencoder's samples.
"""

from __future__ import annotations

import json
import sys
import tempfile
from itertools import count
from pathlib import Path

import numpy as np
import torch
from checkpoint_resources import RESOURCES
from diffusers import (
    DDIMScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    UNet2DConditionModel,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_img2img
from diffusers.schedulers import scheduling_lcm
from family_goldens import PROMPT
from inpaint_goldens import pictures
from safetensors.torch import save_file

import families
from reference.philox import STEP_NOISE, normals

SEED = 3
WIDTH = 256  # of the guidance scale's embedding, as published models have it
PROJECTION = "cond_proj.weight"


def noise(cells: int, step: int | None = None) -> torch.Tensor:
    """The engine's: of the beginning, or of a step."""
    element = np.arange(4 * cells * cells)
    values = normals(SEED, element) if step is None else normals(SEED, element, step, STEP_NOISE)
    return torch.from_numpy(values.astype(np.float32)).reshape(1, 4, cells, cells)


def _lcm(checkpoint: Path) -> tuple[LatentConsistencyModelPipeline, dict[str, float]]:
    plain = StableDiffusionPipeline.from_pretrained(checkpoint, torch_dtype=torch.float32)
    unet = UNet2DConditionModel(**families.SMALL_UNETS["sd15"] | dict(time_cond_proj_dim=WIDTH))
    torch.manual_seed(0)
    matrix = (torch.randn(unet.config.block_out_channels[0], WIDTH) / 8).half()
    file = RESOURCES / "lcm-matrix.safetensors"
    save_file({"model.diffusion_model.time_embed." + PROJECTION: matrix}, file)
    file.chmod(0o644)
    unet.load_state_dict(plain.unet.state_dict() | {"time_embedding." + PROJECTION: matrix.float()})
    steps = count()
    scheduling_lcm.randn_tensor = lambda *_, **__: noise(unet.config.sample_size, next(steps))
    scheduler = LCMScheduler.from_config(plain.scheduler.config, clip_sample=False)
    parts = dict(vae=plain.vae, text_encoder=plain.text_encoder, tokenizer=plain.tokenizer, unet=unet.eval(), scheduler=scheduler)
    pipeline = LatentConsistencyModelPipeline(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    return pipeline, {"steps": 8, "guidance_scale": 8.5}


def _zero_snr(checkpoint: Path) -> tuple[StableDiffusionPipeline, dict[str, float]]:
    pipeline = StableDiffusionPipeline.from_pretrained(checkpoint, torch_dtype=torch.float32)
    pipeline.scheduler = DDIMScheduler.from_config(
        pipeline.scheduler.config, clip_sample=False, prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing")
    return pipeline, {"steps": 8, "guidance_scale": 5.0}


def _refiner(checkpoint: Path) -> tuple[StableDiffusionXLImg2ImgPipeline, dict[str, float]]:
    pipeline = StableDiffusionXLImg2ImgPipeline.from_pretrained(checkpoint, torch_dtype=torch.float32, add_watermarker=False)
    cells = pipeline.unet.config.sample_size
    pipeline_stable_diffusion_xl_img2img.randn_tensor = lambda *_, **__: noise(cells)
    DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mean
    return pipeline, {"steps": 50, "guidance_scale": 5.0, "strength": 0.3}


#: a family's checkpoint, and what draws with it
CASES = {"sd15-lcm": ("sd15", _lcm), "sd15-zero-snr": ("sd15", _zero_snr), "sdxl-refiner": ("sdxl-refiner", _refiner)}


@torch.no_grad()
def main(names: list[str]) -> None:
    for case in names or CASES:
        family, make = CASES[case]
        out = RESOURCES.parent / "families" / "goldens" / case
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            checkpoint = families.write(family, Path(scratch) / family)
            pipeline, settings = make(checkpoint)
            pipeline.set_progress_bar_config(disable=True)
            cells = pipeline.unet.config.sample_size
            if "strength" in settings:
                image = pictures(8 * cells)[0]
                image.save(out / "image.png")
                begin = dict(image=image, strength=settings["strength"])
            else:
                begin = dict(height=8 * cells, width=8 * cells, latents=noise(cells))
            latents = pipeline(
                PROMPT, num_inference_steps=settings["steps"], guidance_scale=settings["guidance_scale"], output_type="latent", **begin,
            ).images
        np.save(out / "latents.npy", latents.numpy())
        (out / "settings.json").write_text(json.dumps({"prompt": PROMPT, "seed": SEED, "size": 8 * cells} | settings, indent=1) + "\n")
        print(case, f"latents up to {latents.abs().max():.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
