# SPDX-License-Identifier: Apache-2.0
"""The authors' FreCaS wrappers around diffusers' pipeline on the demo checkpoint, with the engine's noise, against ``./asg generate --method relay --preset frecas``.

``python tests/official_frecas.py CHECKOUT [--side N] [--steps N] [--seed N]``; CHECKOUT is one of xtudbxk/FreCaS. Its settings are those of its test.sh for
SDXL at 2048 x 2048, guidance scaled to 5. Cross-attention maps are not mixed (its ``camap_wrapper`` is left out). Run twice. "as published": the picture between
the sizes is encoded as a sample of the VAE's distribution, here from a fixed seed. "mean": as its mean.
"""

from __future__ import annotations

import sys
import time
import types
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import DDIMScheduler
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from official import CHANNELS, FACTOR, GUIDANCE, NATIVE, Run, conditioning, pipeline, replaced, report

from reference import philox

#: of its test.sh: steps and last timesteps of the two stages, exponent, guidance of high and low frequencies over that of the first stage
SHARES, ENDS, GAMMA, BANDS = (0.8, 0.2), (200, 0), 1.5, (35 / 7.5, 1.0)


@torch.no_grad()
def published(checkout: Path, side: int, steps: int, seed: int, mean: bool = False) -> Run:
    if "loguru" not in sys.modules:  # it only logs
        logger = types.SimpleNamespace(info=print, error=print, warning=print)
        logger.opt = lambda **_: logger
        sys.modules["loguru"] = types.SimpleNamespace(logger=logger)  # type: ignore[assignment]
    sys.path.insert(0, str(checkout))
    try:
        from utils.facfg_wrapper import facfg_wrapper
        from utils.scheduler_wrapper import scheduler_wrapper
    finally:
        sys.path.remove(str(checkout))
    made = pipeline(diffusers, steps, "StableDiffusionXLPipeline")
    # what SDXL's scheduler_config.json says beside the demo's
    made.scheduler = DDIMScheduler.from_config(made.scheduler.config, clip_sample=False, set_alpha_to_one=False)
    sizes = [(NATIVE * FACTOR,) * 2, (side, side)]
    facfg_wrapper(made, gs=GUIDANCE, gsw=[GUIDANCE * band for band in BANDS], sizes=[(h // FACTOR, w // FACTOR) for h, w in sizes])
    counts = [round(steps * share) for share in SHARES]
    scheduler_wrapper(made, [dict(endtime=e, steps=n, size=s) for e, n, s in zip(ENDS, counts, sizes, strict=True)], gamma=GAMMA)
    start = philox.normals(seed, np.arange(CHANNELS * NATIVE**2)).reshape(1, CHANNELS, NATIVE, NATIVE)

    def noise(latents: torch.Tensor) -> torch.Tensor:
        values = philox.normals(seed, np.arange(latents.numel()), 2, philox.PHASE_NOISE)
        return torch.from_numpy(np.float32(values).reshape(latents.shape))

    def sample(self: DiagonalGaussianDistribution, generator: object = None) -> torch.Tensor:
        drawn = torch.randn(self.mean.shape, generator=torch.Generator().manual_seed(seed))
        return self.mean if mean else self.mean + self.std * drawn

    started = time.monotonic()
    with replaced(torch, "randn_like", noise), replaced(DiagonalGaussianDistribution, "sample", sample):
        latents = made(**conditioning(made), num_inference_steps=steps, guidance_scale=GUIDANCE, latents=torch.from_numpy(np.float32(start)),
                       output_type="latent").images
    drawing = time.monotonic()
    made.vae.decode(latents / made.vae.config.scaling_factor)
    return Run(latents[0].numpy(), time.monotonic() - started, time.monotonic() - drawing)


def of_mean(checkout: Path, side: int, steps: int, seed: int) -> Run:
    return published(checkout, side, steps, seed, mean=True)


if __name__ == "__main__":
    theirs = {"as published": published, "mean": of_mean}
    report(__doc__, 2 * NATIVE * FACTOR, theirs, "relay", "relay2-*-latents.npy", ("--preset", "frecas"))
