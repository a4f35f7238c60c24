# SPDX-License-Identifier: Apache-2.0
"""The authors' CutDiffusion pipeline on the demo checkpoint, with the engine's noise, permutations and jitter, against ``./asg generate --method cutdiffusion``.

``python tests/official_cutdiffusion.py CUTDIFFUSION_PY [--steps N] [--seed N]``; CUTDIFFUSION_PY is cutdiffusion.py of lmbxmu/CutDiffusion (Apache-2.0).
All views of a step go into one batch: with smaller ones the pipeline scales the input of every batch but the first by the next
step's sigma, since its scheduler has counted on (README's view_batch_size 1 does so).
"""

from __future__ import annotations

import time
import types
from pathlib import Path

import numpy as np
import torch
from official import CHANNELS, FACTOR, GUIDANCE, NATIVE, Run, conditioning, module, pipeline, replaced, report

from reference import philox


class Choices:
    """The random choices of the engine, in the order in which the pipeline asks for them."""

    def __init__(self, seed: int, sigma: float):
        self.seed, self.sigma, self.step = seed, sigma, -1
        self.patch = self.position = self.view = self.axis = 0
        self.permutations = None

    def noise(self, *arguments, **keywords):
        plane = CHANNELS * NATIVE * NATIVE
        values = philox.normals(self.seed, np.arange(plane) + self.patch * plane)
        self.patch += 1
        return torch.from_numpy(np.float32(values).reshape(1, CHANNELS, NATIVE, NATIVE)) * self.sigma

    def randperm(self, patches: int):
        if self.position == 0:
            self.step += 1
            self.permutations = philox.permutations(self.seed, self.step, patches, CHANNELS * NATIVE * NATIVE)
        choice = torch.from_numpy(np.int64(self.permutations[:, self.position]))
        self.position = (self.position + 1) % (CHANNELS * NATIVE * NATIVE)
        return choice

    def randint(self, low: int, high: int) -> int:
        """Of a view first the shift along x, then along y; a view of all nine has both."""
        if self.view == 0 and self.axis == 0:
            self.step += 1
        axis = 1 - self.axis
        word = philox.words(self.seed, self.view * 2 + axis, self.step, philox.JITTER)[0]
        self.view, self.axis = (self.view + 1) % 9 if self.axis else self.view, 1 - self.axis
        return low + int(philox.mulhi(word, high - low + 1))


def published(file: Path, side: int, steps: int, seed: int) -> Run:
    authors = module(file)
    made = pipeline(authors, steps)
    choices = Choices(seed, float(made.scheduler.init_noise_sigma))
    made.prepare_latents = choices.noise
    authors.random = types.SimpleNamespace(randint=choices.randint)
    kept = []  # the pipeline returns an empty list for latents; its callback sees them
    text = conditioning(made)
    with replaced(torch, "randperm", choices.randperm):
        started = time.monotonic()
        made(**text, height=side, width=side, num_inference_steps=steps, guidance_scale=GUIDANCE, multi_guidance_scale=GUIDANCE, view_batch_size=16,
             stride=NATIVE // 2, shuffle=True, proportion=0.5, output_type="latent", callback=lambda i, t, x: kept.append(x.numpy().copy()))
        return Run(kept[-1][0], time.monotonic() - started, 0.0)


if __name__ == "__main__":
    report(__doc__, 2 * NATIVE * FACTOR, {"as published": published}, "cutdiffusion", "stage2-*-latents.npy")
