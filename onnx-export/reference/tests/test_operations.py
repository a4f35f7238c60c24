# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image

from reference import operations

X = np.random.default_rng(0).normal(size=(4, 9, 7))


def test_moments_are_pytorchs():
    mean, deviation = operations.moments(X)
    theirs = torch.from_numpy(X)
    assert abs(mean - float(theirs.mean())) < 1e-15 and abs(deviation - float(theirs.std())) < 1e-15
    assert operations.moments(np.array([3.0])) == (3.0, 0.0)


def test_matched_moments():
    got = operations.moments(operations.match_moments(X, operations.moments(X), (0.25, 3.0)))
    assert np.allclose(got, (0.25, 3.0), atol=1e-14)
    flat = np.full((2, 3, 3), 5.0)
    assert (operations.match_moments(flat, operations.moments(flat), (1.0, 2.0)) == 1.0).all()


@pytest.mark.parametrize("count, deviation", [(1, 0.8), (3, 0.8), (5, 0.3), (7, 2.0)])
def test_blur_is_a_convolution_with_the_gaussian(count, deviation):
    grid = np.arange(count) - (count - 1) / 2
    kernel = np.exp(-(grid[:, None] ** 2 + grid[None, :] ** 2) / (2 * deviation**2))
    expected = scipy.ndimage.convolve(X, (kernel / kernel.sum())[None], mode="constant")
    assert np.abs(operations.blur(X, count, deviation) - expected).max() < 1e-14
    assert abs(operations.taps(count, deviation).sum() - 1) < 1e-15


@pytest.mark.parametrize("height, width", [(18, 14), (27, 21), (13, 10), (9, 7), (5, 3), (36, 7)])
def test_bicubic_is_pytorchs(height, width):
    expected = torch.nn.functional.interpolate(torch.from_numpy(X)[None], size=(height, width), mode="bicubic",
                                               align_corners=False)[0].numpy()
    assert np.abs(operations.bicubic(X, height, width) - expected).max() < 1e-12


@pytest.mark.parametrize("height, width", [(6, 5), (3, 2), (9, 7), (8, 3), (12, 14)])
def test_antialiased_bicubic_is_pillows(height, width):
    for plane in X.astype(np.float32):
        theirs = np.asarray(Image.fromarray(plane, mode="F").resize((width, height), Image.Resampling.BICUBIC))
        assert np.abs(operations.antialiased_bicubic(plane.astype(np.float64), height, width) - theirs).max() < 1e-6


def test_the_same_size_is_the_same_picture():
    assert (operations.bicubic(X, 9, 7) == X).all() and (operations.antialiased_bicubic(X, 9, 7) == X).all()
