# SPDX-License-Identifier: Apache-2.0
"""SPEC.md section 2: a scheduler is a table of coefficients, one row per step."""

from dataclasses import astuple, dataclass, fields, replace

import numpy as np


@dataclass(frozen=True)
class Row:
    """x = alpha * x0 + sigma * noise; e = predM * m + predX * x; x' = stepX * x + stepE * e + stepN * n.

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

    def __post_init__(self):
        if self.cleanScale is None:
            object.__setattr__(self, "cleanScale", self.alpha)

    def rounded(self, real):
        """The same row in another floating-point type."""
        return Row(*(real(np.float32(v)) if real is np.float32 else real(v) for v in astuple(self)))


COLUMNS = [f.name for f in fields(Row) if f.name != "cleanScale"]


@dataclass(frozen=True)
class Table:
    rows: tuple  # one per step
    end_alpha: float
    end_sigma: float
    initScale: float

    def rounded(self, real):
        return replace(self, rows=tuple(r.rounded(real) for r in self.rows), initScale=real(self.initScale))


def alphas_cumprod(beta_start=0.00085, beta_end=0.012, train=1000):
    """Scaled-linear betas (SPEC.md names them by the bundle; methods.md section 8.1)."""
    betas = np.linspace(beta_start**0.5, beta_end**0.5, train, dtype=np.float64) ** 2
    return np.cumprod(1.0 - betas)


def timesteps(steps, spacing, offset=1, train=1000, integers=False):
    k = np.arange(steps, dtype=np.float64)
    if spacing == "leading":
        return float(train // steps) * (steps - 1 - k) + offset
    if spacing == "trailing":
        # As np.arange(train, 0, -train/steps) in diffusers: multiples of its rounded step decide some ties (48 steps).
        return np.rint(train + k * ((train - train / steps) - train)) - 1
    if spacing == "linspace":
        t = (steps - 1 - k) * (train - 1) / max(1, steps - 1)
        return np.rint(t) if integers else t
    raise ValueError(spacing)


def euler(steps, spacing="leading", prediction="epsilon", offset=1, abar=None):
    abar = alphas_cumprod() if abar is None else abar
    t = timesteps(steps, spacing, offset, len(abar))
    sigma = np.interp(t, np.arange(len(abar)), np.sqrt((1.0 - abar) / abar))
    sigma = np.append(sigma, 0.0)
    rows = []
    for k in range(steps):
        s = sigma[k]
        in_scale = 1.0 / np.sqrt(s * s + 1.0)
        predict = (1.0, 0.0) if prediction == "epsilon" else (in_scale, s / (s * s + 1.0))
        rows.append(Row(t[k], 1.0, s, in_scale, *predict, 1.0, sigma[k + 1] - s, 0.0))
    # diffusers takes the largest sigma, which is the first
    start = np.sqrt(sigma[0] ** 2 + 1.0) if spacing == "leading" else sigma[0]
    return Table(tuple(rows), 1.0, 0.0, start)


def ddim(steps, spacing="leading", prediction="epsilon", eta=0.0, offset=1, abar=None):
    abar = alphas_cumprod() if abar is None else abar
    train = len(abar)
    t = timesteps(steps, spacing, offset, train, integers=True)
    rows = []
    for k in range(steps):
        a = abar[int(t[k])]
        previous = int(t[k]) - train // steps
        a_p = abar[previous] if previous >= 0 else abar[0]  # set_alpha_to_one = False
        alpha, sigma = np.sqrt(a), np.sqrt(1.0 - a)
        s = eta * np.sqrt((1.0 - a_p) / (1.0 - a) * (1.0 - a / a_p))
        step_x = np.sqrt(a_p / a)
        step_e = np.sqrt(1.0 - a_p - s * s) - step_x * sigma
        predict = (1.0, 0.0) if prediction == "epsilon" else (alpha, sigma)
        rows.append(Row(t[k], alpha, sigma, 1.0, *predict, step_x, step_e, s))
    return Table(tuple(rows), np.sqrt(a_p), np.sqrt(1.0 - a_p), 1.0)


def flow_euler(steps, shift=3.0, train=1000):
    """Flow matching: x = (1 - sigma) x0 + sigma n, the network gives the velocity n - x0 (arXiv 2403.03206)."""
    def shifted(sigma):
        return shift * sigma / (1.0 + (shift - 1.0) * sigma)
    sigma = np.append(shifted(np.linspace(1.0, shifted(1.0 / train), steps)), 0.0)
    rows = [Row(train * s, 1.0 - s, s, 1.0, 1.0, 0.0, 1.0, after - s, 0.0, 1.0) for s, after in zip(sigma, sigma[1:])]
    return Table(tuple(rows), 1.0, 0.0, 1.0)


def table(scheduler, steps, spacing="leading", prediction="epsilon", eta=0.0):
    if scheduler == "euler":
        return euler(steps, spacing, prediction)
    if scheduler == "ddim":
        return ddim(steps, spacing, prediction, eta)
    raise ValueError(scheduler)
