# SPDX-License-Identifier: Apache-2.0
"""Writes timesteps.json: timesteps of diffusers (0.42) at step counts where rounding is delicate.

python make_timesteps.py
"""

import json
from pathlib import Path

from diffusers import DDIMScheduler, EulerDiscreteScheduler

STEPS = (1, 3, 7, 24, 48, 61, 96, 121)


def main():
    cases = []
    for name, scheduler in (("euler", EulerDiscreteScheduler), ("ddim", DDIMScheduler)):
        for spacing in ("leading", "trailing", "linspace"):
            for steps in STEPS:
                s = scheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1,
                              timestep_spacing=spacing)
                s.set_timesteps(steps)
                # At 61 steps numpy.arange gives one value too many, -1.
                timesteps = [float(t) for t in s.timesteps][:steps]
                cases.append({"scheduler": name, "spacing": spacing, "timesteps": timesteps})
    Path(__file__).with_name("timesteps.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
