# SPDX-License-Identifier: Apache-2.0
"""Stage 1 of CutDiffusion (arXiv 2404.15141) alone, in the order its authors publish.

Written apart from methods.py, to be what ASGDiffusion with guide weight 0 must equal.
"""

import numpy as np

from . import philox


def structure_stage(initial, table, steps, seed, estimate, shuffled_steps):
    """initial: [N, C, h, w]; estimate(row, x) -> noise estimates. Returns the latents after every step."""
    x = initial.copy()
    n, c, h, w = x.shape
    history = []
    for k in range(steps):
        row = table.rows[k]
        order = np.tile(np.arange(n)[:, None], (1, c * h * w))
        if k < shuffled_steps and n > 1:
            order = philox.permutations(seed, k, n, c * h * w)
        shuffled = np.empty_like(x).reshape(n, -1)
        for q in range(c * h * w):
            shuffled[:, q] = x.reshape(n, -1)[order[:, q], q]
        e = estimate(row, shuffled.reshape(x.shape)).reshape(n, -1)
        # the estimates go back to the patches that the pixels came from, and the patches are stepped there
        back = np.empty_like(e)
        for q in range(c * h * w):
            back[order[:, q], q] = e[:, q]
        x = row.stepX * x + row.stepE * back.reshape(x.shape)
        history.append(x)
    return history
