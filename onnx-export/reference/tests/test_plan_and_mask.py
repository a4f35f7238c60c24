# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from reference import checks, mask, plan


@pytest.mark.parametrize("height, width, views", [(256, 256, 9), (384, 384, 25), (512, 512, 49), (256, 512, 21),
                                                  (128, 256, 3), (128, 128, 1)])
def test_views_of_cutdiffusion(height, width, views):
    """methods.md section 2: 9, 25, 49, 21, 3 views at SDXL sizes and stride 64."""
    assert len(plan.starts(height, 128, 64)) * len(plan.starts(width, 128, 64)) == views


@pytest.mark.parametrize("pixels, s, patch, crop", [(64, 1, 8, 0), (80, 1, 10, 0), (88, 2, 6, 4), (128, 2, 8, 0),
                                                    (136, 2, 9, 4), (144, 2, 9, 0), (152, 3, 7, 8), (8, 1, 1, 0)])
def test_patches_per_axis(pixels, s, patch, crop):
    a = plan.axis(pixels, 8, 8, 1)
    assert (a.s, a.patch, a.crop) == (s, patch, crop)
    assert a.canvas * 8 >= pixels


def test_multiple_rounds_the_patch_up():
    a = plan.axis(144, 8, 8, 4)
    assert (a.s, a.patch, a.canvas, a.crop) == (2, 12, 24, 24)


def test_every_cell_is_covered():
    checks.every_cell_is_covered()


def test_relocation_is_a_bijection():
    checks.relocation_is_a_bijection()


def test_window_over_the_border_reads_zero():
    canvas = np.ones((2, 5, 5))
    got = plan.gather(canvas, -1, 3, 3, 3)
    assert got[0].tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 0]]


def test_jitter_stays_in_range_and_reaches_its_ends():
    inner = {plan.jittered(7, k, 4, 0, 1, 3, 2) for k in range(200)}
    first = {plan.jittered(7, k, 0, 0, 0, 3, 2) for k in range(200)}
    last = {plan.jittered(7, k, 8, 1, 2, 3, 2) for k in range(200)}
    assert inner == {-2, -1, 0, 1, 2} and first == {-2, -1, 0} and last == {0, 1, 2}
    assert plan.jittered(7, 0, 0, 0, 0, 1, 2) == 0


@pytest.mark.parametrize("source, target", [((4, 4), (8, 8)), ((5, 3), (9, 5)), ((8, 8), (8, 8)), ((9, 7), (4, 6))])
def test_resize_is_bilinear_with_half_pixel_centres(source, target):
    import torch
    a = np.random.default_rng(0).normal(size=source)
    expected = torch.nn.functional.interpolate(torch.from_numpy(a)[None, None], size=target, mode="bilinear",
                                               align_corners=False)[0, 0].numpy()
    assert np.abs(mask.resize(a, *target) - expected).max() < 1e-12


def test_norms():
    v = np.array([[1.0, 2.0], [3.0, 5.0]])
    assert mask.normalise(v, "minmax").tolist() == [[0, 0.25], [0.5, 1]]
    assert mask.normalise(v, "max").tolist() == [[0.2, 0.4], [0.6, 1]]
    assert mask.normalise(v, "mean-threshold").tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("norm", ["minmax", "max", "mean-threshold"])
def test_flat_map_masks_nothing(norm):
    assert (mask.normalise(np.full((3, 3), 0.0 if norm == "max" else 0.3), norm) == 1).all()
