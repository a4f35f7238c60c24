# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from reference import checks, goldens, schedule


def test_leading_timesteps_of_fifty_steps():
    assert schedule.timesteps(50, "leading").tolist() == list(range(981, 0, -20))


def test_ties_go_to_even_timesteps():
    t = schedule.timesteps(16, "trailing")
    assert t[1] == 937 and t[3] == 811  # 937.5 -> 938, 812.5 -> 812


def test_agrees_with_diffusers():
    for case in goldens.schedule_vectors(steps_list=(4, 16))["cases"]:
        assert goldens.relative(case["result"], case["diffusers"]) < 1e-6


def test_solvers_agree_with_diffusers():
    cases = goldens.solver_vectors()["cases"]
    compared = {case["scheduler"] for case in cases if "diffusers" in case and goldens.relative(case["result"], case["diffusers"]) < 1e-6}
    # Euler and DDIM are compared where the noise levels end without signal.
    assert compared == {"euler", "ddim", *goldens.OTHER_SOLVERS}


def test_one_step_reaches_the_clean_latent():
    x, m = np.array([1.0, -2.0]), np.array([0.5, 0.25])
    row = schedule.euler(1).rows[0]
    assert np.allclose(row.stepX * x + row.stepE * m, x - row.sigma * m)


def test_ddim_is_euler_in_scaled_coordinates():
    checks.ddim_is_euler()


@pytest.mark.parametrize("scheduler", ["euler", "ddim"])
def test_both_predictions_of_one_truth_step_alike(scheduler):
    """epsilon and v computed from the same clean latent and noise give the same estimate."""
    rng = np.random.default_rng(0)
    x0, n = rng.normal(size=(2, 16))
    for row_e, row_v in zip(schedule.table(scheduler, 8).rows, schedule.table(scheduler, 8, prediction="v").rows):
        x = row_e.alpha * x0 + row_e.sigma * n
        scale = np.hypot(row_e.alpha, row_e.sigma)
        v = (row_e.alpha * n - row_e.sigma * x0) / scale
        assert np.allclose(row_v.predM * v + row_v.predX * x, n)
