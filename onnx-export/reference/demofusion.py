# SPDX-License-Identifier: Apache-2.0
"""DemoFusion (arXiv 2311.16973): phases of growing size, each noised from the one before.

The paper's three parts are progressive upscaling, the skip residual and dilated sampling.
"""

import math

import numpy as np

from . import operations, philox, plan
from .sampler import Past, start_picture

DEFAULTS = {"method": "demofusion", "patch_aspect": "picture", "window_weight": "uniform",
            "window_conditioning": "crop"}
TRAIN = 1000


def first_phase(sampler):
    """Plain sampling at native size."""
    x = sampler.run.initial[0]
    sampler.run.phases[1] = []
    past = Past(sampler.run.table, sampler.s.guides)
    for k, row in enumerate(sampler.run.table.rows):
        x = sampler.advance(past, k, x, sampler.whole_view(row, x), k)
        sampler.run.phases[1].append(x)
    return x


def native_picture(sampler):
    """The start picture at native size, [3, h, w] in -1..1."""
    return start_picture(sampler, [axis.patch * axis.factor for axis in (sampler.y, sampler.x)])


def dilated_views(x, s):
    """View a*s + b holds every s-th cell from (a, b) on; plan.relocate is the inverse."""
    return np.stack([x[:, a::s, b::s] for a in range(s) for b in range(s)])


def courses(settings, timestep):
    """c1 of the skip residual, c2 of the dilated views, c3 of the blur; all from about 1 down to about 0."""
    f = 0.5 * (1 + math.cos(math.pi * (TRAIN - timestep) / TRAIN))
    return f**settings.skip_exponent, f**settings.dilated_exponent, 0.99 * f**settings.blur_exponent + 0.01


def phase(sampler, number, previous, anchor):
    s, real, steps = sampler.s, sampler.real, sampler.s.steps
    z = operations.bicubic(previous, number * sampler.y.patch, number * sampler.x.patch)
    noise = philox.normals(s.seed, np.arange(z.size), number, philox.PHASE_NOISE).reshape(z.shape).astype(real)
    sampler.run.phases[number] = []
    past_local, past_dilated = (Past(sampler.run.table, s.guides) for _ in range(2))
    for k, row in enumerate(sampler.run.table.rows):
        counter = k + steps * (number - 1)
        noised = operations.blend(row.alpha, z, row.sigma, noise)
        c1, c2, c3 = courses(s, float(row.timestep))
        # the skip residual pulls the sample back to the noised previous phase
        x = noised if k == 0 else operations.blend(real(1 - c1), x, real(c1), noised)
        if c1 > 0.5:  # most of x comes from outside: what was predicted before is of another course
            past_local.forget()
            past_dilated.forget()
        local = sampler.advance(past_local, k, x, sampler.windows(row, x, counter), counter)
        # the global path: blurred, so that a view of every s-th cell does not alias; the step is taken from x itself
        blurred = operations.blur(x, 2 * number - 1, s.blur * c3)
        blurred = operations.match_moments(blurred, operations.moments(blurred), operations.moments(x))
        views = dilated_views(blurred, number)
        m, _ = sampler.estimate(row, views, sampler.whole_time_ids(len(views)), s.guidance_scale)
        dilated = sampler.advance(past_dilated, k, x, plan.relocate(m, number, number), counter)
        x = operations.blend(real(1 - c2), local, real(c2), dilated)
        sampler.run.phases[number].append(x)
    return operations.match_moments(x, operations.moments(x), anchor)


def run(sampler):
    run = sampler.run
    assert sampler.y.s == sampler.x.s, "demofusion cuts patches of the picture's aspect"
    if sampler.s.image is None:
        z, first = first_phase(sampler), 2
    else:
        z, first = sampler.bundle.encode_picture(native_picture(sampler), sampler.real), 1
        run.start = z
    anchor = operations.moments(z)
    for number in range(first, sampler.y.s + 1):
        z = phase(sampler, number, z, anchor)
    run.latents = z
    return run
