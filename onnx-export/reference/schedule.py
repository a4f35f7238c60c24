# SPDX-License-Identifier: Apache-2.0
"""SPEC.md section 2: a scheduler is a table of coefficients, one row per step."""

from dataclasses import astuple, dataclass, fields, replace
from functools import partial

import numpy as np
import scipy.stats

# Align Your Steps (arXiv 2404.14507), published for 10 steps
ALIGNED = {
    "ays": (14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141, 0.5550693289, 0.3798540708,
            0.2332364134, 0.1114188177, 0.0291671582),
    "ays_sd1": (14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092, 0.9642583904, 0.6523686016,
                0.3977456272, 0.1515232662, 0.0291671582),
}


@dataclass(frozen=True)
class Row:
    """x = alpha * x0 + sigma * noise; e = predM * m + predX * x; x' = stepX * x + stepE * e + stepN * n + sum stepPast[j] * D_j.

    D_j is the clean latent that was predicted j + 1 steps before, with keepsEstimate the estimate e that was made there.
    e estimates the noise, or of a flow the velocity: x = cleanScale * x0 + sigma * e.
    """

    timestep: float
    alpha: float
    sigma: float
    inScale: float
    predM: float
    predX: float
    stepX: float
    stepE: float
    stepN: float
    cleanScale: float | None = None  # alpha; of a flow 1
    stepPast: tuple = ()
    keepsEstimate: bool = False

    def __post_init__(self):
        if self.cleanScale is None:
            object.__setattr__(self, "cleanScale", self.alpha)

    def rounded(self, real):
        """The same row in another floating-point type."""
        *scalars, past, keeps = astuple(self)
        return Row(*(real(v) for v in scalars), tuple(real(v) for v in past), keeps)


COLUMNS = [f.name for f in fields(Row) if f.name not in ("cleanScale", "stepPast", "keepsEstimate")]


@dataclass(frozen=True)
class Table:
    rows: tuple  # one per step, of first order
    end_alpha: float
    end_sigma: float
    initScale: float
    later: tuple = ()  # of a solver with a memory: rows that take 1, 2, .. past predictions, as many as there are at that step

    @property
    def history(self):
        """How many past predictions the solver keeps."""
        return len(self.later)

    def row(self, k, past):
        return self.rows[k] if past == 0 else self.later[past - 1][k]

    def rounded(self, real):
        rows, *later = (tuple(r.rounded(real) for r in rows) for rows in (self.rows, *self.later))
        return replace(self, rows=rows, later=tuple(later), initScale=real(self.initScale))


def alphas_cumprod(beta_start=0.00085, beta_end=0.012, train=1000):
    """Scaled-linear betas (SPEC.md names them by the bundle; methods.md section 8.1)."""
    betas = np.linspace(beta_start**0.5, beta_end**0.5, train, dtype=np.float64) ** 2
    return np.cumprod(1.0 - betas)


def zero_terminal_snr(abar):
    """Rescaled so that the last timestep has no signal (arXiv 2305.08891, Algorithm 1)."""
    root = np.sqrt(abar)
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


def little_signal(abar):
    """For latents x0 + sigma * n, whose last sigma would be infinite: as diffusers."""
    return np.append(abar[:-1], 2.0**-24) if abar[-1] == 0 else abar


def timesteps(steps, spacing, offset=1, train=1000, integers=False):
    k = np.arange(steps, dtype=np.float64)
    if spacing == "leading":
        return float(train // steps) * (steps - 1 - k) + offset
    if spacing == "trailing":
        # As np.arange(train, 0, -train/steps) in diffusers: multiples of its rounded step decide some ties (48 steps).
        return np.rint(train + k * ((train - train / steps) - train)) - 1
    if spacing == "sgm_uniform":
        return (steps - k) * (train - 1) / steps
    if spacing == "simple":
        return train - 1 - np.floor(k * (train / steps))
    if spacing == "distilled":  # every 20th timestep, and of those as many as there are steps
        origin = np.arange(1, 51) * (train // 50) - 1.0
        return origin[::-1][np.floor(np.linspace(0, 50, steps, endpoint=False)).astype(int)]
    if spacing == "linspace":
        t = (steps - 1 - k) * (train - 1) / max(1, steps - 1)
        return np.rint(t) if integers else t
    raise ValueError(spacing)


def sigma_grid(steps, spacing, offset, abar):
    """(timesteps, sigmas); of karras and exponential the timesteps come from the sigmas."""
    trained = np.sqrt((1.0 - abar) / abar)
    if spacing not in ("karras", "exponential", "beta", *ALIGNED):
        t = timesteps(steps, spacing, offset, len(abar))
        return t, np.interp(t, np.arange(len(abar)), trained)
    if spacing == "beta":
        sigma = trained[0] + scipy.stats.beta.ppf(np.linspace(1, 0, steps), 0.6, 0.6) * (trained[-1] - trained[0])
        return np.interp(np.log(sigma), np.log(trained), np.arange(len(abar))), sigma
    if spacing in ALIGNED:
        table = np.log(ALIGNED[spacing])
        sigma = np.exp(np.interp(np.linspace(0, 1, steps + 1), np.linspace(0, 1, len(table)), table))[:-1]
        return np.interp(np.log(sigma), np.log(trained), np.arange(len(abar))), sigma
    to, back = (lambda v: v ** (1 / 7), lambda v: v**7) if spacing == "karras" else (np.log, np.exp)
    sigma = back(np.linspace(to(trained[-1]), to(trained[0]), steps))
    return np.interp(np.log(sigma), np.log(trained), np.arange(len(abar))), sigma


def on_sigma(steps, spacing="leading", prediction="epsilon", offset=1, abar=None):
    """Latents x0 + sigma * n: rows without a step, and the sigma that each step leads to."""
    abar = alphas_cumprod() if abar is None else abar
    t, sigma = sigma_grid(steps, spacing, offset, abar)
    # diffusers takes the largest sigma, which is the first; steps of distilled networks begin with noise of variance 1
    start = np.sqrt(sigma[0] ** 2 + 1.0) if spacing in ("leading", "distilled") else sigma[0]
    return Table(sigma_rows(t, sigma, prediction), 1.0, 0.0, start)


def sigma_rows(t, sigma, prediction):
    rows = []
    for t_k, s in zip(t, sigma):
        in_scale = 1.0 / np.sqrt(s * s + 1.0)
        predict = (1.0, 0.0) if prediction == "epsilon" else (in_scale, s / (s * s + 1.0))
        rows.append(Row(t_k, 1.0, s, in_scale, *predict, 1.0, 0.0, 0.0))
    return tuple(rows)


def euler(*grid, **options):
    table = on_sigma(*grid, **options)
    return replace(table, rows=euler_rows(table.rows))


def euler_rows(levels):
    after = [r.sigma for r in levels[1:]] + [0.0]
    return tuple(replace(r, stepE=s - r.sigma) for r, s in zip(levels, after))


def dpmpp_2m_row(levels, k, past):
    """DPM-Solver++(2M) (arXiv 2211.01095, Algorithm 2): D is continued along the line through the last two."""
    r = levels[k]
    alpha, sigma = (levels[k + 1].alpha, levels[k + 1].sigma) if k + 1 < len(levels) else (1.0, 0.0)
    if past == 0 or sigma == 0:
        step_d = alpha - sigma * r.alpha / r.sigma
        latest, before = step_d, 0.0
    else:
        lam = [np.log(a / s) if a > 0 else -np.inf
               for a, s in ((levels[k - 1].alpha, levels[k - 1].sigma), (r.alpha, r.sigma), (alpha, sigma))]
        h, h_last = lam[2] - lam[1], lam[1] - lam[0]
        step_d = -alpha * np.expm1(-h)
        latest, before = step_d * (1 + h / (2 * h_last)), -step_d * h / (2 * h_last)
    d = latest / r.cleanScale  # D = (x - sigma e) / cleanScale
    return replace(r, stepX=sigma / r.sigma + d, stepE=-d * r.sigma, stepN=0.0, stepPast=(before,) if past else ())


def on_clean(r, kept, noise, *weights):
    """x' = kept * x + sum weights[j] * D_j + noise * n, with D_0 = (x - sigma e) / cleanScale."""
    d = weights[0] / r.cleanScale
    return replace(r, stepX=kept + d, stepE=-d * r.sigma, stepN=noise, stepPast=tuple(weights[1:]))


def widths(levels, k):
    """ln of the quotient of sigmas: of step k, and of the steps before it, the latest first."""
    after = levels[k + 1].sigma if k + 1 < len(levels) else 0.0
    sigma = [r.sigma for r in levels[:k + 1]] + [after]
    return [np.log(sigma[i] / sigma[i + 1]) for i in range(k, -1, -1)], after


def to_clean(r, past):
    return on_clean(r, 0.0, 0.0, 1.0, *[0.0] * past)


def euler_a_row(levels, k, past, eta):
    r = levels[k]
    after = levels[k + 1].sigma if k + 1 < len(levels) else 0.0
    up = min(after, eta * np.sqrt(after**2 * (r.sigma**2 - after**2) / r.sigma**2))
    return replace(r, stepX=1.0, stepE=np.sqrt(after**2 - up**2) - r.sigma, stepN=up)


def dpmpp_2m_sde_row(levels, k, past, eta):
    if k + 1 == len(levels):
        return to_clean(levels[k], past)
    (h, *before), after = widths(levels, k)
    kept, p, noise = after / levels[k].sigma * np.exp(-eta * h), 1 - np.exp(-h * (1 + eta)), after * np.sqrt(1 - np.exp(-2 * eta * h))
    slope = p / (2 * before[0] / h) if past else 0.0
    return on_clean(levels[k], kept, noise, *((p + slope, -slope) if past else (p,)))


def dpmpp_3m_sde_row(levels, k, past, eta):
    if k + 1 == len(levels):
        return to_clean(levels[k], past)
    (h, *before), after = widths(levels, k)
    wide = h * (1 + eta)
    kept, p, noise = np.exp(-wide), 1 - np.exp(-wide), after * np.sqrt(1 - np.exp(-2 * eta * h))
    f2 = (np.exp(-wide) - 1) / wide + 1
    if past == 0:
        return on_clean(levels[k], kept, noise, p)
    r0 = before[0] / h
    if past == 1:
        return on_clean(levels[k], kept, noise, p + f2 / r0, -f2 / r0)
    r1, f3 = before[1] / h, f2 / wide - 0.5
    # k-diffusion: d1_0 = (D - D_1) / r0, d1_1 = (D_1 - D_2) / r1, d1 = d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1), d2 = (d1_0 - d1_1) / (r0 + r1)
    q = 1 / (r0 + r1)
    of_d10, of_d11 = f2 * (1 + r0 * q) - f3 * q, -f2 * r0 * q + f3 * q
    return on_clean(levels[k], kept, noise, p + of_d10 / r0, -of_d10 / r0 + of_d11 / r1, -of_d11 / r1)


def res_multistep_row(levels, k, past, eta):
    if k + 1 == len(levels):
        return to_clean(levels[k], past)
    (h, *before), after = widths(levels, k)
    phi1 = (1 - np.exp(-h)) / h
    phi2 = (1 - phi1) / h
    if past == 0:
        return on_clean(levels[k], np.exp(-h), 0.0, h * phi1)
    r = before[0] / h
    return on_clean(levels[k], np.exp(-h), 0.0, h * (phi1 + phi2 / r), -h * phi2 / r)


def unipc_predictor(h, before, order):
    """Weights of D_i, D_i-1: arXiv 2302.04867 with B(h) = e^h - 1, on clean latents."""
    b = np.exp(-h) - 1
    if order == 1:
        return np.array([-b, 0.0])
    slope = -b * 0.5 / (-before / h)
    return np.array([-b - slope, slope])


def unipc_corrector(h, before, order):
    """Weights of D_i+1, D_i, D_i-1."""
    b = np.exp(-h) - 1
    if order == 1:
        return np.array([-b / 2, -b / 2, 0.0])
    r = -before / h
    phi1 = b / -h - 1
    phi2 = phi1 / -h - 1 / 2
    rho, latest = np.linalg.solve([[1, 1], [r, 1]], [phi1 / b, phi2 * 2 / b])
    return np.array([-b * latest, -b + b * latest + b * rho / r, -b * rho / r])


def unipc_row(levels, k, past, eta):
    """Predictor after corrector: the corrected y_i = x_i + (what the corrector and the predictor before differ in)."""
    if k + 1 == len(levels):
        return to_clean(levels[k], past)
    (h, *before), after = widths(levels, k)
    kept = after / levels[k].sigma
    weights = np.zeros(3)
    if past > 0:
        order, last = min(2, past), before[1] if past > 1 else None
        corrected = unipc_corrector(before[0], last, order)
        corrected[1:] -= unipc_predictor(before[0], last, order)
        weights += kept * corrected
    weights[:2] += unipc_predictor(h, before[0] if past else None, min(2, past + 1))
    return on_clean(levels[k], kept, 0.0, *weights[:past + 1])


def lcm_row(levels, k, past, eta):
    """arXiv 2310.04378, Algorithm 4, with the boundary condition of diffusers."""
    r = levels[k]
    scaled = 10 * r.timestep
    skip, out = 0.25 / (scaled**2 + 0.25), scaled / np.sqrt(scaled**2 + 0.25)
    return on_clean(r, skip * r.inScale, levels[k + 1].sigma if k + 1 < len(levels) else 0.0, out)


def multistep(levels, k, past, integral):
    """x' = x + sum c_j e_j: the estimates of this step and those before, whose weights are integrals of Lagrange's polynomials."""
    c = [integral(j) for j in range(past + 1)]
    return replace(levels[k], stepX=1.0, stepE=c[0], stepN=0.0, stepPast=tuple(c[1:]), keepsEstimate=True)


def to_zero(levels, k, past):
    return multistep(levels, k, past, lambda j: 0.0 if j else -levels[k].sigma)


def lms_row(levels, k, past, eta, cut=False):
    """k-diffusion's LMS: Lagrange's polynomials in sigma, integrated as polynomials."""
    if cut and k + 1 == len(levels):
        return to_zero(levels, k, past)
    nodes = [levels[k - j].sigma for j in range(past + 1)]
    after = levels[k + 1].sigma if k + 1 < len(levels) else 0.0

    def integral(j):
        others = nodes[:j] + nodes[j + 1:]
        whole = np.poly1d(np.poly(others) if others else [1.0]).integ()
        return (whole(after) - whole(nodes[0])) / np.prod([nodes[j] - o for o in others])
    return multistep(levels, k, past, integral)


def ipndm_row(levels, k, past, eta):
    """ComfyUI's iPNDM: Adams-Bashforth with the weights of equal steps."""
    if k + 1 == len(levels):
        return to_zero(levels, k, past)
    weights = ([1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24])[past]
    return multistep(levels, k, past, lambda j: (levels[k + 1].sigma - levels[k].sigma) * weights[j])


def deis_row(levels, k, past, eta):
    """DEIS (arXiv 2204.13902), polynomials in ln sigma; integrals as diffusers writes them."""
    if k + 1 == len(levels):
        return to_zero(levels, k, past)
    sigma, after = levels[k].sigma, levels[k + 1].sigma
    if past == 0:
        return multistep(levels, k, past, lambda j: after - sigma)
    logs = [np.log(levels[k - j].sigma) for j in range(past + 1)]

    def primitive(s, j):
        t, (b, c, *d) = np.log(s), [logs[(j + i) % len(logs)] for i in range(len(logs))]
        if not d:
            return s * (t - c - 1) / (b - c)
        return s * (c * (d[0] - t + 1) - d[0] * t + d[0] + t**2 - 2 * t + 2) / ((b - c) * (b - d[0]))
    return multistep(levels, k, past, lambda j: primitive(after, j) - primitive(sigma, j))


SOLVERS = {  # on latents x0 + sigma * n: the row of a step, and how many past predictions it takes
    "euler_a": (euler_a_row, 0), "dpmpp_2m_sde": (dpmpp_2m_sde_row, 1), "unipc": (unipc_row, 2), "lcm": (lcm_row, 0),
    "dpmpp_3m_sde": (dpmpp_3m_sde_row, 2), "res_multistep": (res_multistep_row, 1),
    "lms": (lms_row, 3), "ipndm": (ipndm_row, 3), "deis": (deis_row, 2),
}


def dpmpp_2m(table):
    """The table's levels with the steps of DPM-Solver++(2M)."""
    rows, later = (tuple(dpmpp_2m_row(table.rows, k, min(past, k)) for k in range(len(table.rows))) for past in (0, 1))
    return replace(table, rows=rows, later=(later,))


def ddim_row(abar, t, a_p, prediction, eta):
    a = abar[int(t)]
    if a == 0:  # without signal x is the noise and v is -x0: e = x + v, x0 = x - e
        s = eta * np.sqrt(1.0 - a_p)
        return Row(t, 0.0, 1.0, 1.0, 1.0, 1.0, np.sqrt(1.0 - a_p - s * s) + np.sqrt(a_p), -np.sqrt(a_p), s, 1.0)
    alpha, sigma = np.sqrt(a), np.sqrt(1.0 - a)
    s = eta * np.sqrt((1.0 - a_p) / (1.0 - a) * (1.0 - a / a_p))
    step_x = np.sqrt(a_p / a)
    step_e = np.sqrt(1.0 - a_p - s * s) - step_x * sigma
    predict = (1.0, 0.0) if prediction == "epsilon" else (alpha, sigma)
    return Row(t, alpha, sigma, 1.0, *predict, step_x, step_e, s)


def ddim_targets(abar, t, stride):
    """abar where each step leads; set_alpha_to_one = False."""
    return [abar[int(v) - stride] if int(v) >= stride else abar[0] for v in t]


def ddpm_targets(abar, t, stride):
    """The last step ends without noise."""
    return [abar[int(v) - stride] if int(v) >= stride else 1.0 for v in t]


def ddim(steps, spacing="leading", prediction="epsilon", eta=0.0, offset=1, abar=None, targets_of=ddim_targets):
    abar = alphas_cumprod() if abar is None else abar
    train = len(abar)
    t = timesteps(steps, spacing, offset, train, integers=True)
    targets = targets_of(abar, t, train // steps)
    rows = tuple(ddim_row(abar, v, a_p, prediction, eta) for v, a_p in zip(t, targets))
    return Table(rows, np.sqrt(targets[-1]), np.sqrt(1.0 - targets[-1]), 1.0)


def tcd_rows(abar, t, prediction, eta, cut=False):
    """arXiv 2402.19159, Algorithm 4, as diffusers: DDIM to floor((1 - eta) t') and noise up to the next timestep t'; the last is 0."""
    rows = []
    for v, after in zip(t, [*t[1:], 0]):
        row = ddim_row(abar, v, 1.0, prediction, 0.0)
        a_p, a_s = (1.0, 1.0) if cut and len(rows) + 1 == len(t) else (abar[int(after)], abar[int((1 - eta) * after)])
        # x0 = (x - sigma e) / cleanScale, noise = (x - alpha x0) / sigma
        of_x0, of_noise = np.sqrt(a_p), np.sqrt(a_p / a_s * (1.0 - a_s))
        of_x0 = of_x0 - of_noise * row.alpha / row.sigma
        rows.append(on_clean(row, of_noise / row.sigma, np.sqrt(max(0.0, 1.0 - a_p / a_s)), of_x0))
    return tuple(rows)


def tcd(steps, spacing="distilled", prediction="epsilon", eta=0.3, offset=1, abar=None):
    abar = alphas_cumprod() if abar is None else abar
    t = timesteps(steps, spacing, offset, len(abar), integers=True)
    return Table(tcd_rows(abar, t, prediction, eta), np.sqrt(abar[0]), np.sqrt(1.0 - abar[0]), 1.0)


def part(scheduler, of, first, end, spacing="leading", prediction="epsilon", eta=0.0):
    """Steps first .. end - 1 of `of`; before the last of them they end with the clean latents that they predict."""
    whole = table(scheduler, of, spacing, prediction, eta)
    if scheduler == "tcd":
        t = np.array([r.timestep for r in whole.rows])
        last = whole.rows[end - 1:end] if end == of else tcd_rows(alphas_cumprod(), t[end - 1:end], prediction, eta, cut=True)
        return replace(whole, rows=(*whole.rows[first:end - 1], *last))
    if scheduler in ("ddim", "ddpm"):
        rows = list(whole.rows[first:end])
        if end < of:
            rows[-1] = ddim_row(alphas_cumprod(), rows[-1].timestep, 1.0, prediction, 1.0 if scheduler == "ddpm" else eta)
        return replace(whole, rows=tuple(rows))
    levels = on_sigma(of, spacing, prediction)
    return stepping(scheduler, replace(levels, rows=levels.rows[first:end]), eta, cut=end < of)


def between(scheduler, start, end, steps, prediction="epsilon", eta=0.0):
    """FreCaS: timesteps at equal distances, rounded down; DDIM by the strides of its code."""
    abar = alphas_cumprod()
    t = np.floor(np.linspace(start, end, steps))
    if scheduler == "tcd":
        return Table(tcd_rows(abar, t, prediction, eta, cut=end > 0), np.sqrt(abar[0]), np.sqrt(1.0 - abar[0]), 1.0)
    if scheduler in ("ddim", "ddpm"):
        strides = int(1000 / (start - end) * (steps - 1))
        targets_of, eta = (ddpm_targets, 1.0) if scheduler == "ddpm" else (ddim_targets, eta)
        targets = targets_of(abar, t, 1000 // strides if strides else 1000)
        if end > 0:
            targets[-1] = 1.0
        rows = tuple(ddim_row(abar, v, a_p, prediction, eta) for v, a_p in zip(t, targets))
        return Table(rows, np.sqrt(targets[-1]), np.sqrt(1.0 - targets[-1]), 1.0)
    sigma = np.sqrt((1.0 - abar) / abar)[t.astype(int)]
    return stepping(scheduler, Table(sigma_rows(t, sigma, prediction), 1.0, 0.0, np.sqrt(sigma[0] ** 2 + 1.0)), eta, cut=end > 0)


def stepping(scheduler, levels, eta=0.0, cut=False):
    """Levels of latents x0 + sigma * n with the steps of a solver; cut: they end above the last level, with the clean latents predicted there."""
    if scheduler in SOLVERS:
        row, history = SOLVERS[scheduler]
        if scheduler == "lms":
            row = partial(lms_row, cut=cut)
        rows, *later = (tuple(row(levels.rows, k, min(past, k), eta) for k in range(len(levels.rows))) for past in range(history + 1))
        return replace(levels, rows=rows, later=tuple(later))
    return replace(levels, rows=euler_rows(levels.rows)) if scheduler == "euler" else dpmpp_2m(levels)


def flow_euler(steps, shift=3.0, train=1000):
    """Flow matching: x = (1 - sigma) x0 + sigma n, the network gives the velocity n - x0 (arXiv 2403.03206)."""
    def shifted(sigma):
        return shift * sigma / (1.0 + (shift - 1.0) * sigma)
    sigma = np.append(shifted(np.linspace(1.0, shifted(1.0 / train), steps)), 0.0)
    rows = [Row(train * s, 1.0 - s, s, 1.0, 1.0, 0.0, 1.0, after - s, 0.0, 1.0) for s, after in zip(sigma, sigma[1:])]
    return Table(tuple(rows), 1.0, 0.0, 1.0)


def table(scheduler, steps, spacing="leading", prediction="epsilon", eta=0.0, zero_snr=False):
    abar = zero_terminal_snr(alphas_cumprod()) if zero_snr else alphas_cumprod()
    if scheduler == "euler":
        return euler(steps, spacing, prediction, abar=little_signal(abar))
    if scheduler == "ddim":
        return ddim(steps, spacing, prediction, eta, abar=abar)
    if scheduler == "dpmpp_2m":
        return dpmpp_2m(on_sigma(steps, spacing, prediction, abar=little_signal(abar)))
    if scheduler == "ddpm":
        return ddim(steps, spacing, prediction, 1.0, abar=abar, targets_of=ddpm_targets)
    if scheduler == "tcd":
        return tcd(steps, spacing, prediction, eta, abar=abar)
    if scheduler in SOLVERS:
        return stepping(scheduler, on_sigma(steps, spacing, prediction, abar=little_signal(abar)), eta)
    raise ValueError(scheduler)
