# SPDX-License-Identifier: Apache-2.0
"""SPEC.md sections 6 and 7: canvas, patches, relocation, windows."""

import math
from dataclasses import dataclass

import numpy as np

from . import philox


@dataclass(frozen=True)
class Axis:
    pixels: int
    factor: int  # VAE factor f
    native: int
    s: int  # patches
    patch: int  # cells of a patch

    @property
    def latent(self):
        return self.pixels // self.factor

    @property
    def canvas(self):
        return self.s * self.patch

    @property
    def crop(self):
        """First pixel of the picture in the decoded canvas."""
        return (self.canvas * self.factor - self.pixels) // 2


def patches_for(latent, native):
    return max(1, math.ceil(latent / native - 0.25))


def axis(pixels, factor, native, multiple, s=None):
    latent = pixels // factor
    s = patches_for(latent, native) if s is None else s
    patch = math.ceil(latent / s)
    patch = math.ceil(patch / multiple) * multiple
    return Axis(pixels, factor, native, s, patch)


def patches_of_the_pictures_aspect(rows, columns, native, multiple):
    area = rows * columns / (native[0] * native[1])
    s = max(1, math.ceil(math.sqrt(area) - 0.25))

    def canvas(s):
        return math.prod(s * math.ceil(math.ceil(latent / s) / multiple) * multiple for latent in (rows, columns))

    return s - 1 if s > 1 and area <= 4 / 3 * (s - 1) ** 2 and canvas(s - 1) < canvas(s) else s


def axes(width, height, factor, native, multiple, aspect="axis"):
    """(y axis, x axis); native: (height, width) of the training resolution in latent cells."""
    s = None
    if aspect == "picture":
        s = patches_of_the_pictures_aspect(height // factor, width // factor, native, multiple)
    return (axis(height, factor, native[0], multiple, s), axis(width, factor, native[1], multiple, s))


def stage1_steps(steps, share):
    return math.floor(steps * share + 0.5)


def relocate(patches, s_h, s_w):
    """[N, C, h, w] -> [C, h*s_h, w*s_w]; patch a*s_w + b goes to the phase (a, b)."""
    n, c, h, w = patches.shape
    canvas = np.empty((c, h * s_h, w * s_w), patches.dtype)
    for i in range(n):
        a, b = divmod(i, s_w)
        canvas[:, a::s_h, b::s_w] = patches[i]
    return canvas


def default_jitter(native, stride):
    return (native - stride) // 4


def starts(length, native, stride):
    """Where the windows of one axis start, before jitter."""
    n = min(native, length)
    count = 1 if length <= n else int((length - n) / stride - 1e-6) + 2
    return [min(a * stride, length - n) for a in range(count)]


def jittered(seed, step, view, axis_index, position, count, amplitude):
    """Random shift of a window; position: its index on the axis that has `count` windows."""
    if count == 1:
        return 0
    lo = 0 if position == count - 1 else -amplitude
    hi = 0 if position == 0 else amplitude
    r0 = philox.words(seed, view * 2 + axis_index, step, philox.JITTER)[0]
    return lo + int(philox.mulhi(r0, hi - lo + 1))


@dataclass(frozen=True)
class Windows:
    """The views of one stage-2 step."""

    y: list
    x: list
    height: int
    width: int
    pad_y: int  # the j of an axis that has several windows, else 0: enters the crop conditioning
    pad_x: int


def windows(canvas, native, stride, jitter, seed, step):
    """canvas, native, stride, jitter: (y, x) pairs."""
    ys, xs = (starts(canvas[i], native[i], stride[i]) for i in (0, 1))
    out_y, out_x = [], []
    for a, y in enumerate(ys):
        for b, x in enumerate(xs):
            view = a * len(xs) + b
            out_y.append(y + jittered(seed, step, view, 0, a, len(ys), jitter[0]))
            out_x.append(x + jittered(seed, step, view, 1, b, len(xs), jitter[1]))
    return Windows(out_y, out_x, min(native[0], canvas[0]), min(native[1], canvas[1]),
                   jitter[0] if len(ys) > 1 else 0, jitter[1] if len(xs) > 1 else 0)


def gather(canvas, y0, x0, h, w):
    """One window of [C, H, W]; what hangs over the border reads 0."""
    c, height, width = canvas.shape
    out = np.zeros((c, h, w), canvas.dtype)
    for y in range(h):
        for x in range(w):
            if 0 <= y0 + y < height and 0 <= x0 + x < width:
                out[:, y, x] = canvas[:, y0 + y, x0 + x]
    return out


def profile(n, kind):
    """Weights of a window along one axis, values of float32 as in the engine."""
    if kind == "uniform":
        return np.ones(n, np.float32)
    return np.array([math.sin(math.pi * (i + 0.5) / n) ** 2 for i in range(n)], np.float32)


def average(noise, win, canvas_shape, kind):
    """Weighted mean of the views' estimates [V, C, h, w] in every cell, and how many views cover it.

    A cell under one view takes its value untouched.
    """
    real = noise.dtype.type
    c, height, width = canvas_shape
    weight = profile(win.height, kind)[:, None] * profile(win.width, kind)[None, :]
    total = np.zeros(canvas_shape, real)
    weights = np.zeros((height, width), real)
    covers = np.zeros((height, width), int)
    first = np.zeros(canvas_shape, real)
    for v, (y0, x0) in enumerate(zip(win.y, win.x)):
        for y in range(win.height):
            for x in range(win.width):
                cy, cx = y0 + y, x0 + x
                if not (0 <= cy < height and 0 <= cx < width):
                    continue
                if covers[cy, cx] == 0:
                    first[:, cy, cx] = noise[v, :, y, x]
                covers[cy, cx] += 1
                total[:, cy, cx] += real(weight[y, x]) * noise[v, :, y, x]
                weights[cy, cx] += real(weight[y, x])
    if covers.min() == 0:
        raise ValueError("a cell of the canvas is covered by no window")
    return np.where(covers == 1, first, total / weights), covers
