# SPDX-License-Identifier: Apache-2.0
"""The authors' DemoFusion pipeline on the demo checkpoint, with the engine's noise and jitter, against ``./asg generate --method demofusion``.

``python tests/official_demofusion.py PIPELINE_PY [--side N] [--steps N] [--seed N]``; PIPELINE_PY is pipeline_demofusion_sdxl.py of PRIS-CV/DemoFusion
(Apache-2.0). Run twice. "as published": its scheduler counts on at every step that it takes, but is reset only before a step and not before it scales the input
of one. So the dilated views (the second call of a step), and any batch of windows but the first, are scaled by the next step's sigma, and
the first windows of a phase by sigma 0, which is where the phase before has ended. "scaled by its own step": the same file, with the scheduler reset before it scales.
"""

from __future__ import annotations

import time
import types
from pathlib import Path

import numpy as np
import torch
from official import CHANNELS, FACTOR, GUIDANCE, NATIVE, Run, conditioning, module, pipeline, replaced, report

from reference import philox

BLUR = 0.8  # the examples of its README; 1.0 is the default of the function


class Choices:
    """The random choices of the engine, in the order in which the pipeline asks for them."""

    def __init__(self, seed: int, sigma: float, steps: int):
        self.seed, self.sigma, self.steps = seed, sigma, steps
        self.phase = 1
        self.counter = self.view = self.axis = 0

    def start(self, *arguments, **keywords) -> torch.Tensor:
        """Noise of phase 1."""
        values = philox.normals(self.seed, np.arange(CHANNELS * NATIVE * NATIVE))
        return torch.from_numpy(values.reshape(1, CHANNELS, NATIVE, NATIVE)) * self.sigma

    def noise(self, latents: torch.Tensor) -> torch.Tensor:
        """Noise of the next phase."""
        self.phase += 1
        self.counter = self.steps * (self.phase - 1)
        values = philox.normals(self.seed, np.arange(latents.numel()), self.phase, philox.PHASE_NOISE)
        return torch.from_numpy(values.reshape(latents.shape))

    def randint(self, low: int, high: int) -> int:
        """Of a view first the shift along x, then along y; every view of a square picture has both."""
        axis = 1 - self.axis
        word = philox.words(self.seed, self.view * 2 + axis, self.counter, philox.JITTER)[0]
        self.view, self.axis = self.view + self.axis, 1 - self.axis
        if self.view == (2 * self.phase - 1) ** 2:
            self.view, self.counter = 0, self.counter + 1
        return low + int(philox.mulhi(word, high - low + 1))


class Clock:
    """Seconds spent in a function."""

    def __init__(self, function):
        self._function = function
        self.seconds = 0.0

    def __call__(self, *arguments, **keywords):
        started = time.monotonic()
        try:
            return self._function(*arguments, **keywords)
        finally:
            self.seconds += time.monotonic() - started


def published(file: Path, side: int, steps: int, seed: int, reset: bool = False) -> Run:
    authors = module(file)
    made = pipeline(authors, steps)
    choices = Choices(seed, float(made.scheduler.init_noise_sigma), steps)
    made.prepare_latents = choices.start
    authors.random = types.SimpleNamespace(randint=choices.randint)
    if reset:
        scale = made.scheduler.scale_model_input

        def scaled(sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            made.scheduler._init_step_index(timestep)
            return scale(sample, timestep)

        made.scheduler.scale_model_input = scaled
    decode = Clock(made.vae.decode)
    made.vae.decode = decode
    kept = []  # before the last phase's mean and deviation are set, as the engine's dump
    text = conditioning(made)
    with replaced(torch, "randn_like", choices.noise):
        started = time.monotonic()
        made(**text, height=side, width=side, num_inference_steps=steps, guidance_scale=GUIDANCE, stride=NATIVE // 2, sigma=BLUR, output_type="pt",
             callback=lambda i, t, x: kept.append(x[0].numpy().copy()))
        return Run(kept[-1], time.monotonic() - started, decode.seconds)


def own_step(file: Path, side: int, steps: int, seed: int) -> Run:
    return published(file, side, steps, seed, reset=True)


if __name__ == "__main__":
    report(__doc__, 2 * NATIVE * FACTOR, {"as published": published, "scaled by its own step": own_step}, "demofusion", "phase*-latents.npy")
