# SPDX-License-Identifier: Apache-2.0
"""The scheduler's configuration: what the network predicts, and the manifest's ``scheduler``.

A manifest names the noise levels that the network was trained on, one of the engine's solvers, and how the steps are spaced. A solver that
the engine does not have gives its noise levels to the nearest one that it has. Every option that changes the levels or the spacing is honoured
or refused, and what is left out has the class's own default, as in the engine's reader of diffusers folders (SchedulerConfig.java).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import diffusers

from .errors import ExportError

_FLOW = "FlowMatchEulerDiscreteScheduler"
#: the classes that the engine has itself, by its solver
_OWN = {"EulerDiscreteScheduler": "euler", "DDIMScheduler": "ddim", "EulerAncestralDiscreteScheduler": "euler_a", "DDPMScheduler": "ddpm",
        "LCMScheduler": "lcm", "TCDScheduler": "tcd", "LMSDiscreteScheduler": "lms"}
#: options of those classes whose other values the engine does not have, and the value that it has
_REQUIRED: dict[str, dict[str, object]] = {
    "DDPMScheduler": {"variance_type": "fixed_small"}, "LCMScheduler": {"original_inference_steps": 50, "timestep_scaling": 10.0},
    "TCDScheduler": {"original_inference_steps": 50},
}
#: options of classes that are the engine's own only where they have these values
_OWN_WHERE: dict[str, dict[str, object]] = {
    "UniPCMultistepScheduler": {"solver_order": 2, "solver_type": "bh2", "predict_x0": True}, "DEISMultistepScheduler": {"solver_order": 3},
}
#: the classes whose noise levels suffice, and the engine's solver that takes their place
_OTHERS = {
    "PNDMScheduler": "ddim",
    "DPMSolverMultistepScheduler": "dpmpp_2m", "DPMSolverSinglestepScheduler": "euler", "DPMSolverSDEScheduler": "euler",
    "UniPCMultistepScheduler": "unipc", "DEISMultistepScheduler": "deis", "HeunDiscreteScheduler": "euler",
    "KDPM2DiscreteScheduler": "euler", "KDPM2AncestralDiscreteScheduler": "euler", "SASolverScheduler": "euler",
}
#: classes for distilled networks: every k-th of the timesteps that were distilled, from the noisy end, whatever timestep_spacing says
_DISTILLED = ("LCMScheduler", "TCDScheduler")
_PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}
_BETA_SCHEDULES = ("scaled_linear", "linear")
_SPACINGS = ("leading", "trailing", "linspace")
_OF_SIGMAS = ("karras", "exponential", "beta")
_TRAIN_STEPS = (2, 100_000)

#: options that change levels or steps, and the only value besides null that leaves them as the engine has them
_NEUTRAL: dict[str, object] = {
    "use_flow_sigmas": False, "use_lu_lambdas": False, "use_dynamic_shifting": False,
    "thresholding": False, "clip_sample": False, "final_sigmas_type": "zero", "timestep_type": "discrete", "interpolation_type": "linear",
    "trained_betas": None, "sigma_min": None, "sigma_max": None, "shift_terminal": None, "flow_shift": 1.0,
}
_FLOW_NEUTRAL: dict[str, object] = {
    "use_dynamic_shifting": False, "use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False,
    "stochastic_sampling": False, "invert_sigmas": False, "shift_terminal": None,
}
#: options that are read below, belong to the solver that is replaced, or say how something works that is off
_KNOWN = frozenset((
    "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type", "timestep_spacing", "steps_offset", "use_karras_sigmas",
    "use_exponential_sigmas", "use_beta_sigmas", "set_alpha_to_one", "skip_prk_steps", "sample_max_value", "clip_sample_range", "dynamic_thresholding_ratio",
    "variance_type", "algorithm_type", "solver_type", "solver_order", "solver_p", "lower_order_final", "euler_at_final", "lambda_min_clipped",
    "predict_x0", "disable_corrector", "noise_sampler_seed", "use_noise_sampler", "time_shift_type", "predictor_order",
    "corrector_order", "original_inference_steps", "timestep_scaling", "rescale_betas_zero_snr",
))
_FLOW_KNOWN = frozenset(("num_train_timesteps", "shift", "base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len", "time_shift_type"))


def manifest_entry(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What the network predicts, and the manifest's ``scheduler``, of a scheduler_config.json.

    :raises ExportError: if the class is unknown, or an option asks for what the engine does not do
    """
    name = config.get("_class_name")
    if name not in (_FLOW, *_OWN, *_OTHERS):
        raise ExportError(f"scheduler {name} is unknown; known are {', '.join(sorted((*_OWN, *_OTHERS, _FLOW)))}")
    options = _Options(name, config)
    if name == _FLOW:
        options.require_neutral(_FLOW_NEUTRAL, _FLOW_KNOWN)
        return "flow", {"type": "flow_euler", "train_steps": options.whole("num_train_timesteps", *_TRAIN_STEPS), "shift": options.number("shift", 1e-3, 1e3)}
    options.require_neutral(_NEUTRAL, _KNOWN)
    if name == "DDIMScheduler" and options["set_alpha_to_one"] is not False:
        raise options.refused("set_alpha_to_one", "false, which scheduler_config.json has to say")
    for option, value in _REQUIRED.get(name, {}).items():
        if options[option] != value:
            raise options.refused(option, _shown(value))
    prediction = _PREDICTIONS[options.one_of("prediction_type", tuple(_PREDICTIONS))]
    solver, spacing = (_OWN | _OTHERS)[name], options.spacing()
    if solver in ("ddim", "ddpm") and spacing in _OF_SIGMAS:
        solver = "euler"  # they step from trained timestep to trained timestep
    if solver == "dpmpp_2m" and options["algorithm_type"] == "sde-dpmsolver++":
        solver = "dpmpp_2m_sde"
    zero_snr = options["rescale_betas_zero_snr"] is True
    if zero_snr and prediction != "v":
        raise options.refused("rescale_betas_zero_snr", "false unless prediction_type is v_prediction")
    start = options.number("beta_start", 1e-9, 0.999)
    steps = options.whole("num_train_timesteps", *_TRAIN_STEPS)
    return prediction, {
        "type": solver,
        "beta_schedule": options.one_of("beta_schedule", _BETA_SCHEDULES),
        "beta_start": start,
        "beta_end": options.number("beta_end", start, 0.999),
        "train_steps": steps,
        "spacing": spacing,
        "steps_offset": options.whole("steps_offset", 0, steps - 1),
        **({"rescale_betas_zero_snr": True} if zero_snr else {}),
    }


def is_replaced(config: Mapping[str, Any]) -> bool:
    """Whether a solver of the engine takes the place of the configuration's."""
    name = config.get("_class_name")
    if name in _OWN_WHERE:
        options = _Options(name, config)
        return any(options[option] != value for option, value in _OWN_WHERE[name].items())
    return name in _OTHERS


class _Options:
    """A configuration; what it leaves out has the default of its class."""

    def __init__(self, name: str, config: Mapping[str, Any]):
        self._name = name
        self._given = config
        self._usual = _defaults(name)

    def __getitem__(self, option: str) -> Any:
        return self._given.get(option, self._usual.get(option))

    def refused(self, option: str, supported: str) -> ExportError:
        left_out = "" if option in self._given else " (left out: the default of its class)"
        return ExportError(f"scheduler {self._name}: {option} is {_shown(self[option])}{left_out}, supported is {supported}")

    def require_neutral(self, neutral: Mapping[str, object], known: frozenset[str]) -> None:
        for option in (*self._usual, *self._given):
            value = self[option]
            if option in neutral:
                if value is not None and (value != neutral[option] or isinstance(value, bool) != isinstance(neutral[option], bool)):
                    raise self.refused(option, _shown(neutral[option]))
            elif not option.startswith("_") and option not in known and option in self._given and value is not None and value is not False:
                raise self.refused(option, "null or false: the option is not known")

    def spacing(self) -> str:
        if self._name in _DISTILLED:
            return "distilled"
        sigmas = [spacing for spacing in _OF_SIGMAS if self[f"use_{spacing}_sigmas"] is True]
        if len(sigmas) > 1:
            raise self.refused(f"use_{sigmas[1]}_sigmas", f"false beside use_{sigmas[0]}_sigmas")
        if sigmas:
            return sigmas[0]
        return self.one_of("timestep_spacing", _SPACINGS)

    def one_of(self, option: str, known: tuple[str, ...]) -> str:
        if self[option] not in known:
            raise self.refused(option, " or ".join(known))
        return self[option]

    def number(self, option: str, least: float, most: float) -> float:
        value = self[option]
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise self.refused(option, f"a number from {least:g} to {most:g}")
        return value

    def whole(self, option: str, least: int, most: int) -> int:
        value = self[option]
        if not isinstance(value, int | float) or isinstance(value, bool) or value != int(value) or not least <= value <= most:
            raise self.refused(option, f"a whole number from {least} to {most}")
        return int(value)


def _defaults(name: str) -> dict[str, Any]:
    # DPMSolverSDEScheduler is there with a further package only; its defaults are those of the other one of k-diffusion.
    scheduler = getattr(diffusers, "KDPM2DiscreteScheduler" if name == "DPMSolverSDEScheduler" else name)
    # DPMSolverSinglestepScheduler has no option for its spacing: it is this.
    usual = {"timestep_spacing": "linspace", "steps_offset": 0}
    return usual | {option: p.default for option, p in inspect.signature(scheduler.__init__).parameters.items() if p.default is not p.empty}


def _shown(value: object) -> str:
    """As JSON writes it, shortened."""
    text = {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
