# SPDX-License-Identifier: Apache-2.0
"""Identities that the reference must satisfy; run by the tests and before golden data is written."""

from dataclasses import replace

import numpy as np

from . import cutdiffusion, methods, philox, plan, schedule


def close(a, b, tolerance=1e-12):
    difference = np.abs(np.asarray(a) - np.asarray(b)).max()
    assert difference <= tolerance * max(1.0, np.abs(b).max()), difference


def weight_zero_is_cutdiffusion(bundle):
    for interaction in ("every", 2, "off"):
        settings = methods.Settings(guide_weight=0.0, interaction=interaction)
        sampler = methods.Sampler(bundle, settings)
        t1 = plan.stage1_steps(settings.steps, settings.stage1_share)

        def estimate(row, x):
            m, _ = sampler.estimate(row, x, methods.whole_picture(*sampler.size, len(x)), settings.guidance_scale)
            return methods.noise_estimate(row, m, x)
        expected = cutdiffusion.structure_stage(sampler.run.initial, sampler.run.table, t1, settings.seed, estimate,
                                                settings.interaction_steps())
        close(sampler.asg().stage1, expected, 1e-6)  # the denoiser rounds to float32


def one_patch_is_plain_sampling(bundle):
    asg = methods.sample(bundle, methods.Settings(width=64, height=64, guide_weight=1.0))
    direct = methods.sample(bundle, methods.Settings(width=64, height=64, method="direct"))
    close(np.concatenate([np.array(asg.stage1)[:, 0], asg.stage2]), direct.stage2)


def full_guidance_is_the_key_estimate():
    rng = np.random.default_rng(1)
    x, e, g = rng.normal(size=(3, 4, 8, 8))
    for row in schedule.euler(8).rows + schedule.ddim(8).rows:
        close(methods.guided(row, "noise", x, e, g, 1.0), g)
        # in the other space: the guided patch predicts the key patch's clean latent
        e_guided = methods.guided(row, "latent", x, e, g, 1.0)
        close(methods.guide_of(row, "latent", x, e_guided), g, 1e-9)


def ddim_is_euler():
    """With x / alpha and sigma / alpha, DDIM without noise is Euler's method."""
    for steps in (4, 20, 50):
        table = schedule.ddim(steps)
        alpha = [r.alpha for r in table.rows] + [table.end_alpha]
        sigma = [r.sigma for r in table.rows] + [table.end_sigma]
        for k, row in enumerate(table.rows):
            close(row.stepX, alpha[k + 1] / alpha[k])
            close(row.stepE / alpha[k + 1], sigma[k + 1] / alpha[k + 1] - sigma[k] / alpha[k], 1e-9)


def interaction_is_undone():
    for n in (1, 2, 3, 4, 9, 16):
        p = philox.permutations(7, 3, n, 256)
        assert (np.sort(p, axis=0) == np.arange(n)[:, None]).all()
        x = np.random.default_rng(n).normal(size=(n, 4, 8, 8))
        assert (methods.unshuffle(methods.shuffle(x, p), p) == x).all()


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
    base = methods.Settings(interaction="off", guide_space="noise", staleness=0)
    for mask in ("key", "own"):
        runs = [methods.sample(stepless, replace(base, staleness=s, mask=mask)) for s in (0, 1, 3)]
        assert all((g == runs[0].guides[0]).all() for r in runs for g in r.guides)
        assert all((m == runs[0].masks[0]).all() for r in runs for m in r.masks)
        assert all((np.array(r.stage1) == np.array(runs[0].stage1)).all() for r in runs)
        assert np.ptp(runs[0].masks[0]) > 0.5 and np.abs(runs[0].stage1[-1][1] - runs[0].stage1[-1][0]).max() > 0.1


def all_of_them(tiny, stepless):
    weight_zero_is_cutdiffusion(tiny)
    one_patch_is_plain_sampling(tiny)
    full_guidance_is_the_key_estimate()
    ddim_is_euler()
    interaction_is_undone()
    every_cell_is_covered()
    relocation_is_a_bijection()
    stepless_estimates_do_not_change(stepless)
