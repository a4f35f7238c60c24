# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from reference import asg, goldens, schedule


def test_agrees_with_diffusers():
    for case in goldens.flow_vectors(steps_list=(1, 4, 28))["cases"]:
        assert goldens.relative(case["result"], case["diffusers"]) < 1e-6


def test_the_end_of_the_published_schedule():
    """methods.md: the last level, 0.002994, is shifted a second time."""
    table = schedule.flow_euler(28)
    assert table.rows[0].sigma == 1 and table.rows[0].alpha == 0
    last = 3 * 0.001 / (1 + 2 * 0.001)
    assert np.isclose(table.rows[-1].sigma, 3 * last / (1 + 2 * last), rtol=1e-12)


def test_the_true_velocity_arrives_at_the_picture():
    x0, n = np.random.default_rng(0).normal(size=(2, 16))
    table = schedule.flow_euler(7)
    x = n
    for row in table.rows:
        assert np.allclose(x, row.alpha * x0 + row.sigma * n)
        assert np.allclose(row.cleanScale * x0 + row.sigma * (n - x0), x)
        x = row.stepX * x + row.stepE * (n - x0)
    assert np.allclose(x, x0)


@pytest.mark.parametrize("space", ["noise", "latent"])
def test_full_guidance(space):
    """Finite from the first step on, where alpha is 0; in latent space the guided patch predicts the key patch's picture."""
    x, e, g = np.random.default_rng(1).normal(size=(3, 16))
    for row in schedule.flow_euler(8).rows:
        guided = asg.guided(row, space, x, e, g, 1.0)
        assert np.allclose(guided if space == "noise" else asg.guide_of(row, space, x, guided), g)
