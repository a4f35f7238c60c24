# SPDX-License-Identifier: Apache-2.0
"""ScaleCrafter (arXiv 2310.07702): direct inference whose convolutions are dilated in the first steps."""

import math

import numpy as np

from .sampler import combine

DEFAULTS = {"method": "scalecrafter", "dilation": (("mid_block", 2.0), ("up_blocks.0", 2.0))}


def factor(settings, wanted, k, tau):
    """A group's dilation factor at step k."""
    if wanted > 1 and settings.dilation_course == "progressive":
        return max(math.ceil(wanted * (tau - k) / tau), 2)
    return wanted


def run(sampler):
    s, run, real = sampler.s, sampler.run, sampler.real
    tau = run.dilated_steps = sampler.steps_within(s.dilate_share)
    damped_tau = min(tau, sampler.steps_within(s.damped_share))

    def factors(pairs, k):
        wanted = dict(pairs)
        return np.array([factor(s, wanted.get(g, 1.0), k, tau) for g in sampler.bundle.dilation_groups], np.float32)

    def model_output(k, row, canvas):
        if k >= tau:
            return sampler.whole_view(row, canvas)
        guided = s.guidance_scale != 1 and s.guides(row)
        inputs = (row.inScale * canvas[None], row.timestep, sampler.whole_time_ids(1), guided)
        m_u, m_c, _ = sampler.denoiser(*inputs, factors(s.dilation, k))
        if k < damped_tau and guided:
            m_v, _, _ = sampler.denoiser(*inputs, factors(s.damped_dilation, k))
            return (m_v + real(s.guidance_scale) * (m_c - m_u))[0]
        return combine(m_u, m_c, real(s.guidance_scale))[0]

    def network(k):
        """What the steps' predictions come from."""
        if k >= tau:
            return None
        damped = k < damped_tau and s.guidance_scale != 1 and s.guides(run.table.rows[k])
        return factors(s.dilation, k).tolist(), damped and factors(s.damped_dilation, k).tolist()
    return sampler.steps_on_canvas(sampler.canvas_noise(), 0, model_output, lambda k: k > 0 and network(k) != network(k - 1))
