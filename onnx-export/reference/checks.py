# SPDX-License-Identifier: Apache-2.0
"""Identities that the reference must satisfy; run by the tests and before golden data is written."""

from dataclasses import replace

import numpy as np

from . import asg, cutdiffusion, demofusion, methods, multidiffusion, operations, philox, plan, scalecrafter, schedule, superres
from .sampler import Past, Sampler, Settings


def close(a, b, tolerance=1e-12):
    difference = np.abs(np.asarray(a) - np.asarray(b)).max()
    assert difference <= tolerance * max(1.0, np.abs(b).max()), difference


def weight_zero_is_cutdiffusion(bundle):
    base = Settings(steps=6, width=128, height=64)
    for change in ({}, {"interaction": 2}, {"interaction": "off"}, {"scheduler": "ddim", "eta": 1.0},
                   {"scheduler": "dpmpp_2m", "spacing": "karras"}, {"height": 128}):
        cut = replace(base, **cutdiffusion.DEFAULTS, **change)
        a, b = methods.sample(bundle, replace(cut, method="asg", guide_weight=0.0)), methods.sample(bundle, cut)
        close(a.stage1, b.stage1, 1e-6)  # the denoiser rounds to float32
        close(a.stage2, b.stage2, 1e-6)


def one_patch_is_plain_sampling(bundle):
    run = methods.sample(bundle, Settings(width=64, height=64, guide_weight=1.0))
    direct = methods.sample(bundle, Settings(width=64, height=64, method="direct"))
    close(np.concatenate([np.array(run.stage1)[:, 0], run.stage2]), direct.stage2)


def one_window_is_direct(bundle):
    for height, conditioning in ((64, "whole"), (64, "crop"), (48, "crop")):
        direct = Settings(method="direct", width=64, height=height)
        one = replace(direct, **multidiffusion.DEFAULTS | {"window_conditioning": conditioning, "jitter": 3})
        close(methods.sample(bundle, one).stage2, methods.sample(bundle, direct).stage2)


def averaging_stepped_windows_is_the_same(bundle):
    """MultiDiffusion's authors step every window and average the results (x' is linear in x and m)."""
    settings = Settings(width=96, height=64, steps=4, **multidiffusion.DEFAULTS)
    sampler = Sampler(bundle, settings)
    x = sampler.canvas_noise()
    starts_y, starts_x = (plan.starts(n, 8, 4) for n in x.shape[1:])
    for k, row in enumerate(sampler.run.table.rows):
        total, count = np.zeros_like(x), np.zeros(x.shape[1:])
        for y0 in starts_y:
            for x0 in starts_x:
                window = np.s_[:, y0:y0 + 8, x0:x0 + 8]
                fresh = Past(sampler.run.table, sampler.s.guides)
                total[window] += sampler.advance(fresh, k, x[window], sampler.whole_view(row, x[window]), 0)
                count[window[1:]] += 1
        x = total / count
    close(methods.sample(bundle, settings).latents, x, 1e-6)


def scale_one_is_direct(bundle):
    """DemoFusion has one phase then, and super-resolution nothing to enlarge."""
    direct = methods.sample(bundle, Settings(method="direct", width=64, height=64))
    demo = methods.sample(bundle, Settings(width=64, height=64, **demofusion.DEFAULTS))
    close(demo.phases[1], direct.stage2, 0)
    close(demo.latents, direct.latents, 0)
    enlarged = methods.sample(bundle, Settings(width=64, height=64, **superres.DEFAULTS))
    _, native = methods.picture(bundle, direct)
    _, rgb8 = methods.picture(bundle, enlarged)
    assert (native == rgb8).all()


def dilation_one_is_direct(bundle):
    direct = methods.sample(bundle, Settings(method="direct"))
    for pairs in ((), tuple((g, 1.0) for g in bundle.dilation_groups)):
        plain = Settings(**scalecrafter.DEFAULTS | {"dilation": pairs, "dilate_share": 1.0, "damped_dilation": pairs,
                                                    "damped_share": 0.5, "dilation_course": "progressive"})
        close(methods.sample(bundle, plain).stage2, direct.stage2, 1e-12)


def damping_with_the_same_factors_is_plain_guidance(bundle):
    dilated = Settings(**scalecrafter.DEFAULTS)
    damped = replace(dilated, damped_dilation=dilated.dilation, damped_share=1.0)
    close(methods.sample(bundle, damped).stage2, methods.sample(bundle, dilated).stage2)


def dilated_views_are_relocated_back():
    x = np.random.default_rng(2).normal(size=(4, 12, 18))
    for s in (1, 2, 3):
        assert (plan.relocate(demofusion.dilated_views(x, s), s, s) == x).all()


def background_windows_of_the_same_kind_change_nothing(bundle):
    """With the prompt and scale of the others; and if all are background, theirs is stage 2's scale."""
    plain = methods.sample(bundle, Settings(steps=4))
    none = methods.sample(bundle, Settings(steps=4, object_share=0.5))
    assert 0 < none.background.sum() < len(none.background)
    close(none.stage2, plain.stage2)
    every = Settings(steps=4, object_share=2.0, background_guidance_scale=2.0)  # a share that no window reaches
    close(methods.sample(bundle, every).stage2,
          methods.sample(bundle, Settings(steps=4, stage2_guidance_scale=2.0)).stage2)


def tiles_are_invisible(bundle):
    """With a border of the upscaler's receptive field."""
    image = np.random.default_rng(3).uniform(size=(3, 21, 50))
    for u in bundle.manifest["upscalers"]:
        def upscale(part, scale=u["scale"]):
            return bundle.upscale(part, scale)
        tiled = superres.upscale_in_tiles(image, u["scale"], upscale, 16, u["overlap"])
        close(tiled, superres.clamp(upscale(image)), 1e-6)


def a_constant_survives_blur_and_resampling():
    """Inside, where no cell outside is read."""
    ones = np.ones((1, 16, 16))
    close(operations.blur(ones, 5, 0.8)[:, 2:-2, 2:-2], ones[:, 2:-2, 2:-2])
    close(operations.bicubic(ones, 31, 40), np.ones((1, 31, 40)))
    close(operations.antialiased_bicubic(ones, 5, 7), np.ones((1, 5, 7)))


def full_guidance_is_the_key_estimate():
    rng = np.random.default_rng(1)
    x, e, g = rng.normal(size=(3, 4, 8, 8))
    for row in schedule.euler(8).rows + schedule.ddim(8).rows:
        close(asg.guided(row, "noise", x, e, g, 1.0), g)
        # in the other space: the guided patch predicts the key patch's clean latent
        e_guided = asg.guided(row, "latent", x, e, g, 1.0)
        close(asg.guide_of(row, "latent", x, e_guided), g, 1e-9)


def ddim_is_euler():
    """With x / alpha and sigma / alpha, DDIM without noise is Euler's method."""
    for steps in (4, 20, 50):
        table = schedule.ddim(steps)
        alpha = [r.alpha for r in table.rows] + [table.end_alpha]
        sigma = [r.sigma for r in table.rows] + [table.end_sigma]
        for k, row in enumerate(table.rows):
            close(row.stepX, alpha[k + 1] / alpha[k])
            close(row.stepE / alpha[k + 1], sigma[k + 1] / alpha[k + 1] - sigma[k] / alpha[k], 1e-9)


def an_upsampled_guide_is_the_picture_at_every_patch():
    """Of a flat guide all patches have the same; of a ramp each has its own cells, patch 0 those of the key patch."""
    bicubic = Settings(guide_upsampling="bicubic")
    ramp = np.tile(np.arange(12.0), (1, 6, 1))
    for s_h, s_w in ((1, 2), (2, 2), (3, 4)):
        flat = asg.guides_of_all(bicubic, np.ones((2, 5, 7)), True, s_h, s_w)
        close(flat, np.ones((s_h * s_w, 2, 5, 7)))
        for interacted, middle in ((True, (s_w - 1) / 2), (False, 0)):
            guides = asg.guides_of_all(bicubic, ramp, interacted, s_h, s_w)
            for patch in range(s_h * s_w):
                close(guides[patch, :, :, 3:-3], ramp[:, :, 3:-3] + (patch % s_w - middle) / s_w)
        close(asg.guides_of_all(bicubic, ramp, False, s_h, s_w)[0], ramp)


def interaction_is_undone():
    for n in (1, 2, 3, 4, 9, 16):
        p = philox.permutations(7, 3, n, 256)
        assert (np.sort(p, axis=0) == np.arange(n)[:, None]).all()
        x = np.random.default_rng(n).normal(size=(n, 4, 8, 8))
        assert (asg.unshuffle(asg.shuffle(x, p), p) == x).all()


def every_cell_is_covered():
    for height, width in ((8, 8), (9, 16), (13, 21), (16, 24), (6, 30)):
        for stride in (2, 4, 5, 8):
            for step in range(6):
                j = plan.default_jitter(8, stride)
                win = plan.windows((height, width), (8, 8), (stride, stride), (j, j), 7, step)
                noise = np.ones((len(win.y), 2, win.height, win.width))
                for kind in ("feather", "uniform"):
                    mean, covers = plan.average(noise, win, (2, height, width), kind)
                    assert covers.min() >= 1
                    close(mean, np.ones_like(mean))


def relocation_is_a_bijection():
    for s_h, s_w, h, w in ((1, 1, 3, 4), (2, 2, 4, 4), (2, 3, 5, 2), (3, 1, 2, 7)):
        patches = np.arange(s_h * s_w * 2 * h * w).reshape(s_h * s_w, 2, h, w)
        canvas = plan.relocate(patches, s_h, s_w)
        assert (np.sort(canvas, axis=None) == np.arange(patches.size)).all()
        a, b = s_h - 1, s_w - 1
        assert canvas[1, 1 * s_h + a, 1 * s_w + b] == patches[a * s_w + b, 1, 1, 1]


def stepless_estimates_do_not_change(stepless):
    """What tiny-stepless is for: with it, any staleness gives the latents of the synchronous form, to the bit."""
    base = Settings(interaction="off", guide_space="noise", staleness=0)
    for mask in ("key", "own"):
        runs = [methods.sample(stepless, replace(base, staleness=s, mask=mask)) for s in (0, 1, 3)]
        assert all((g == runs[0].guides[0]).all() for r in runs for g in r.guides)
        assert all((m == runs[0].masks[0]).all() for r in runs for m in r.masks)
        assert all((np.array(r.stage1) == np.array(runs[0].stage1)).all() for r in runs)
        assert np.ptp(runs[0].masks[0]) > 0.5 and np.abs(runs[0].stage1[-1][1] - runs[0].stage1[-1][0]).max() > 0.1


def all_of_them(tiny, stepless, tiny_methods):
    for bundle in (tiny, tiny_methods):
        weight_zero_is_cutdiffusion(bundle)
        one_patch_is_plain_sampling(bundle)
    one_window_is_direct(tiny_methods)
    averaging_stepped_windows_is_the_same(tiny_methods)
    scale_one_is_direct(tiny_methods)
    dilation_one_is_direct(tiny_methods)
    damping_with_the_same_factors_is_plain_guidance(tiny_methods)
    dilated_views_are_relocated_back()
    background_windows_of_the_same_kind_change_nothing(tiny_methods)
    tiles_are_invisible(tiny_methods)
    a_constant_survives_blur_and_resampling()
    full_guidance_is_the_key_estimate()
    ddim_is_euler()
    an_upsampled_guide_is_the_picture_at_every_patch()
    interaction_is_undone()
    every_cell_is_covered()
    relocation_is_a_bijection()
    stepless_estimates_do_not_change(stepless)
