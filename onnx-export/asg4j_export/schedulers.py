# SPDX-License-Identifier: Apache-2.0
"""The scheduler's configuration: what the network predicts, and the manifest's ``scheduler``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import ExportError

_DIFFUSION_SCHEDULERS = {"EulerDiscreteScheduler": "euler", "DDIMScheduler": "ddim", "PNDMScheduler": "ddim"}
_FLOW_SCHEDULER = "FlowMatchEulerDiscreteScheduler"
_PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}


def manifest_entry(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What the network predicts, and the manifest's ``scheduler``, of a scheduler_config.json."""
    name = config["_class_name"]
    if name == _FLOW_SCHEDULER:
        for option in ("use_dynamic_shifting", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "shift_terminal", "invert_sigmas"):
            if config.get(option):
                raise ExportError(f"scheduler {name}: {option} = {config[option]} is not supported")
        return "flow", {"type": "flow_euler", "train_steps": config["num_train_timesteps"], "shift": config["shift"]}
    if name not in _DIFFUSION_SCHEDULERS:
        raise ExportError(f"scheduler {name} is unknown; known are {', '.join((*_DIFFUSION_SCHEDULERS, _FLOW_SCHEDULER))}")
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in _PREDICTIONS:
        raise ExportError(f"scheduler {name}: prediction_type {prediction} is unknown; known are {', '.join(_PREDICTIONS)}")
    return _PREDICTIONS[prediction], {
        "type": _DIFFUSION_SCHEDULERS[name],
        "beta_schedule": config["beta_schedule"],
        "beta_start": config["beta_start"],
        "beta_end": config["beta_end"],
        "train_steps": config["num_train_timesteps"],
        "spacing": config.get("timestep_spacing", "leading"),
        "steps_offset": config.get("steps_offset", 0),
    }
