# SPDX-License-Identifier: Apache-2.0
"""``python tests/checkpoint_goldens.py [CASE...]``: what diffusers draws with variants of the small single file of Stable Diffusion 1.5's build.

The Java tests make the variants from checkpoint/sd15.safetensors. goldens/CASE holds latents.npy [1, 4, h, w] after the last step and
settings.json; the noise is the engine's. A latent consistency model has one matrix more, which is checkpoint/lcm-matrix.safetensors.
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
from diffusers import DDIMScheduler, LatentConsistencyModelPipeline, LCMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.schedulers import scheduling_lcm
from family_goldens import PROMPT
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
    save_file({"model.diffusion_model.time_embed." + PROJECTION: matrix}, RESOURCES / "lcm-matrix.safetensors")
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


CASES = {"sd15-lcm": _lcm, "sd15-zero-snr": _zero_snr}


@torch.no_grad()
def main(names: list[str]) -> None:
    for case in names or CASES:
        with tempfile.TemporaryDirectory() as scratch:
            checkpoint = families.write("sd15", Path(scratch) / "sd15")
            pipeline, settings = CASES[case](checkpoint)
            pipeline.set_progress_bar_config(disable=True)
            cells = pipeline.unet.config.sample_size
            latents = pipeline(
                PROMPT, height=8 * cells, width=8 * cells, num_inference_steps=settings["steps"], guidance_scale=settings["guidance_scale"],
                latents=noise(cells), output_type="latent",
            ).images
        out = RESOURCES.parent / "families" / "goldens" / case
        out.mkdir(parents=True, exist_ok=True)
        np.save(out / "latents.npy", latents.numpy())
        (out / "settings.json").write_text(json.dumps({"prompt": PROMPT, "seed": SEED, "size": 8 * cells} | settings, indent=1) + "\n")
        print(case, f"latents up to {latents.abs().max():.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
