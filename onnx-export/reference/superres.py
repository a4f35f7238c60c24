# SPDX-License-Identifier: Apache-2.0
"""Super-resolution of a native picture: the baseline "SDXL + BSRGAN" of the papers."""

import numpy as np

from . import demofusion, operations

DEFAULTS = {"method": "superres", "patch_aspect": "picture"}


def plan_upscaling(scale, available):
    """Scales of the upscalers to run, one after the other, until at least `scale` is reached."""
    chosen, reached = [], 1
    while reached < scale:
        enough = [u for u in available if reached * u >= scale]
        chosen.append(min(enough) if enough else max(available))
        reached *= chosen[-1]
    return chosen


def clamp(v):
    return np.clip(v, 0, 1)


def tiles(image, size, overlap):
    """(rows, columns) of every tile's core and of what the upscaler sees for it."""
    _, height, width = image.shape

    def cut(length):
        return [(slice(a, min(a + size, length)), slice(max(a - overlap, 0), min(a + size + overlap, length)))
                for a in range(0, length, size)]
    return [((cy, cx), (sy, sx)) for cy, sy in cut(height) for cx, sx in cut(width)]


def upscale_in_tiles(image, scale, upscale, size, overlap):
    out = np.empty((3, image.shape[1] * scale, image.shape[2] * scale), image.dtype)
    for (cy, cx), (sy, sx) in tiles(image, size, overlap):
        seen = clamp(upscale(image[:, sy, sx]))
        y, x = (cy.start - sy.start) * scale, (cx.start - sx.start) * scale
        h, w = (cy.stop - cy.start) * scale, (cx.stop - cx.start) * scale
        out[:, cy.start * scale:cy.stop * scale, cx.start * scale:cx.stop * scale] = seen[:, y:y + h, x:x + w]
    return out


def run(sampler):
    run, bundle, y, x = sampler.run, sampler.bundle, sampler.y, sampler.x
    assert y.s == x.s, "superres cuts patches of the picture's aspect"
    if sampler.s.image is None:
        run.latents = demofusion.first_phase(sampler)
        image = bundle.decode(run.latents, sampler.real).astype(sampler.real)
    else:
        image = demofusion.native_picture(sampler)
    image = clamp(image * sampler.real(0.5) + sampler.real(0.5))
    for scale in plan_upscaling(y.s, list(bundle.upscalers)):
        image = clamp(bundle.upscale(image, scale))  # all at once: tiles give the same (checks.py)
    run.rgb = clamp(operations.antialiased_bicubic(image, y.canvas * bundle.factor, x.canvas * bundle.factor))
    return run
