# SPDX-License-Identifier: Apache-2.0
"""ASGDiffusion (arXiv 2412.06163) and direct sampling, as SPEC.md sections 3 to 8 say, step by step.

`real` is the type of all arithmetic: float64 is the reference, float32 measures what rounding does.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from . import mask as masks
from . import philox, plan, schedule
from .model import Denoiser

EVERY = 10**9


@dataclass(frozen=True)
class Settings:
    """One request; names as on the command line."""

    method: str = "asg"
    width: int = 128
    height: int = 128
    prompt: str = "a red ball on grass"
    negative_prompt: str = ""
    seed: int = 7
    steps: int = 8
    guidance_scale: float = 5.0
    scheduler: str = "euler"
    spacing: str = "leading"
    eta: float = 0.0
    prediction: str = "epsilon"  # of the bundle; the tiny graph serves as both
    guide_weight: float = 0.6
    guide_schedule: str = "cosine"
    guide_space: str = "latent"
    mask: str = "key"
    mask_blocks: tuple = ()
    mask_tokens: tuple = ()
    mask_norm: str = "minmax"
    staleness: int = 1
    interaction: object = "every"  # "every", "off" or how many steps
    stage1_share: float = 0.5
    patch_aspect: str = "axis"
    window_stride: object = None  # None: native / 2
    jitter: object = None  # None: (native - stride) / 4
    window_weight: str = "feather"
    window_conditioning: str = "crop"
    stage2_guidance_scale: object = None  # None: guidance_scale

    def interaction_steps(self):
        return {"every": EVERY, "off": 0}.get(self.interaction, self.interaction)


@dataclass
class Run:
    """Everything a run went through."""

    settings: Settings
    axes: tuple
    table: schedule.Table
    prompt: object = None
    negative: object = None
    initial: np.ndarray = None  # [N, C, h, w]: N(0,1) * initScale
    stage1: list = field(default_factory=list)  # per step [N, C, h, w], un-shuffled
    stage2: list = field(default_factory=list)  # per step [C, H, W]
    guides: list = field(default_factory=list)  # G made at each step of stage 1, [C, h, w]
    masks: list = field(default_factory=list)  # all patches' masks made at each step, [N, h, w]
    latents: np.ndarray = None  # [C, H, W]


def combine(m_u, m_c, scale):
    """Classifier-free guidance."""
    return m_c if m_u is None else m_u + scale * (m_c - m_u)


def noise_estimate(row, m, x):
    return row.predM * m + row.predX * x


def step(row, x, e, noise):
    """One step of the scheduler; noise() is drawn only if the row asks for it."""
    x = row.stepX * x + row.stepE * e
    return x + row.stepN * noise() if row.stepN != 0 else x


def step_noise(seed, k, shape):
    element = np.arange(int(np.prod(shape)))
    return philox.normals(seed, element, k, philox.STEP_NOISE).reshape(shape)


def initial_noise(seed, patches, channels, h, w):
    """N(0,1), patch by patch."""
    element = np.arange(patches * channels * h * w)
    return philox.normals(seed, element).reshape(patches, channels, h, w)


def shuffle(x, p):
    """Pixel interaction: shuffled[slot, q] = x[p[slot, q], q]."""
    flat = x.reshape(len(x), -1)
    return np.take_along_axis(flat, p, axis=0).reshape(x.shape)


def unshuffle(shuffled, p):
    """The inverse: x[p[slot, q], q] = shuffled[slot, q]."""
    flat = np.empty_like(shuffled.reshape(len(shuffled), -1))
    np.put_along_axis(flat, p, shuffled.reshape(len(shuffled), -1), axis=0)
    return flat.reshape(shuffled.shape)


def guide_of(row, space, x0, e0):
    """What the key patch tells the others: its noise estimate, or its predicted clean latent."""
    return e0 if space == "noise" else (x0 - row.sigma * e0) / row.alpha


def guided(row, space, x, e, G, wM):
    """Eq. 3 / Eq. 4 on noise estimates; or the same pull on predicted clean latents."""
    if space == "noise":
        return e + wM * (G - e)
    d = (x - row.sigma * e) / row.alpha
    return e - wM * (row.alpha / row.sigma * (G - d))


def guide_weight(settings, k, t1):
    course = {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * k / t1)), "linear": 1 - k / t1}
    return settings.guide_weight * course[settings.guide_schedule]


def patch_masks(settings, bundle, maps, real_tokens, shape):
    """M of every patch, [N, h, w]."""
    n, _, h, w = shape
    if not real_tokens:
        return np.ones((n, h, w), maps[0].dtype)
    chosen = [m for m, b in zip(maps, bundle.blocks) if not settings.mask_blocks or b["block"] in settings.mask_blocks]
    return np.stack([masks.mask([m[i] for m in chosen], h, w, settings.mask_norm) for i in range(n)])


def whole_picture(canvas_y, canvas_x, views):
    """time_ids of a view that shows the whole picture."""
    return np.tile(np.array([[canvas_y, canvas_x, 0, 0, canvas_y, canvas_x]], np.float64), (views, 1))


class Sampler:
    def __init__(self, bundle, settings, real=np.float64, denoiser=None):
        s = self.s = settings
        self.bundle, self.real = bundle, real
        y, x = plan.axes(s.width, s.height, bundle.factor, bundle.native, bundle.multiple, s.patch_aspect)
        table = schedule.table(s.scheduler, s.steps, s.spacing, s.prediction, s.eta).rounded(real)
        self.run = Run(s, (y, x), table)
        self.run.prompt, self.run.negative = bundle.encode(s.prompt), bundle.negative(s.negative_prompt)
        self.denoiser = denoiser or Denoiser(bundle, self.run.prompt, self.run.negative, s.mask_tokens)
        self.y, self.x, self.patches = y, x, y.s * x.s
        self.size = (y.canvas * bundle.factor, x.canvas * bundle.factor)  # canvas in pixels
        normals = initial_noise(s.seed, self.patches, bundle.channels, y.patch, x.patch)
        self.run.initial = normals.astype(real) * table.initScale

    def estimate(self, row, x, time_ids, scale):
        """Model outputs with guidance, [v, C, h, w], and the conditional rows' maps; scale 1: no unconditional rows."""
        m_u, m_c, maps = self.denoiser(row.inScale * x, row.timestep, time_ids, scale != 1)
        return combine(m_u, m_c, self.real(scale)), maps

    # Stage 1: the patches, each a sub-sampled view of the whole picture.
    def stage1(self, x, t1):
        s, run, real = self.s, self.run, self.real
        published = []  # (G, M) of the key patch at every step so far
        for k in range(t1):
            row = run.table.rows[k]
            interacts = k < s.interaction_steps() and self.patches > 1
            if interacts:
                p = philox.permutations(s.seed, k, self.patches, x[0].size)
                x = shuffle(x, p)
            m, maps = self.estimate(row, x, whole_picture(*self.size, self.patches), s.guidance_scale)
            e = noise_estimate(row, m, x)
            M = patch_masks(s, self.bundle, maps, run.prompt.real, x.shape)
            published.append((guide_of(row, s.guide_space, x[0], e[0]), M[0]))
            run.guides.append(published[-1][0])
            run.masks.append(M)
            G, key_mask = published[max(0, k - s.staleness)]
            w = real(guide_weight(s, k, t1))
            e_guided = e.copy()
            for i in range(1, self.patches):
                wM = {"key": w * key_mask, "own": w * M[i], "none": w}[s.mask]
                e_guided[i] = guided(row, s.guide_space, x[i], e[i], G, wM)
            shape = x.shape
            x = step(row, x, e_guided, lambda: step_noise(s.seed, k, shape).astype(real))
            if interacts:
                x = unshuffle(x, p)
            run.stage1.append(x)
        return x

    # Stage 2: windows of native size over the canvas.
    def stage2(self, canvas, t1):
        s, run, real = self.s, self.run, self.real
        native, f = self.bundle.native, self.bundle.factor
        stride = [s.window_stride or n // 2 for n in native]
        jitter = [plan.default_jitter(n, t) if s.jitter is None else s.jitter for n, t in zip(native, stride)]
        scale = s.guidance_scale if s.stage2_guidance_scale is None else s.stage2_guidance_scale
        for k in range(t1, s.steps):
            row = run.table.rows[k]
            win = plan.windows(canvas.shape[1:], native, stride, jitter, s.seed, k)
            views = np.stack([plan.gather(canvas, y0, x0, win.height, win.width) for y0, x0 in zip(win.y, win.x)])
            time_ids = whole_picture(*self.size, len(views))
            if s.window_conditioning == "crop":
                time_ids[:, 2] = [(y0 + win.pad_y) * f for y0 in win.y]
                time_ids[:, 3] = [(x0 + win.pad_x) * f for x0 in win.x]
            m_v, _ = self.estimate(row, views, time_ids, scale)
            m, _ = plan.average(m_v, win, canvas.shape, s.window_weight)
            e = noise_estimate(row, m, canvas)
            canvas = step(row, canvas, e, lambda: step_noise(s.seed, k, canvas.shape).astype(real))
            run.stage2.append(canvas)
        return canvas

    def asg(self):
        t1 = plan.stage1_steps(self.s.steps, self.s.stage1_share)
        x = self.stage1(self.run.initial, t1)
        self.run.latents = self.stage2(plan.relocate(x, self.y.s, self.x.s), t1)
        return self.run

    def direct(self):
        """One view, the whole canvas, all steps."""
        s, run = self.s, self.run
        canvas = plan.relocate(run.initial, self.y.s, self.x.s)
        for k, row in enumerate(run.table.rows):
            m, _ = self.estimate(row, canvas[None], whole_picture(*self.size, 1), s.guidance_scale)
            e = noise_estimate(row, m[0], canvas)
            canvas = step(row, canvas, e, lambda: step_noise(s.seed, k, canvas.shape).astype(self.real))
            run.stage2.append(canvas)
        run.latents = canvas
        return run


def sample(bundle, settings, real=np.float64):
    sampler = Sampler(bundle, settings, real)
    return {"asg": sampler.asg, "direct": sampler.direct}[settings.method]()


def picture(bundle, run, real=np.float64):
    """The decoded float image of the canvas, and RGB8 [height, width, 3] of the picture."""
    image = bundle.decode(run.latents.astype(real), real)
    y, x = run.axes
    v = np.floor(np.clip(image * np.float32(127.5) + np.float32(127.5), 0, 255) + np.float32(0.5)).astype(np.uint8)
    v = v[:, y.crop:y.crop + y.pixels, x.crop:x.crop + x.pixels]
    return image, np.ascontiguousarray(v.transpose(1, 2, 0))
