# SPDX-License-Identifier: Apache-2.0
"""SPEC.md section 5: from cross-attention maps to the mask M of Eq. 4."""

import numpy as np

FLAT = 1e-8


def resize(a, h, w):
    """Bilinear with half-pixel centres; a: [hb, wb]."""
    hb, wb = a.shape
    out = np.empty((h, w), a.dtype)
    real = a.dtype.type
    ratio_y, ratio_x = real(hb) / real(h), real(wb) / real(w)
    for y in range(h):
        sy = min(max((real(y) + real(0.5)) * ratio_y - real(0.5), real(0)), real(hb - 1))
        y0 = int(np.floor(sy))
        y1 = min(y0 + 1, hb - 1)
        fy = sy - real(y0)
        for x in range(w):
            sx = min(max((real(x) + real(0.5)) * ratio_x - real(0.5), real(0)), real(wb - 1))
            x0 = int(np.floor(sx))
            x1 = min(x0 + 1, wb - 1)
            fx = sx - real(x0)
            top = a[y0, x0] + fx * (a[y0, x1] - a[y0, x0])
            bottom = a[y1, x0] + fx * (a[y1, x1] - a[y1, x0])
            out[y, x] = top + fy * (bottom - top)
    return out


def normalise(v, kind):
    if kind == "minmax":
        span = v.max() - v.min()
        return np.ones_like(v) if span < FLAT else (v - v.min()) / span
    if kind == "max":
        return np.ones_like(v) if v.max() < FLAT else v / v.max()
    if kind == "mean-threshold":
        if v.max() - v.min() < FLAT:
            return np.ones_like(v)
        return (v >= v.mean(dtype=np.float64).astype(v.dtype)).astype(v.dtype)
    raise ValueError(kind)


def average_map(maps, h, w):
    """maps: one [hb, wb] per chosen block, un-normalised."""
    total = resize(maps[0], h, w)
    for a in maps[1:]:
        total = total + resize(a, h, w)
    return total * total.dtype.type(1.0 / len(maps))


def mask(maps, h, w, kind):
    return normalise(average_map(maps, h, w), kind)
