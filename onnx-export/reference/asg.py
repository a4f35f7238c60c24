# SPDX-License-Identifier: Apache-2.0
"""ASGDiffusion (arXiv 2412.06163): SPEC.md sections 3 to 6."""

import math

import numpy as np

from . import background, operations, philox, plan
from . import mask as masks
from .sampler import Past, kept, noise_estimate, step, step_noise


def shuffle(x, p):
    """Pixel interaction: shuffled[slot, q] = x[p[slot, q], q]."""
    flat = x.reshape(len(x), -1)
    return np.take_along_axis(flat, p, axis=0).reshape(x.shape)


def unshuffle(shuffled, p):
    """The inverse: x[p[slot, q], q] = shuffled[slot, q]."""
    flat = np.empty_like(shuffled.reshape(len(shuffled), -1))
    np.put_along_axis(flat, p, shuffled.reshape(len(shuffled), -1), axis=0)
    return flat.reshape(shuffled.shape)


def guide_of(row, space, x0, e0):
    """What the key patch tells the others: its noise estimate, or its predicted clean latent."""
    return e0 if space == "noise" else (x0 - row.sigma * e0) / row.cleanScale


def guides_of_all(settings, G, interacted, s_h, s_w):
    """The key patch's guide for every patch, [N, C, h, w]: G enlarged to the canvas and cut like it.

    A key patch with pixels of all patches has its cells in the middle of theirs; patch 0 has its own, the first of each.
    """
    if settings.guide_upsampling == "nearest":
        return np.stack([G] * (s_h * s_w))

    def table(n, s):
        return operations.cubic_table(n, [(i + 0.5) / s - 0.5 if interacted else i / s for i in range(n * s)], -0.5)
    canvas = operations.resample(G, table(G.shape[1], s_h), table(G.shape[2], s_w))
    return np.stack([canvas[:, a::s_h, b::s_w] for a in range(s_h) for b in range(s_w)])


def guided(row, space, x, e, G, wM):
    """Eq. 3 / Eq. 4 on noise estimates; or the same pull on predicted clean latents."""
    if space == "noise":
        return e + wM * (G - e)
    d = (x - row.sigma * e) / row.cleanScale
    return e - wM * (row.cleanScale / row.sigma * (G - d))


def guide_weight(settings, k, t1):
    course = {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * k / t1)), "linear": 1 - k / t1}
    return settings.guide_weight * course[settings.guide_schedule]


def patch_masks(settings, bundle, maps, real_tokens, shape):
    """M of every patch, [N, h, w]."""
    n, _, h, w = shape
    if not real_tokens:
        return np.ones((n, h, w), maps[0].dtype)
    chosen = [m for m, b in zip(maps, bundle.blocks) if not settings.mask_blocks or b["block"] in settings.mask_blocks]
    return np.stack([masks.mask([m[i] for m in chosen], h, w, settings.mask_norm) for i in range(n)])


def stage1(sampler, x, t1):
    """The patches, each a sub-sampled view of the whole picture."""
    s, run, real = sampler.s, sampler.run, sampler.real
    past = Past(run.table, s.guides)  # of the patches, un-shuffled
    published = []  # of the key patch at every step so far: G, M, whether it had pixels of all patches
    for k in range(t1):
        row = past.row(k)
        interacts = k < s.interaction_steps() and sampler.patches > 1
        if interacts:
            p = philox.permutations(s.seed, k, sampler.patches, x[0].size)
            x = shuffle(x, p)
        m, maps = sampler.estimate(row, x, sampler.whole_time_ids(sampler.patches), s.guidance_scale)
        e = noise_estimate(row, m, x)
        M = patch_masks(s, sampler.bundle, maps, run.prompt.real, x.shape)
        published.append((guide_of(row, s.guide_space, x[0], e[0]), M[0], interacts))
        run.guides.append(published[-1][0])
        run.masks.append(M)
        G, key_mask, interacted = published[max(0, k - s.staleness)]
        guides = guides_of_all(s, G, interacted, sampler.y.s, sampler.x.s)
        if interacts:
            guides = shuffle(guides, p)
        w = real(guide_weight(s, k, t1))
        e_guided = e.copy()
        for i in range(1, sampler.patches):
            wM = {"key": w * key_mask, "own": w * M[i], "none": w}[s.mask]
            e_guided[i] = guided(row, s.guide_space, x[i], e[i], guides[i], wM)
        shape = x.shape
        before = [shuffle(d, p) for d in past.predictions] if interacts else past.predictions
        prediction = kept(row, x, e_guided)
        x = step(row, x, e_guided, lambda: step_noise(s.seed, k, shape).astype(real), before)
        if interacts:
            x, prediction = unshuffle(x, p), unshuffle(prediction, p)
        x = sampler.put_back(x, k)
        past.keep(prediction)
        run.stage1.append(x)
    return x


def run(sampler):
    t1 = sampler.steps_within(sampler.s.stage1_share)
    x = stage1(sampler, sampler.run.initial, t1)
    if sampler.s.object_share > 0:
        sampler.run.background = background.decide(sampler, sampler.run.masks[-1][0])
    return sampler.steps_of_windows(plan.relocate(x, sampler.y.s, sampler.x.s), t1)
