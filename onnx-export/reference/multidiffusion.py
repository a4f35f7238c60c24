# SPDX-License-Identifier: Apache-2.0
"""MultiDiffusion (arXiv 2302.08113): overlapping windows over the whole canvas, averaged in every step.

The paper steps every window and averages the results; a step is linear, so averaging the model outputs is the same.
"""

DEFAULTS = {"method": "multidiffusion", "jitter": 0, "window_weight": "uniform", "window_conditioning": "whole"}


def run(sampler):
    return sampler.steps_of_windows(sampler.canvas_noise(), 0)
