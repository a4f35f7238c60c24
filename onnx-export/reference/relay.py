# SPDX-License-Identifier: Apache-2.0
"""Relays (SPEC.md section 11): stages of growing size, each from the one before, enlarged and noised anew.

Presets are written from the papers and their code: RectifiedHR (arXiv 2503.02537), FreCaS (2410.18410),
DiffuseHigh (2406.18459), MegaFusion (2408.11001), "hires. fix" of AUTOMATIC1111's web UI.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from . import demofusion, operations, philox, schedule, superres
from .sampler import Past, clean, kept, noise_estimate, step, step_noise

DEFAULTS = {"method": "relay", "patch_aspect": "picture", "window_weight": "feather", "window_conditioning": "crop"}
SHARPEN_BLUR = 1.05
# Daubechies' wavelet with four vanishing moments: the low-pass filter of the synthesis
DB4 = (0.23037781330885523, 0.7148465705525415, 0.6308807679295904, -0.02798376941698385, -0.18703481171888114,
       0.030841381835986965, 0.032883011666982945, -0.010597401784997278)


@dataclass(frozen=True)
class Stage:
    """A row of the table. scale None: the picture's. levels: (from, to, density) as shares, or ("t", from, to, steps)."""

    scale: float | None
    levels: tuple
    guidance: float = 1.0  # in guidance scales of the request
    low: float | None = None  # the same of low frequencies
    windows: float = 0.0  # distance in native sizes; 0: one view
    enlarge: str = "bicubic"
    sharpen: float = 0.0
    hold: float = 0.0
    lowpass: str = "bilinear"
    told: str = "stage"
    interval: tuple | None = None  # of guidance; None: the request's

    def __str__(self):
        """As the engine reads it."""
        size = "full" if self.scale is None else f"{self.scale}x"
        if self.levels[0] == "t":
            words = [size, f"t{self.levels[1]}..{self.levels[2]}/{self.levels[3]}"]
        else:
            words = [size, f"{self.levels[0]}..{self.levels[1]}", f"density={self.levels[2]}"]
        words += [f"guidance={self.guidance}", f"windows={self.windows}", f"enlarge={self.enlarge}",
                  f"sharpen={self.sharpen}", f"hold={self.hold}", f"lowpass={self.lowpass}", f"told={self.told}"]
        words += [] if self.low is None else [f"low={self.low}"]
        return " ".join(words if self.interval is None else [*words, f"interval={self.interval[0]}..{self.interval[1]}"])


def rectifiedhr(s, steps):
    n = 2 if s <= 2 else 3
    t_min, t_max, w_max = (0.6, 1.0, 6.0) if n == 2 else (0.8, 1.0, 10.0)
    stages, before = [], 0.0
    for i in range(n):
        course = 1.0 if n == 2 else (i / (n - 1)) ** 0.5
        # refresh after T_1 .. T_(N-1), 50 steps in its code: T_min + (T_max - T_min) * (i / (N - 1))^M_T
        end = 1.0 if i == n - 1 else int(round(50 * (t_min + (t_max - t_min) * course * (i > 0)), 9)) / 50
        w = 1 + (w_max - 1) * ((i / (n - 1)) if n == 2 else course)
        scale = None if i == n - 1 else 1 + (s - 1) * i / (n - 1)
        stages.append(Stage(scale, (before, end, 1.0), guidance=w))
        before = end
    return stages


def frecas_start(end, ratio, gamma):
    """get_next_starttimestep of its code: the signal-to-noise ratio at `end` times (1/ratio)^gamma."""
    abar = schedule.alphas_cumprod()
    s = (1 / ratio) ** gamma
    wanted = s * abar[end] / (1 + (s - 1) * abar[end])
    return len(abar) - int(np.searchsorted(abar[::-1], wanted, side="right"))


def frecas(s, steps):
    scales, ends, counts, gamma = ((1, s), (200, 0), (40, 10), 1.5) if s <= 2 else (
        (1, s / 2, s), (400, 200, 0), (30, 5, 15), 2.0)
    stages, start = [], 999
    for i, (scale, end, count) in enumerate(zip(scales, ends, counts)):
        count = max(1, math.floor(count / 50 * steps + 0.5))
        bands = {} if i == 0 else {"guidance": 35 / 7.5, "low": 1.0}
        stages.append(Stage(None if i == len(scales) - 1 else scale, ("t", start, end, count), enlarge="nearest",
                            told="native", **bands))
        if i + 1 < len(scales):
            start = frecas_start(end, scales[i + 1] / scale, gamma)
    return stages


def diffusehigh(s, steps):
    sizes = (1.5, 2) if s <= 2 else range(2, s + 1)
    high = {"guidance": 2.0, "sharpen": 1.0, "hold": 5 / 15, "lowpass": "db4"}
    return [Stage(1, (0.0, 1.0, 1.0), told="native")] + [
        Stage(None if size == s else size, (35 / 50, 1.0, 1.0), told="native", **high) for size in sizes]


def megafusion(s, steps):
    if s <= 2:
        return [Stage(1, (0.0, 0.8, 1.0)), Stage(None, (0.8, 1.0, 1.0))]
    return [Stage(1, (0.0, 0.8, 1.0)), Stage((1 + s) / 2, (0.8, 0.9, 1.0)), Stage(None, (0.9, 1.0, 1.0))]


def hires_fix(s, steps):
    return [Stage(1, (0.0, 1.0, 1.0)), Stage(None, (0.3, 1.0, 1 / 0.7), enlarge="latent")]


def own(s, steps):
    """The engine's default, chosen by its evaluation; few steps are a distilled network's and not thinned."""
    few = steps <= 8
    second = 2 if s > 2 else None
    if few:
        stages = [Stage(1, (0.0, 1.0, 1.0)), Stage(second, (0.5, 1.0, 1.0)), Stage(None, (0.75, 1.0, 1.0), windows=0.75)]
    else:
        stages = [Stage(1, (0.0, 0.8, 0.5)), Stage(second, (0.6, 1.0, 0.4)), Stage(None, (0.8, 1.0, 0.4), windows=0.75)]
    return stages if s > 2 else stages[:2]


PRESETS = {"rectifiedhr": rectifiedhr, "frecas": frecas, "diffusehigh": diffusehigh, "megafusion": megafusion,
           "hires-fix": hires_fix}


def table_of(settings, s):
    if settings.stages:
        return list(settings.stages)
    return [Stage(1, (0.0, 1.0, 1.0))] if s == 1 else PRESETS.get(settings.preset, own)(s, settings.steps)


def stretch(settings, stage):
    """The stage's rows."""
    if stage.levels[0] == "t":
        _, start, end, steps = stage.levels
        return schedule.between(settings.scheduler, start, end, steps, settings.prediction, settings.eta)
    start, end, density = stage.levels
    of = max(1, math.floor(settings.steps * density + 1e-9))
    first = min(of - 1, math.floor(of * start + 0.5))
    return schedule.part(settings.scheduler, of, first, max(first + 1, math.floor(of * end + 0.5)), settings.spacing,
                         settings.prediction, settings.eta)


def bilinear_table(source, target):
    table = []
    for i in range(target):
        at = max(0.0, (i + 0.5) * (source / target) - 0.5)
        j = min(math.floor(at), source - 1)
        table.append([(j, 1 - (at - j)), (min(j + 1, source - 1), at - j)])
    return table


def nearest_table(source, target):
    return [[(i * source // target, 1.0)] for i in range(target)]


def bilinear(x, height, width):
    return operations.resample(x, bilinear_table(x.shape[-2], height), bilinear_table(x.shape[-1], width))


def low_of_wavelet(x, axis):
    """Approximation of one level and back, PyWavelets' mode symmetric: the signal is mirrored, its last value repeated."""
    n, taps = x.shape[axis], len(DB4)
    padded = np.pad(x, [(taps, taps) if a == axis % x.ndim else (0, 0) for a in range(x.ndim)], mode="symmetric")
    v = np.moveaxis(padded, axis, -1)
    analysis = [x.dtype.type(w) for w in DB4[::-1]]
    half = (n + taps - 1) // 2
    band = sum(analysis[j] * v[..., taps + 1 - j:taps + 1 - j + 2 * half:2][..., :half] for j in range(taps))
    out = np.zeros(v.shape[:-1] + (2 * half + taps,), x.dtype)
    for j in range(taps):
        out[..., j:j + 2 * half:2] += x.dtype.type(DB4[j]) * band
    return np.moveaxis(out[..., taps - 2:taps - 2 + n], -1, axis)


def low_pass(stage, size):
    """The filter; size: latent cells of the stage before."""
    if stage.lowpass == "db4":
        return lambda y: low_of_wavelet(low_of_wavelet(y, -1), -2)
    return lambda y: bilinear(bilinear(y, *size), *y.shape[-2:])


def sharpened(image, weight, real):
    side = math.exp(-1 / (2 * SHARPEN_BLUR**2))
    taps = [real(v) for v in (side / (1 + 2 * side), 1 / (1 + 2 * side), side / (1 + 2 * side))]
    blurred = image
    for axis in (-1, -2):
        padded = np.moveaxis(np.pad(blurred, [(1, 1) if a == axis % 3 else (0, 0) for a in range(3)], mode="reflect"), axis, -1)
        n = image.shape[axis]
        blurred = np.moveaxis(sum(t * padded[..., i:i + n] for i, t in enumerate(taps)), -1, axis)
    return real(weight + 1) * image - real(weight) * blurred


def enlarged(bundle, stage, image, height, width, real):
    """A picture in -1..1 at height x width pixels."""
    image = np.clip(image, -1, 1)
    if stage.enlarge == "nearest":
        image = operations.resample(image, nearest_table(image.shape[1], height), nearest_table(image.shape[2], width))
    else:
        if stage.enlarge == "upscaler" and height > image.shape[1]:
            unit = superres.clamp(image * real(0.5) + real(0.5))
            growth = math.ceil(height / image.shape[1])
            target = [growth * n for n in image.shape[1:]]
            for scale in superres.plan_upscaling(growth, list(bundle.upscalers)):
                unit = superres.clamp(bundle.upscale(unit, scale))
            image = superres.clamp(operations.antialiased_bicubic(unit, *target)) * real(2) - real(1)
        image = operations.antialiased_bicubic(image, height, width)
    if stage.sharpen > 0:
        image = sharpened(image, stage.sharpen, real)
    return np.clip(image, -1, 1)


def refresh(sampler, stage, latents, picture, size):
    """Clean latents of `size` from those of the stage before, or from a given picture."""
    bundle, real = sampler.bundle, sampler.real
    if stage.enlarge == "latent":
        return bilinear(latents, *size)
    image = bundle.decode(latents, real).astype(real) if picture is None else picture
    height, width = (n * bundle.factor for n in size)
    return bundle.encode_picture(enlarged(bundle, stage, image, height, width, real), real)


def canvas_of(sampler, stage):
    axes, multiple = (sampler.y, sampler.x), sampler.bundle.multiple
    if stage.scale is None:
        return tuple(a.canvas for a in axes)
    return tuple(min(a.canvas, math.ceil(math.ceil(a.patch * stage.scale - 1e-9) / multiple) * multiple) for a in axes)


def told(sampler, stage, size):
    cells = {"stage": size, "native": (sampler.y.patch, sampler.x.patch),
             "picture": (sampler.y.canvas, sampler.x.canvas)}[stage.told]
    return tuple(n * sampler.bundle.factor for n in cells)


def outputs(sampler, stage, settings, row, x, counter, factor):
    """Model output of the canvas with the stage's guidance times `factor`, [C, H, W]."""
    scale = 1.0 if settings.guidance_scale == 1 else max(1.0, factor * settings.guidance_scale)
    if stage.windows == 0:
        return sampler.estimate(row, x[None], sampler.whole_time_ids(1), scale)[0][0]
    native = sampler.bundle.native[0]
    stride = settings.window_stride or max(1, math.floor(stage.windows * native + 0.5))
    sampler.s = replace(settings, stage2_guidance_scale=scale, window_stride=stride)
    m = sampler.windows(row, x, counter)
    sampler.s = settings
    return m


def run_stage(sampler, stage, number, x, first, held, before):
    """Steps of one stage; the counters of random numbers go on from `first`. held: the refreshed latents."""
    asked, real = sampler.s, sampler.real
    settings = sampler.s = asked if stage.interval is None else replace(asked, guidance_interval=stage.interval)
    table = stretch(settings, stage).rounded(real)
    low = low_pass(stage, before) if before is not None else None
    hold = math.floor(stage.hold * len(table.rows) + 0.5)
    past = Past(table, settings.guides)
    sampler.begin_cache()
    steps = []
    for k, base in enumerate(table.rows):
        row = past.row(k)
        e = noise_estimate(row, outputs(sampler, stage, settings, base, x, first + k, stage.guidance), x)
        if low is not None and stage.low is not None and stage.low != stage.guidance:
            e_low = noise_estimate(row, outputs(sampler, stage, settings, base, x, first + k, stage.low), x)
            e = e + low(e_low - e)
        if low is not None and k < hold:
            d = clean(row, x, e)
            d = d + low(held - d)
            e = (x - row.cleanScale * d) / row.sigma
        after = step(row, x, e, lambda c=first + k: step_noise(settings.seed, c, x.shape).astype(real), past.predictions)
        past.keep(kept(row, x, e))
        x = after
        steps.append(x)
    sampler.s = asked
    sampler.run.relay[number] = steps
    return x, len(steps)


def run(sampler):
    run, settings, real = sampler.run, sampler.s, sampler.real
    assert sampler.y.s == sampler.x.s, "a relay cuts patches of the picture's aspect"
    table = table_of(settings, sampler.y.s)
    picture = None if settings.image is None else demofusion.native_picture(sampler)
    latents, before, first = None, None, 0
    for number, stage in enumerate(table, 1):
        if picture is not None and number == 1:
            before = (sampler.y.patch, sampler.x.patch)
            continue
        size = canvas_of(sampler, stage)
        sampler.size = told(sampler, stage, size)
        held = None
        if before is None:
            run.initial = run.initial / run.table.initScale * stretch(settings, stage).rounded(real).initScale
            x = run.initial[0]
        else:
            held = refresh(sampler, stage, latents, picture if number == 2 else None, size)
            level = stretch(settings, stage).rounded(real).rows[0]
            noise = philox.normals(settings.seed, np.arange(held.size), number, philox.PHASE_NOISE).reshape(held.shape)
            x = operations.blend(level.alpha, held, level.sigma, noise.astype(real))
        latents, steps = run_stage(sampler, stage, number, x, first, held, before)
        before, first = size, first + steps
    run.latents = latents
    return run
