# SPDX-License-Identifier: Apache-2.0
"""Direct inference: the model on the whole canvas, as if it had been trained at that size."""


def run(sampler):
    return sampler.steps_on_canvas(sampler.canvas_noise(), 0, lambda k, row, x: sampler.whole_view(row, x))
