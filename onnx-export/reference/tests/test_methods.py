# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np

from reference import checks, methods


def test_weight_zero_is_cutdiffusion(tiny):
    checks.weight_zero_is_cutdiffusion(tiny)


def test_one_patch_is_plain_sampling(tiny):
    checks.one_patch_is_plain_sampling(tiny)


def test_full_guidance_is_the_key_estimate():
    checks.full_guidance_is_the_key_estimate()


def test_interaction_is_undone():
    checks.interaction_is_undone()


def test_stepless_bundle_makes_staleness_invisible(stepless):
    checks.stepless_estimates_do_not_change(stepless)


def test_zero_unconditional_embeddings_for_an_empty_negative(tiny):
    assert not tiny.negative("").hidden.any() and not tiny.negative("").pooled.any()
    assert tiny.negative("blue").hidden.any()


def test_prompt_without_a_token_masks_nothing(tiny):
    run = methods.sample(tiny, methods.Settings(prompt=" "))
    assert all((m == 1).all() for m in run.masks)


def test_direct_starts_from_the_relocated_patches(tiny):
    s = methods.Settings(width=144, height=64)
    asg, direct = methods.Sampler(tiny, s).run, methods.Sampler(tiny, replace(s, method="direct")).run
    assert (asg.initial == direct.initial).all()
    native = methods.Sampler(tiny, methods.Settings(width=64, height=64)).run.initial
    two = methods.Sampler(tiny, methods.Settings()).run.initial
    assert (native[0] == two[0]).all()


def test_tiny_hears_prompt_place_and_time(tiny):
    """The analytic denoiser is worth testing with: everything it is given moves its estimate."""
    def close(settings):
        a = methods.sample(tiny, methods.Settings()).latents
        b = methods.sample(tiny, settings).latents
        return np.abs(a - b).max() < 1e-2 * np.abs(a).max()
    base = methods.Settings()
    assert close(base)
    for change in ({"prompt": "a blue ball on grass"}, {"negative_prompt": "red"}, {"guidance_scale": 4.0},
                   {"window_conditioning": "whole"}, {"mask": "own"}, {"staleness": 0}, {"seed": 8}):
        assert not close(replace(base, **change)), change
