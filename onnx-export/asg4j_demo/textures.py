# SPDX-License-Identifier: Apache-2.0
"""Background textures: tileable, made once from a fixed seed, and band-limited per level of zoom.

A texture covers ``TILE`` picture widths. A picture takes a window of it, so nothing wraps at run time.
Level k serves pictures of about ``DENSITIES[k]`` pixels per picture width and holds no detail that an
autoencoder of factor 8 could not keep; finer levels hold structure that appears only when zoomed in.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from scipy import fft
from scipy.spatial import cKDTree

TILE = 1.6
FULL = 1024
DENSITIES = (128.0, 181.0, 256.0, 362.0, 512.0)
_BLUR = 0.95  # standard deviation of the low-pass in pixels of the level


def _grid() -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(FULL) + 0.5) / FULL * TILE
    return np.meshgrid(axis, axis, indexing="xy")


def _noise(rng: np.random.Generator, wave_x: float, wave_y: float, octaves: int = 1, fall: float = 0.6) -> np.ndarray:
    """Tileable noise of unit standard deviation with the given dominant wavelengths in picture widths."""
    fx = fft.rfftfreq(FULL, d=TILE / FULL).astype(np.float32)[None]
    fy = fft.fftfreq(FULL, d=TILE / FULL).astype(np.float32)[:, None]
    radius = np.sqrt((fx * wave_x) ** 2 + (fy * wave_y) ** 2)
    total = np.zeros((FULL, FULL), np.float32)
    for octave in range(octaves):
        r = radius / 2**octave
        spectrum = np.exp(-(((r - 1.0) / 0.45) ** 2)) / np.sqrt(np.maximum(r, 0.2))
        spectrum[0, 0] = 0.0
        field = fft.irfft2(fft.rfft2(rng.standard_normal((FULL, FULL), dtype=np.float32)) * spectrum)
        total += np.float32(fall**octave) * field / field.std()
    return total / total.std()


def _smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _mix(a: tuple, b: tuple, t: np.ndarray) -> np.ndarray:
    t = t[None]
    return np.asarray(a)[:, None, None] * (1 - t) + np.asarray(b)[:, None, None] * t


def _grass(rng: np.random.Generator) -> np.ndarray:
    blades = (
        0.9 * _noise(rng, 0.085, 0.42)
        + 0.8 * _noise(rng, 0.048, 0.24)
        + 0.5 * _noise(rng, 0.022, 0.12)
        + 0.35 * _noise(rng, 0.011, 0.06)
    )
    patches = _noise(rng, 0.7, 0.6, 2)
    image = _mix((0.17, 0.37, 0.09), (0.42, 0.62, 0.19), _smoothstep(-2.6, 2.8, blades + 0.35 * patches))
    image += np.asarray((0.035, 0.02, -0.01))[:, None, None] * patches[None]
    return image


def _sand(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    warp = 0.55 * _noise(rng, 0.9, 0.7, 2) + 0.12 * _noise(rng, 0.3, 0.2)
    phase = 2 * np.pi * y * (14 / TILE) + 1.9 * warp + 0.8 * np.sin(2 * np.pi * x / TILE)
    ripple = np.sin(phase + 0.45 * np.sin(phase)) * (0.75 + 0.25 * np.tanh(_noise(rng, 0.8, 0.8)))
    grain = 0.30 * _noise(rng, 0.05, 0.05, 2) + 0.34 * _noise(rng, 0.016, 0.016, 2)
    return _mix((0.66, 0.51, 0.32), (0.92, 0.80, 0.58), _smoothstep(-2.3, 2.1, ripple + grain + 0.35 * warp))


def _water(rng: np.random.Generator) -> np.ndarray:
    swell = _noise(rng, 0.75, 0.22, 2)
    a = _noise(rng, 0.34, 0.095, 2, 0.55)
    b = _noise(rng, 0.11, 0.035, 2, 0.6)
    crest = 1.0 - np.abs(np.tanh(0.9 * a + 0.30 * b))
    image = _mix((0.03, 0.25, 0.44), (0.13, 0.50, 0.66), _smoothstep(-2.2, 2.2, swell + 0.55 * a + 0.3 * b))
    glint = _smoothstep(0.72, 1.0, crest) * (0.5 + 0.5 * np.tanh(swell)) ** 1.5
    return image + np.asarray((0.25, 0.30, 0.27))[:, None, None] * glint[None]


def _sky(rng: np.random.Generator) -> np.ndarray:
    cloud = _noise(rng, 0.85, 0.42, 6, 0.56)
    cover = _smoothstep(0.15, 2.2, cloud)
    light = 0.03 * _noise(rng, 0.25, 0.16, 3)
    image = _mix((0.33, 0.57, 0.90), (0.86, 0.91, 0.97), 0.85 * cover)
    return image + (light * cover)[None]


def _night(rng: np.random.Generator) -> np.ndarray:
    glow = _noise(rng, 1.1, 0.8, 4, 0.5)
    image = _mix((0.030, 0.040, 0.125), (0.10, 0.085, 0.235), _smoothstep(-1.6, 2.4, glow))
    for count, sigma, brightness in ((70, 0.0075, 0.50), (260, 0.0034, 0.55), (900, 0.0016, 0.55)):
        for _ in range(count):
            px, py = rng.integers(0, FULL, 2)
            reach = int(np.ceil(4 * sigma * FULL / TILE))
            axis = np.arange(-reach, reach + 1)
            bump = np.exp(-(axis**2) / (2 * (sigma * FULL / TILE) ** 2))
            tint = np.asarray((1.0, 0.95, 0.85)) if rng.random() < 0.5 else np.asarray((0.85, 0.92, 1.0))
            rows, columns = (py + axis) % FULL, (px + axis) % FULL
            stamp = rng.uniform(0.35, 1.0) * brightness * bump[:, None] * bump[None]
            image[:, rows[:, None], columns[None]] += tint[:, None, None] * stamp[None]
    return image


def _wood(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    planks = 4
    plank = np.floor(y / TILE * planks).astype(int)
    across = y / TILE * planks - plank
    image = np.zeros((3, FULL, FULL))
    grain = np.zeros((FULL, FULL))
    for index in range(planks):
        inside = plank == index
        warp = _noise(rng, 1.1, 0.22, 3, 0.5)
        rings = np.sin(2 * np.pi * (across * rng.uniform(2.2, 3.4) + 0.45 * warp))
        fibres = 0.55 * _noise(rng, 0.42, 0.032, 2) + 0.45 * _noise(rng, 0.20, 0.012, 2)
        field = 0.85 * rings + fibres + rng.uniform(-0.5, 0.5)
        grain[inside] = field[inside]
    image = _mix((0.36, 0.21, 0.10), (0.68, 0.47, 0.27), _smoothstep(-2.4, 2.4, grain))
    seam = np.minimum(across, 1 - across) * TILE / planks
    return image * (1.0 - 0.55 * np.exp(-((seam / 0.011) ** 2)))[None]


def _stone(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    cells = 8
    step = TILE / cells
    centres = []
    for row in range(cells):
        for column in range(cells):
            jitter = rng.uniform(-0.30, 0.30, 2)
            centres.append(((column + 0.5 + 0.5 * (row % 2) + jitter[0]) * step % TILE, (row + 0.5 + jitter[1]) * step % TILE))
    tree = cKDTree(np.asarray(centres), boxsize=TILE)
    wx, wy = 0.012 * _noise(rng, 0.12, 0.12, 2), 0.012 * _noise(rng, 0.12, 0.12, 2)
    points = np.stack([(x + wx) % TILE, (y + wy) % TILE], -1).reshape(-1, 2)
    distance, index = tree.query(points, k=2)
    gap = (distance[:, 1] - distance[:, 0]).reshape(FULL, FULL)
    cell = index[:, 0].reshape(FULL, FULL)
    tone = rng.uniform(-1.0, 1.0, cells * cells)[cell]
    warm = rng.uniform(-1.0, 1.0, cells * cells)[cell]
    dome = _smoothstep(0.0, 0.085, gap)
    speckle = 0.5 * _noise(rng, 0.06, 0.06, 2) + 0.5 * _noise(rng, 0.02, 0.02, 2)
    value = 0.27 + 0.24 * dome + 0.055 * tone + 0.035 * speckle * dome
    image = np.stack([value, value, value]) * np.asarray((1.0, 0.995, 0.985))[:, None, None]
    return image + np.asarray((0.018, 0.006, -0.012))[:, None, None] * (warm * dome)[None]


def _snow(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    warp = _noise(rng, 0.8, 0.6, 2, 0.5)
    drift = np.sin(2 * np.pi * y * (5 / TILE) + 1.3 * warp) + 0.55 * _noise(rng, 0.5, 0.3, 2)
    lumps = 0.28 * _noise(rng, 0.075, 0.06, 2) + 0.22 * _noise(rng, 0.02, 0.02, 2)
    return _mix((0.73, 0.77, 0.84), (0.97, 0.975, 0.985), _smoothstep(-2.5, 2.1, drift + lumps))


def _plaster(rng: np.random.Generator) -> np.ndarray:
    """The faint surface structure of objects, around zero."""
    field = 0.7 * _noise(rng, 0.11, 0.11, 2) + 0.5 * _noise(rng, 0.035, 0.035, 2) + 0.3 * _noise(rng, 0.012, 0.012, 2)
    return np.repeat(0.5 + 0.5 * np.tanh(field / 1.5)[None] * 0.5, 3, 0)


#: In the order of captions.BACKGROUNDS; the last one is the surface of objects.
_MAKERS = (_grass, _sand, _water, _sky, _night, _wood, _stone, _snow, _plaster)


def _resample(image: np.ndarray, density: float) -> np.ndarray:
    """Low-pass for the density, then Fourier resampling to a quarter more texels than pixels."""
    size = min(FULL, int(round(density * 1.25 * TILE / 2)) * 2)
    frequency = fft.fftfreq(FULL, d=TILE / FULL)
    sigma = _BLUR / density
    window = np.exp(-2 * (np.pi * sigma * frequency) ** 2)
    spectrum = fft.fft2(image) * window[:, None] * window[None]
    spectrum = fft.fftshift(spectrum, axes=(1, 2))
    low = FULL // 2 - size // 2
    spectrum = fft.ifftshift(spectrum[:, low : low + size, low : low + size], axes=(1, 2))
    return fft.ifft2(spectrum).real * (size / FULL) ** 2


@functools.lru_cache(maxsize=1)
def levels() -> tuple[torch.Tensor, ...]:
    """One tensor [9, 3, n, n] per density."""
    images = [maker(np.random.default_rng(100 + index)) for index, maker in enumerate(_MAKERS)]
    return tuple(
        torch.from_numpy(np.stack([_resample(image, density) for image in images]).astype(np.float32))
        for density in DENSITIES
    )
