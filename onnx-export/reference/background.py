# SPDX-License-Identifier: Apache-2.0
"""SPEC.md section 10: windows that hold no object, by the key patch's mask, get another prompt or guidance scale."""

import numpy as np

from . import plan

THRESHOLD = 0.5


def object_share(mask, s_h, s_w, y0, x0, height, width):
    """Share of a window's cells whose cell in the patch is of the object."""
    held = [mask[y // s_h, x // s_w] >= THRESHOLD for y in range(y0, y0 + height) for x in range(x0, x0 + width)]
    return sum(held) / len(held)


def decide(sampler, mask):
    """mask: [h, w] of the key patch after the last step of stage 1. One bool per window of stage 2."""
    canvas = [sampler.y.canvas, sampler.x.canvas]
    still = plan.windows(canvas, sampler.bundle.native, sampler.stride(), (0, 0), sampler.s.seed, 0)
    shares = [object_share(mask, sampler.y.s, sampler.x.s, y0, x0, still.height, still.width)
              for y0, x0 in zip(still.y, still.x)]
    return np.array(shares) < sampler.s.object_share
