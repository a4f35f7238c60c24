# SPDX-License-Identifier: Apache-2.0
"""The authors' DiffuseHigh pipeline on the demo checkpoint, with the engine's noise, against a relay whose stages are those of the preset ``diffusehigh``.

``python tests/official_diffusehigh.py PIPELINE_PY [--side N] [--steps N] [--seed N]``; PIPELINE_PY is pipeline_diffusehigh_sdxl.py of yhyun225/DiffuseHigh (MIT).
Needs pytorch_wavelets. Compared without the structure that is held in the first steps: theirs is of pictures (a decode and an encode in each of them), the preset's of
latents. The blur of the sharpening, which is drawn from 0.1 to 2 there, is 1.05. Run thrice. "as published": with its structure. "no structure": without. "as ours": without,
and pictures are enlarged with anti-aliasing, clamped before they are encoded, and encoded whole, where the pipeline does none of the three.
"""

from __future__ import annotations

import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from official import CHANNELS, FACTOR, GUIDANCE, NATIVE, Run, conditioning, module, pipeline, replaced, report

from reference import philox, relay

LEVEL = 0.3  # of the steps are drawn at each larger size, 15 of 50 there
STAGE = "0.7..1 guidance=2 sharpen=1 told=native"


class Blur:
    """torchvision's GaussianBlur of 3 x 3 with one standard deviation."""

    def __init__(self, kernel_size: int, sigma: float):
        side = np.exp(-1 / (2 * sigma**2))
        taps = torch.tensor([side, 1, side]) / (1 + 2 * side)
        self.kernel = (taps[:, None] * taps[None, :]).float().expand(3, 1, kernel_size, kernel_size)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), self.kernel, groups=3)


def _draw(file: Path, side: int, steps: int, seed: int, structure: bool, ours: bool) -> Run:
    sys.modules.setdefault("torchvision.transforms", types.SimpleNamespace(GaussianBlur=Blur))  # type: ignore[arg-type]
    # which pytorch_wavelets asks for coefficients that are not needed
    sys.modules.setdefault("pkg_resources", types.SimpleNamespace(resource_stream=None))  # type: ignore[arg-type]
    authors = module(file)
    authors.GaussianBlur = Blur
    made = pipeline(authors, steps, "DiffuseHighSDXLPipeline")
    stages = iter(range(2, 9))

    def noise(shape: tuple[int, ...], *_: object, **__: object) -> torch.Tensor:
        number = next(stages)
        return torch.from_numpy(np.float32(philox.normals(seed, np.arange(int(np.prod(shape))), number, philox.PHASE_NOISE)).reshape(shape))

    def step(model_output: torch.Tensor, t: torch.Tensor, sample: torch.Tensor, **given: Any) -> tuple[torch.Tensor]:
        """Its own, which asks for noise that it does not use."""
        with replaced(authors, "randn_tensor", lambda shape, **_: torch.zeros(shape)):
            return real_step(model_output, t, sample, **given)

    def decode(latents: torch.Tensor, output_type: str = "pt") -> torch.Tensor:
        if torch.is_tensor(latents):
            kept.append(latents[0].numpy().copy())
        started = time.monotonic()
        image = real_decode(latents, output_type)
        seconds.append(time.monotonic() - started)
        return image

    kept: list[np.ndarray] = []
    seconds: list[float] = []
    real_step, real_decode, real_sharpening = made.edm_scheduler_step, made._decode_vae_latent, authors.gaussian_blur_image_sharpening
    made.edm_scheduler_step, made._decode_vae_latent = step, decode
    made.enable_vae_tiling = (lambda: None) if ours else made.vae.enable_tiling
    if ours:
        authors.gaussian_blur_image_sharpening = lambda image, **given: real_sharpening(image, **given).clamp(0, 1)
        authors.F = types.SimpleNamespace(interpolate=lambda x, size, mode, align_corners: F.interpolate(x, size, mode=mode, antialias=True).clamp(0, 1))
    sides = [side * 3 // 4, side]
    start = torch.from_numpy(np.float32(philox.normals(seed, np.arange(CHANNELS * NATIVE**2)).reshape(1, CHANNELS, NATIVE, NATIVE)))
    started = time.monotonic()
    with replaced(authors, "randn_tensor", noise):
        made(**conditioning(made), num_inference_steps=steps, guidance_scale=GUIDANCE, diffusehigh_guidance_scale=2 * GUIDANCE, latents=start, height=NATIVE * FACTOR,
             width=NATIVE * FACTOR, target_height=sides, target_width=sides, noising_steps=round(steps * LEVEL), enable_dwt=structure,
             sharpening_sigma=relay.SHARPEN_BLUR, output_type="pt", return_dict=False)
    return Run(kept[-1], time.monotonic() - started, sum(seconds))


def published(file: Path, side: int, steps: int, seed: int) -> Run:
    return _draw(file, side, steps, seed, structure=True, ours=False)


def no_structure(file: Path, side: int, steps: int, seed: int) -> Run:
    return _draw(file, side, steps, seed, structure=False, ours=False)


def as_ours(file: Path, side: int, steps: int, seed: int) -> Run:
    return _draw(file, side, steps, seed, structure=False, ours=True)


if __name__ == "__main__":
    theirs = {"as published": published, "no structure": no_structure, "as ours": as_ours}
    table = f"1x 0..1 told=native; 1.5x {STAGE}; full {STAGE}"
    report(__doc__, 2 * NATIVE * FACTOR, theirs, "relay", "relay3-*-latents.npy", ("--stages", table, "--scheduler", "euler"))
