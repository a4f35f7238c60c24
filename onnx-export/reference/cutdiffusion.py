# SPDX-License-Identifier: Apache-2.0
"""CutDiffusion (arXiv 2404.15141), its stage 1 in the order its authors publish.

Written apart from asg.py, to be what ASGDiffusion with guide weight 0 must equal.
"""

import numpy as np

from . import asg, background, philox, plan
from .sampler import noise_estimate, step_noise

DEFAULTS = {"method": "cutdiffusion", "guide_weight": 0.0, "guide_space": "noise", "mask": "none", "staleness": 0,
            "window_weight": "uniform", "window_conditioning": "crop"}


def structure_stage(initial, table, steps, seed, estimate, shuffled_steps, guides=lambda row: True, put_back=lambda x, k: x):
    """initial: [N, C, h, w]; estimate(row, x) -> noise estimates. Returns the latents after every step."""
    x = initial.copy()
    n, c, h, w = x.shape
    history = []
    predicted = []  # clean latents of the patches, as the steps before predicted them
    for k in range(steps):
        if k > 0 and guides(table.rows[k]) != guides(table.rows[k - 1]):
            predicted = []
        row = table.row(k, min(len(predicted), table.history))
        order = np.tile(np.arange(n)[:, None], (1, c * h * w))
        if k < shuffled_steps and n > 1:
            order = philox.permutations(seed, k, n, c * h * w)
        shuffled = np.empty_like(x).reshape(n, -1)
        for q in range(c * h * w):
            shuffled[:, q] = x.reshape(n, -1)[order[:, q], q]
        e = estimate(row, shuffled.reshape(x.shape)).reshape(n, -1)

        def back(of_slots):
            """To the patches that the pixels came from."""
            out = np.empty_like(e)
            for q in range(c * h * w):
                out[order[:, q], q] = of_slots[:, q]
            return out.reshape(x.shape)
        # the patches are stepped un-shuffled
        stepped = row.stepX * x + row.stepE * back(e)
        for j, weight in enumerate(row.stepPast):
            stepped = stepped + weight * predicted[-1 - j]
        predicted.append(back(e) if row.keepsEstimate else (x - row.sigma * back(e)) / row.cleanScale)
        if row.stepN != 0:
            stepped = stepped + row.stepN * back(step_noise(seed, k, x.shape).reshape(n, -1).astype(e.dtype))
        x = put_back(stepped, k)
        history.append(x)
    return history


def run(sampler):
    s, run = sampler.s, sampler.run

    def estimate(row, x):
        m, maps = sampler.estimate(row, x, sampler.whole_time_ids(len(x)), s.guidance_scale)
        run.masks.append(asg.patch_masks(s, sampler.bundle, maps, run.prompt.real, x.shape))
        return noise_estimate(row, m, x)
    t1 = sampler.steps_within(s.stage1_share)
    run.stage1 = structure_stage(run.initial, run.table, t1, s.seed, estimate, s.interaction_steps(), s.guides, sampler.put_back)
    if s.object_share > 0:
        run.background = background.decide(sampler, run.masks[-1][0])
    x = run.stage1[-1] if run.stage1 else run.initial
    return sampler.steps_of_windows(plan.relocate(x, sampler.y.s, sampler.x.s), t1)
