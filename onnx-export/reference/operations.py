# SPDX-License-Identifier: Apache-2.0
"""SPEC.md section 9, "Operations of §9": what the other methods do to latents and pictures between two steps.

Arrays are [..., h, w]. Constants are computed in float64 and rounded once to the type of the data.
"""

import math

import numpy as np


def blend(a, x, b, y):
    return a * x + b * y


def moments(x):
    """Mean and standard deviation (of a sample: divided by count - 1) over all values, float64."""
    v = x.astype(np.float64).ravel()
    return v.mean(), (v.std(ddof=1) if v.size > 1 else 0.0)


def match_moments(x, of, to):
    """x, whose moments are `of`, moved and scaled to have the moments `to`."""
    ratio = to[1] / of[1] if of[1] != 0 else 1.0
    real = x.dtype.type
    return x * real(ratio) + real(to[0] - of[0] * ratio)


def taps(count, deviation):
    """A Gaussian of `count` taps, summing to 1, float64."""
    w = np.array([math.exp(-((i - (count - 1) / 2) ** 2) / (2 * deviation**2)) for i in range(count)])
    return w / w.sum()


def blur(x, count, deviation):
    """Along x, then along y; cells outside read 0. count: odd."""
    w = taps(count, deviation).astype(x.dtype)
    for axis in (-1, -2):
        padding = [(0, 0)] * x.ndim
        padding[axis] = (count // 2, count // 2)
        padded = np.pad(x, padding)
        n = x.shape[axis]
        total = w[0] * np.take(padded, np.arange(n), axis)
        for i in range(1, count):
            total = total + w[i] * np.take(padded, np.arange(i, i + n), axis)
        x = total
    return x


def cubic(t, a):
    """Keys' cubic convolution kernel."""
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def bicubic_table(source, target):
    """Per output cell the source cells and their weights: a = -0.75, the border repeated, no anti-aliasing."""
    return cubic_table(source, [(i + 0.5) * (source / target) - 0.5 for i in range(target)], -0.75)


def cubic_table(source, places, a):
    """The same at given places, in cells from the centre of the first; a = -0.5 is exact on ramps."""
    table = []
    for at in places:
        first = math.floor(at) - 1
        table.append([(min(max(j, 0), source - 1), cubic(at - j, a)) for j in range(first, first + 4)])
    return table


def antialiased_table(source, target, start=0.0, length=None):
    """The kernel with a = -0.5, as wide as an output cell where that shrinks, cut off at the border and normalised.

    The output cells share out `length` source cells from `start` on (all of them); a centre beyond the border moves to it.
    """
    scale = (source if length is None else length) / target
    width = max(1.0, scale)
    table = []
    for i in range(target):
        centre = min(max(start + (i + 0.5) * scale, 0.0), float(source))
        first = max(0, math.floor(centre - 2 * width + 0.5))
        last = min(source, math.floor(centre + 2 * width + 0.5))
        w = [cubic((j + 0.5 - centre) / width, -0.5) for j in range(first, last)]
        table.append([(j, v / sum(w)) for j, v in zip(range(first, last), w)])
    return table


def resample(x, table_y, table_x):
    """Along x, then along y."""
    for axis, table in ((-1, table_x), (-2, table_y)):
        x = np.stack([sum(x.dtype.type(w) * np.take(x, j, axis) for j, w in row) for row in table], axis)
    return x


def bicubic(x, height, width):
    return resample(x, bicubic_table(x.shape[-2], height), bicubic_table(x.shape[-1], width))


def antialiased_bicubic(x, height, width):
    return resample(x, antialiased_table(x.shape[-2], height), antialiased_table(x.shape[-1], width))
