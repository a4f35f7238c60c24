# SPDX-License-Identifier: Apache-2.0
"""Features of a UNet that are kept from step to step (DeepCache, arXiv 2312.00858): SPEC.md section 12."""

import numpy as np

from . import plan


class Cache:
    """Of one stage: what the network's last join read from below in the last whole evaluation, for the whole canvas."""

    def __init__(self, interval, guides, weight):
        self.interval, self.guides, self.weight = interval, guides, weight
        self.canvas = {}  # by kind of row, "u" and "c": [F, H, W]
        self.row, self.k, self.whole = None, -1, True

    def begin(self, row):
        """Whether the row's step evaluates the whole network; called several times in a step."""
        if row is not self.row:
            before, self.row, self.k = self.row, row, self.k + 1
            self.whole = self.k % self.interval == 0 or self.guides(row) != self.guides(before)
        return self.whole

    def keep(self, kind, features, win, shape):
        """features: [v, F, h, w] of the windows over a canvas of `shape`; win: None for one view of all of it."""
        self.canvas[kind] = (features[0] if win is None
                             else plan.average(features, win, (features.shape[1], *shape), self.weight)[0])

    def cut(self, kind, win):
        canvas = self.canvas[kind]
        if win is None:
            return canvas[None]
        return np.stack([plan.gather(canvas, y0, x0, win.height, win.width) for y0, x0 in zip(win.y, win.x)])
