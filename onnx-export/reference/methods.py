# SPDX-License-Identifier: Apache-2.0
"""All methods by name, and the picture (SPEC.md section 8)."""

import numpy as np

from . import asg, cutdiffusion, demofusion, direct, multidiffusion, relay, scalecrafter, superres
from .sampler import Sampler

METHODS = {"asg": asg.run, "direct": direct.run, "multidiffusion": multidiffusion.run, "cutdiffusion": cutdiffusion.run,
           "demofusion": demofusion.run, "relay": relay.run, "scalecrafter": scalecrafter.run, "superres": superres.run}


def sample(bundle, settings, real=np.float64):
    return METHODS[settings.method](Sampler(bundle, settings, real))


def rgb8(v):
    """Levels [3, h, w] of 0..255, not yet rounded -> RGB8 [h, w, 3]."""
    return np.ascontiguousarray(np.floor(np.clip(v, 0, 255) + v.dtype.type(0.5)).astype(np.uint8).transpose(1, 2, 0))


def picture(bundle, run, real=np.float64):
    """The decoded float image of the canvas (None for superres), and RGB8 [height, width, 3] of the picture."""
    y, x = run.axes
    crop = np.s_[:, y.crop:y.crop + y.pixels, x.crop:x.crop + x.pixels]
    if run.rgb is not None:
        return None, rgb8(run.rgb[crop] * real(255))
    image = bundle.decode(run.latents.astype(real), real)
    drawn = rgb8(image[crop] * np.float32(127.5) + np.float32(127.5))
    return image, drawn if run.share is None else composite(run, drawn, run.share[crop[1:]])


def composite(run, drawn, share):
    """The drawn picture where it was to be drawn, the given one's bytes elsewhere; of a given picture as large as the one to draw."""
    given = run.settings.image.astype(share.dtype)
    assert given.shape == drawn.shape
    return np.floor(given + share[:, :, None] * (drawn - given) + 0.5).astype(np.uint8)
