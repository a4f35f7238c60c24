# SPDX-License-Identifier: Apache-2.0
"""What all methods share: settings, noise, a guided estimate, windows over a canvas, a step (SPEC.md 1, 4, 6, 7).

`real` is the type of all arithmetic: float64 is the reference, float32 measures what rounding does.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from . import operations, philox, plan, schedule
from .cache import Cache
from .model import Denoiser

EVERY = 10**9
#: methods that make a start picture native size and enlarge it; all others begin the canvas with it
ENLARGING = ("demofusion", "relay", "superres")


@dataclass(frozen=True)
class Settings:
    """One request; names as on the command line. The defaults are those of asg; other methods' are in their modules."""

    method: str = "asg"
    width: int = 128
    height: int = 128
    prompt: str = "a red ball on grass"
    negative_prompt: str = ""
    seed: int = 7
    variation_seed: object = None  # of other noise that the initial noise is turned towards
    variation_strength: float = 0.0
    steps: int = 8
    guidance_scale: float = 5.0
    guidance_interval: object = None  # (low, high): guided where low < sigma <= high; None: everywhere
    cache_interval: int = 1  # the whole network in every so many-th step of a stage of windows, its outermost layers in the others
    scheduler: str = "euler"
    spacing: str = "leading"
    eta: float = 0.0
    prediction: str = "epsilon"  # of the bundle; the tiny graph serves as both
    guide_weight: float = 0.6
    guide_schedule: str = "cosine"
    guide_space: str = "latent"
    guide_upsampling: str = "nearest"
    mask: str = "key"
    mask_blocks: tuple = ()
    mask_tokens: tuple = ()
    mask_norm: str = "minmax"
    staleness: int = 1
    interaction: object = "every"  # "every", "off" or how many steps
    stage1_share: float = 0.5
    patch_aspect: str = "picture"
    window_stride: object = None  # None: native / 2
    jitter: object = None  # None: (native - stride) / 4
    window_weight: str = "feather"
    window_conditioning: str = "crop"
    stage2_guidance_scale: object = None  # None: guidance_scale
    regions: tuple = ()  # (x, y, width, height, prompt) in pixels, of windows that lie in one by more than half
    object_share: float = 0.0  # windows that hold less of the object are background
    background_prompt: object = None  # None: prompt
    background_guidance_scale: object = None  # None: stage2_guidance_scale
    image: object = None  # RGB8 [height, width, 3] to start from
    image_fit: str = "exact"
    inpaint: object = None  # RGB8 like the image: white is drawn, black kept
    inpaint_blur: float = 0.0
    inpaint_inverted: bool = False
    outpaint: tuple = (0, 0, 0, 0)  # left, top, right, bottom: pixels that are drawn beside the image
    strength: object = None  # share of the schedule that is drawn from the image; of a relay by its table
    skip_exponent: float = 3.0  # demofusion: a1, a2, a3 and the blur's standard deviation
    dilated_exponent: float = 1.0
    blur_exponent: float = 1.0
    blur: float = 0.8
    preset: object = None  # relay: a table by name
    stages: tuple = ()  # relay: a table, of relay.Stage
    dilation: tuple = ()  # scalecrafter: (group, factor) pairs; groups left out: 1
    dilate_share: float = 0.6
    dilation_course: str = "constant"
    damped_dilation: tuple = ()
    damped_share: float = 0.0

    def guides(self, row):
        """Whether the interval of guidance has the step's noise level."""
        if self.guidance_interval is None:
            return True
        low, high = self.guidance_interval
        return bool(low < row.sigma / row.cleanScale <= high)

    @property
    def keeps(self):
        """Whether some parts of a start picture are kept."""
        return self.inpaint is not None or any(self.outpaint)

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
    background_prompt: object = None
    initial: np.ndarray = None  # [N, C, h, w]: N(0,1) * initScale
    stage1: list = field(default_factory=list)  # per step [N, C, h, w], un-shuffled
    stage2: list = field(default_factory=list)  # per step [C, H, W], of every method that works on the canvas
    phases: dict = field(default_factory=dict)  # phase s: per step [C, s * h, s * w]
    relay: dict = field(default_factory=dict)  # stage of a relay, from 1 on: per step [C, H, W]
    guides: list = field(default_factory=list)  # G made at each step of stage 1, [C, h, w]
    masks: list = field(default_factory=list)  # all patches' masks made at each step, [N, h, w]
    start: np.ndarray = None  # from a picture: its latents, [C, H, W], or of a picture to enlarge [C, h, w]
    dilated_steps: int = 0  # of scalecrafter
    share: np.ndarray = None  # inpainting: how much of a pixel of the canvas is drawn, [H, W]
    background: np.ndarray = None  # per window of stage 2: whether it is without an object
    latents: np.ndarray = None  # [C, H, W]; of superres the native picture's [C, h, w]
    rgb: np.ndarray = None  # superres: the whole canvas, [3, H, W] in 0..1


def guided(settings):
    """The settings with every guidance scale at least 1: up to 1 is none."""
    names = ("guidance_scale", "stage2_guidance_scale", "background_guidance_scale")
    asked = {name: getattr(settings, name) for name in names}
    return replace(settings, **{name: max(1.0, g) for name, g in asked.items() if g is not None})


def combine(m_u, m_c, scale):
    """Classifier-free guidance."""
    return m_c if m_u is None else m_u + scale * (m_c - m_u)


def noise_estimate(row, m, x):
    return row.predM * m + row.predX * x


def clean(row, x, e):
    """The clean latents that an estimate predicts."""
    return (x - row.sigma * e) / row.cleanScale


def kept(row, x, e):
    """What later steps take of this one."""
    return e if row.keepsEstimate else clean(row, x, e)


def step(row, x, e, noise, past=()):
    """One step of the scheduler; noise() is drawn only if the row asks for it. past: what was kept of the steps before."""
    x = row.stepX * x + row.stepE * e
    for weight, d in zip(row.stepPast, past):
        if weight != 0:
            x = x + weight * d
    if row.stepN != 0:
        x = x + row.stepN * noise()
    return x


class Past:
    """What a solver with a memory has kept since its history began, the latest first: predicted clean latents, or estimates."""

    def __init__(self, table, guides):
        self.table, self.guides, self.predictions = table, guides, []

    def row(self, k):
        """The row of step k that takes all predictions that there are; none where guidance begins or ends."""
        if k > 0 and self.guides(self.table.rows[k]) != self.guides(self.table.rows[k - 1]):
            self.forget()
        return self.table.row(k, len(self.predictions))

    def keep(self, prediction):
        self.predictions = [prediction, *self.predictions][:self.table.history]

    def forget(self):
        self.predictions = []


def step_noise(seed, k, shape):
    element = np.arange(int(np.prod(shape)))
    return philox.normals(seed, element, k, philox.STEP_NOISE).reshape(shape)


def skipped_steps(settings):
    """Steps that a start picture takes the place of: strength's share is left, rounded down, at least one."""
    if settings.image is None or settings.method in ENLARGING:
        return 0
    strength = 0.75 if settings.strength is None else settings.strength
    return settings.steps - max(1, math.floor(settings.steps * strength + 1e-9))


def picture_tables(s, axes, source, extents):
    """How a picture of `source` pixels is resampled to `extents`: it lies in them as the picture to draw lies in the canvas."""
    left, top, right, bottom = s.outpaint
    before, rooms = (top, left), (axes[0].pixels - top - bottom, axes[1].pixels - left - right)
    ratios = [n / room for n, room in zip(source, rooms)]
    if s.image_fit in ("crop", "pad"):
        ratios = [(min if s.image_fit == "crop" else max)(ratios)] * 2
    return [operations.antialiased_table(n, extent, (n - ratio * room) / 2 - (axis.crop + first) * ratio, axis.canvas * axis.factor * ratio)
            for n, axis, ratio, extent, room, first in zip(source, axes, ratios, extents, rooms, before)]


def start_picture(sampler, extents):
    """settings.image in `extents` pixels, [3, height, width] in -1..1."""
    real = sampler.real
    v = sampler.s.image.transpose(2, 0, 1).astype(real) * real(1 / 127.5) - real(1)
    return operations.resample(v, *picture_tables(sampler.s, (sampler.y, sampler.x), v.shape[1:], extents))


def drawn_share(sampler):
    """How much of each pixel of the canvas is drawn, [H, W] in 0..1."""
    s, real = sampler.s, sampler.real
    grey = np.zeros(sampler.size, real)
    if s.inpaint is not None:
        v = s.inpaint.transpose(2, 0, 1).astype(real) * real(np.float32(1 / 255))
        v = operations.resample(v, *picture_tables(s, (sampler.y, sampler.x), v.shape[1:], sampler.size))
        grey = sum(real(np.float32(weight)) * plane for weight, plane in zip((0.299, 0.587, 0.114), v))
        grey = 1 - grey if s.inpaint_inverted else grey
    if any(s.outpaint):
        left, top, right, bottom = s.outpaint
        beside = np.ones_like(grey)
        y, x = sampler.y, sampler.x
        beside[y.crop + top:y.crop + y.pixels - bottom, x.crop + left:x.crop + x.pixels - right] = 0
        grey = np.where(beside > 0, 1, grey)
    if s.inpaint_blur > 0:
        reach = max(1, math.ceil(2.5 * s.inpaint_blur))
        taps = np.exp(-((np.arange(2 * reach + 1) - reach) / s.inpaint_blur) ** 2 / 2)
        taps = (taps / taps.sum()).astype(np.float32).astype(real)
        padded = np.pad(grey, reach, mode="reflect")
        across = sum(t * padded[:, i:i + grey.shape[1]] for i, t in enumerate(taps))
        grey = sum(t * across[i:i + grey.shape[0]] for i, t in enumerate(taps))
    half = 0.5 / 255
    return np.where(grey < half, 0, np.where(grey > 1 - half, 1, grey)).astype(real)


def initial_noise(seed, patches, channels, h, w):
    """N(0,1), patch by patch."""
    element = np.arange(patches * channels * h * w)
    return philox.normals(seed, element).reshape(patches, channels, h, w)


class Sampler:
    def __init__(self, bundle, settings, real=np.float64, denoiser=None):
        s = self.s = guided(settings)
        self.bundle, self.real = bundle, real
        self.cache, self.place = None, None  # features of the stage; where its views lie
        y, x = plan.axes(s.width, s.height, bundle.factor, bundle.native, bundle.multiple, s.patch_aspect)
        self.skipped = skipped_steps(s)
        options = (s.spacing, s.prediction, s.eta)
        table = (schedule.part(s.scheduler, s.steps, self.skipped, s.steps, *options) if self.skipped
                 else schedule.table(s.scheduler, s.steps, *options)).rounded(real)
        s = self.s = replace(s, steps=s.steps - self.skipped)
        self.run = Run(s, (y, x), table)
        self.run.prompt, self.run.negative = bundle.encode(s.prompt), bundle.negative(s.negative_prompt)
        self.run.background_prompt = bundle.encode(s.prompt if s.background_prompt is None else s.background_prompt)
        self.region_prompts = [bundle.encode(region[4]) for region in s.regions]
        self.denoiser = denoiser or Denoiser(bundle, self.run.prompt, self.run.negative, s.mask_tokens)
        self.y, self.x, self.patches = y, x, y.s * x.s
        self.size = (y.canvas * bundle.factor, x.canvas * bundle.factor)  # canvas in pixels
        normals = initial_noise(s.seed, self.patches, bundle.channels, y.patch, x.patch)
        if s.variation_seed is not None:
            angle = s.variation_strength * math.pi / 2
            normals = math.cos(angle) * normals + math.sin(angle) * initial_noise(s.variation_seed, *normals.shape)
        self.run.initial = normals.astype(real) * table.initScale
        if s.image is not None and s.method not in ENLARGING:
            self.begin_with_picture(normals.astype(real))

    def begin_with_picture(self, normals):
        """The canvas begins as the picture with noise of the first level."""
        self.run.start = self.bundle.encode_picture(start_picture(self, self.size), self.real)
        first, noise = self.run.table.rows[0], plan.relocate(normals, self.y.s, self.x.s)
        canvas = operations.blend(first.alpha, self.run.start, first.sigma, noise)
        self.run.initial = self.cut(canvas)
        if self.s.keeps:
            self.known_noise, self.run.share = noise, drawn_share(self)
            f = self.bundle.factor
            cells = self.run.share.reshape(self.y.canvas, f, self.x.canvas, f).max((1, 3))
            self.kept = np.broadcast_to((cells == 0).astype(self.real), canvas.shape)

    def cut(self, canvas):
        """A canvas as patches, [N, C, h, w]; plan.relocate is the inverse."""
        return np.stack([canvas[:, a::self.y.s, b::self.x.s] for a in range(self.y.s) for b in range(self.x.s)])

    def put_back(self, x, k):
        """Latents after step k, of the canvas or of all patches, with the picture's in the cells that inpainting keeps."""
        if not self.s.keeps:
            return x
        rows = self.run.table.rows
        level = (rows[k + 1].alpha, rows[k + 1].sigma) if k + 1 < len(rows) else (self.run.table.end_alpha, self.run.table.end_sigma)
        known = operations.blend(self.real(level[0]), self.run.start, self.real(level[1]), self.known_noise)
        known, kept = (v if x.ndim == 3 else self.cut(v) for v in (known, self.kept))
        return x + kept * (known - x)

    def steps_within(self, share):
        """Steps of those that are drawn which fall into the first `share` of the whole schedule."""
        return max(0, plan.stage1_steps(self.skipped + self.s.steps, share) - self.skipped)

    def estimate(self, row, x, time_ids, scale):
        """Model outputs with guidance, [v, C, h, w], and the conditional rows' maps; scale 1: no unconditional rows."""
        scale = scale if self.s.guides(row) else 1
        m_u, m_c, maps = self.network(row, x, time_ids, scale != 1)
        return combine(m_u, m_c, self.real(scale)), maps

    def network(self, row, views, time_ids, guided, prompts=None):
        """Outputs of the denoiser, or of its outermost layers with features that are kept."""
        if self.cache is not None:
            self.cache.begin(row)
        return self.denoiser(row.inScale * views, row.timestep, time_ids, guided, prompts=prompts, cache=self.cache,
                             place=self.place or (None, views.shape[2:]))

    def begin_cache(self):
        """Features of a stage that begins."""
        s = self.s
        self.cache = None if s.cache_interval == 1 else Cache(s.cache_interval, s.guides, s.window_weight)

    def whole_time_ids(self, views):
        """time_ids of views that each show the whole picture: (H, W, 0, 0, H, W) of the canvas in pixels."""
        height, width = self.size
        return np.tile(np.array([[height, width, 0, 0, height, width]], np.float64), (views, 1))

    def whole_view(self, row, x):
        """Model output of one view that is the whole picture, [C, h, w]."""
        return self.estimate(row, x[None], self.whole_time_ids(1), self.s.guidance_scale)[0][0]

    def stride(self):
        return [self.s.window_stride or n // 2 for n in self.bundle.native]

    def windows(self, row, canvas, counter):
        """Averaged model output of windows of native size over the canvas; counter: the jitter's step."""
        s, native, f = self.s, self.bundle.native, self.bundle.factor
        stride = self.stride()
        jitter = [plan.default_jitter(n, t) if s.jitter is None else s.jitter for n, t in zip(native, stride)]
        win = plan.windows(canvas.shape[1:], native, stride, jitter, s.seed, counter)
        views = np.stack([plan.gather(canvas, y0, x0, win.height, win.width) for y0, x0 in zip(win.y, win.x)])
        time_ids = self.whole_time_ids(len(views))
        if s.window_conditioning == "crop":
            time_ids[:, 2] = [(y0 + win.pad_y) * f for y0 in win.y]
            time_ids[:, 3] = [(x0 + win.pad_x) * f for x0 in win.x]
        self.place = win, canvas.shape[1:]
        m_v = self.window_outputs(row, views, time_ids, self.prompts_of(plan.windows(canvas.shape[1:], native, stride, [0, 0], s.seed, counter)) if s.regions else None)
        self.place = None
        return plan.average(m_v, win, canvas.shape, s.window_weight)[0]

    def prompts_of(self, win):
        """Of each window the prompt of the region that covers most of it, if that is more than half; windows without jitter."""
        f, found = self.bundle.factor, []
        for top, left in zip(win.y, win.x):
            shares = [0.5]
            for x, y, width, height, _ in self.s.regions:
                overlap = [max(0, min((first + extent + axis.crop) / f, start + n) - max((first + axis.crop) / f, start))
                           for first, extent, axis, start, n in ((y, height, self.y, top, win.height), (x, width, self.x, left, win.width))]
                shares.append(overlap[0] * overlap[1] / (win.height * win.width))
            best = int(np.argmax(shares))
            found.append(self.run.prompt if best == 0 else self.region_prompts[best - 1])
        return found

    def window_outputs(self, row, views, time_ids, prompts=None):
        s = self.s
        scale = s.guidance_scale if s.stage2_guidance_scale is None else s.stage2_guidance_scale
        if prompts is not None:
            m_u, m_c, _ = self.network(row, views, time_ids, s.guides(row) and scale != 1, prompts)
            return combine(m_u, m_c, self.real(scale))
        if self.run.background is None:
            return self.estimate(row, views, time_ids, scale)[0]
        other = scale if s.background_guidance_scale is None else s.background_guidance_scale
        prompts = [self.run.background_prompt if b else self.run.prompt for b in self.run.background]
        scales = np.where(self.run.background, other, scale).astype(self.real)[:, None, None, None]
        m_u, m_c, _ = self.network(row, views, time_ids, s.guides(row) and bool((scales != 1).any()), prompts)
        return combine(m_u, m_c, scales)

    def advance(self, past, k, x, m, counter):
        """x after step k with the model output m, whose prediction `past` then has; counter: the step noise's step."""
        row = past.row(k)
        e = noise_estimate(row, m, x)
        after = step(row, x, e, lambda: step_noise(self.s.seed, counter, x.shape).astype(self.real), past.predictions)
        past.keep(kept(row, x, e))
        return after

    def canvas_noise(self):
        """The patches' initial noise as a canvas, [C, H, W]."""
        return plan.relocate(self.run.initial, self.y.s, self.x.s)

    def steps_on_canvas(self, canvas, first, model_output, begins=lambda k: False):
        """The steps from `first` on, with model_output(k, row, canvas); the result becomes the latents.

        begins: the steps at which a history begins again.
        """
        past = Past(self.run.table, self.s.guides)
        self.begin_cache()
        for k in range(first, self.s.steps):
            if begins(k):
                past.forget()
            canvas = self.put_back(self.advance(past, k, canvas, model_output(k, self.run.table.rows[k], canvas), k), k)
            self.run.stage2.append(canvas)
        self.run.latents = canvas
        return self.run

    def steps_of_windows(self, canvas, first):
        return self.steps_on_canvas(canvas, first, lambda k, row, x: self.windows(row, x, k))
