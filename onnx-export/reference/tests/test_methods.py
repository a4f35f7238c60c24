# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from reference import background, checks, demofusion, goldens, methods, superres
from reference.sampler import Sampler, Settings


def test_weight_zero_is_cutdiffusion(tiny_methods):
    checks.weight_zero_is_cutdiffusion(tiny_methods)


def test_one_patch_is_plain_sampling(tiny):
    checks.one_patch_is_plain_sampling(tiny)


def test_one_window_is_direct(tiny_methods):
    checks.one_window_is_direct(tiny_methods)


def test_averaging_stepped_windows_is_the_same(tiny_methods):
    checks.averaging_stepped_windows_is_the_same(tiny_methods)


def test_courses_of_demofusion():
    """methods.md section 9.7, at the first of 50 timesteps; towards 0 at the last."""
    assert np.allclose(demofusion.courses(Settings(), 981), (0.99733, 0.99911, 0.99912), atol=5e-6)
    assert np.allclose(demofusion.courses(Settings(), 1), (0, 0, 0.01), atol=5e-6)


def test_scale_one_is_direct(tiny_methods):
    checks.scale_one_is_direct(tiny_methods)


def test_dilation_one_is_direct(tiny_methods):
    checks.dilation_one_is_direct(tiny_methods)


def test_damping_with_the_same_factors_is_plain_guidance(tiny_methods):
    checks.damping_with_the_same_factors_is_plain_guidance(tiny_methods)


def test_dilated_views_are_relocated_back():
    checks.dilated_views_are_relocated_back()


@pytest.mark.parametrize("scale, available, chosen", [
    (1, [2], []), (2, [2], [2]), (3, [2], [2, 2]), (3, [2, 4], [4]), (2, [4, 2], [2]), (6, [2, 4], [4, 2]),
    (5, [2], [2, 2, 2])])
def test_smallest_upscaler_that_suffices(scale, available, chosen):
    assert superres.plan_upscaling(scale, available) == chosen


def test_background_windows_of_the_same_kind_change_nothing(tiny_methods):
    checks.background_windows_of_the_same_kind_change_nothing(tiny_methods)


def test_share_of_a_window():
    mask = np.array([[1.0, 0.0, 0.0], [0.5, 0.4, 0.0]])
    assert background.object_share(mask, 2, 1, 0, 0, 4, 1) == 1  # rows 0, 0, 1, 1 of the first column
    assert background.object_share(mask, 2, 1, 1, 0, 2, 2) == 0.5
    assert background.object_share(mask, 2, 1, 0, 1, 4, 2) == 0


def test_tiles_are_invisible(tiny_methods):
    checks.tiles_are_invisible(tiny_methods)


def test_a_constant_survives_blur_and_resampling():
    checks.a_constant_survives_blur_and_resampling()


def test_full_guidance_is_the_key_estimate():
    checks.full_guidance_is_the_key_estimate()


def test_an_upsampled_guide_is_the_picture_at_every_patch():
    checks.an_upsampled_guide_is_the_picture_at_every_patch()


def test_interaction_is_undone():
    checks.interaction_is_undone()


def test_stepless_bundle_makes_staleness_invisible(stepless):
    checks.stepless_estimates_do_not_change(stepless)


def test_zero_unconditional_embeddings_for_an_empty_negative(tiny):
    assert not tiny.negative("").hidden.any() and not tiny.negative("").pooled.any()
    assert tiny.negative("blue").hidden.any()


def test_prompt_without_a_token_masks_nothing(tiny):
    run = methods.sample(tiny, Settings(prompt=" "))
    assert all((m == 1).all() for m in run.masks)


def test_direct_starts_from_the_relocated_patches(tiny):
    s = Settings(width=144, height=64)
    asg, direct = Sampler(tiny, s).run, Sampler(tiny, replace(s, method="direct")).run
    assert (asg.initial == direct.initial).all()
    native = Sampler(tiny, Settings(width=64, height=64)).run.initial
    two = Sampler(tiny, Settings()).run.initial
    assert (native[0] == two[0]).all()


def test_options_matter(resources):
    """No two cases of one method and size end alike, so each tests what it is named after."""
    folder = resources / "goldens" / "cases"
    ends = {}
    for case in goldens.METHOD_CASES:
        paths = [folder / case / f"{name}.npy" for name in ("rgb", "rgb8", "latents")]
        array = np.load(next(p for p in paths if p.exists())).astype(np.float64)
        for other, end in ends.items():
            if other.split("-")[0] == case.split("-")[0] and end.shape == array.shape:
                assert goldens.relative(array, end) > 1e-3, (case, other)
        ends[case] = array


def test_tiny_hears_prompt_place_and_time(tiny):
    """The analytic denoiser is worth testing with: everything it is given moves its estimate."""
    def close(settings):
        a = methods.sample(tiny, Settings()).latents
        b = methods.sample(tiny, settings).latents
        return np.abs(a - b).max() < 1e-2 * np.abs(a).max()
    base = Settings()
    assert close(base)
    for change in ({"prompt": "a blue ball on grass"}, {"negative_prompt": "red"}, {"guidance_scale": 4.0},
                   {"window_conditioning": "whole"}, {"mask": "own"}, {"staleness": 0}, {"seed": 8}):
        assert not close(replace(base, **change)), change
