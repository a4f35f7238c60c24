# SPDX-License-Identifier: Apache-2.0
"""Relays: their filters, their presets' constants, and what they are where they are something else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from reference import methods, relay, schedule
from reference.goldens import METHOD_CASES
from reference.sampler import Settings

BASE = replace(Settings(steps=6), **relay.DEFAULTS)


@pytest.mark.parametrize("sizes", [((8, 10), (16, 20)), ((16, 12), (8, 9)), ((7, 9), (12, 13))])
def test_resampling_is_pytorchs(sizes):
    source, target = sizes
    x = np.random.default_rng(1).normal(size=(3, *source))
    tensor = torch.from_numpy(x)[None]
    np.testing.assert_allclose(relay.bilinear(x, *target), F.interpolate(tensor, size=target, mode="bilinear")[0], atol=1e-12)
    nearest = relay.operations.resample(x, *(relay.nearest_table(a, b) for a, b in zip(source, target)))
    np.testing.assert_array_equal(nearest, F.interpolate(tensor, size=target, mode="nearest")[0])


def test_the_low_band_of_a_cubic_is_the_cubic():
    """db4 has four vanishing moments; and a constant stays one up to the border."""
    x = np.linspace(-1, 1, 40)
    low = relay.low_of_wavelet((2 - x + 3 * x**2 + x**3)[None, None], -1)[0, 0]
    np.testing.assert_allclose(low[7:-7], (2 - x + 3 * x**2 + x**3)[7:-7], atol=1e-9)
    np.testing.assert_allclose(relay.low_of_wavelet(np.ones((1, 21)), -1), 1, atol=1e-9)


def test_presets_have_the_constants_of_their_code():
    assert relay.frecas_start(200, 2, 1.5) == 343
    assert relay.frecas_start(400, 2, 2.0) == 606
    assert relay.frecas_start(200, 2, 2.0) == 395
    ends = [stage.levels[:2] for stage in relay.rectifiedhr(4, 50)]
    assert ends == [(0.0, 0.8), (0.8, 0.94), (0.94, 1.0)]
    np.testing.assert_allclose([5 * stage.guidance for stage in relay.rectifiedhr(4, 50)], [5, 36.82, 50], atol=0.01)
    steps = [len(relay.stretch(replace(BASE, steps=50), stage).rows) for stage in relay.diffusehigh(2, 50)]
    assert steps == [50, 15, 15]
    hires = relay.stretch(replace(BASE, steps=50), relay.hires_fix(2, 50)[1])
    assert len(hires.rows) == 50  # of int(50 / 0.7) = 71


def test_a_stage_that_ends_early_ends_with_its_prediction():
    for scheduler in ("euler", "ddim", "dpmpp_2m"):
        row = schedule.part(scheduler, 10, 0, 6).rows[-1]
        x0, e = 0.7, -0.3
        assert np.isclose(row.stepX * (row.alpha * x0 + row.sigma * e) + row.stepE * e, x0)


def test_one_stage_is_direct_inference(tiny_methods):
    one = replace(BASE, width=64, height=64, preset="rectifiedhr")
    direct = methods.sample(tiny_methods, replace(one, method="direct", preset=None))
    np.testing.assert_array_equal(methods.sample(tiny_methods, one).latents, direct.latents)


def test_equal_bands_and_windows_that_hold_everything_change_nothing(tiny_methods):
    settings = replace(BASE, window_conditioning="whole", jitter=0)
    plain = relay.Stage(None, (0.5, 1.0, 1.0))
    first = relay.Stage(1, (0.0, 0.5, 1.0))

    def end(stage):
        return methods.sample(tiny_methods, replace(settings, stages=(first, stage))).latents
    apart = end(replace(plain, guidance=2.0, low=2.0))
    np.testing.assert_allclose(apart, end(replace(plain, guidance=2.0)), atol=1e-12)
    assert np.abs(apart - end(replace(plain, guidance=2.0, low=1.0))).max() > 1e-3


def test_every_preset_has_golden_cases():
    drawn = {settings.preset for name, settings in METHOD_CASES.items() if name.startswith("relay")}
    assert set(relay.PRESETS) <= drawn
