# SPDX-License-Identifier: Apache-2.0
"""Every option of diffusers' schedulers is honoured or refused, as SchedulerConfig.java does it."""

import json
import warnings

import diffusers
import pytest

from asg4j_export.errors import ExportError
from asg4j_export.schedulers import is_replaced, manifest_entry

#: of every published Stable Diffusion before 3
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "steps_offset": 1, "trained_betas": None}
#: as runwayml/stable-diffusion-v1-5 has it, and that model's inpainting folder, 2.1 and XL
SD15 = {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **BETAS, "set_alpha_to_one": False, "skip_prk_steps": True, "clip_sample": False}
INPAINTING = SD15 | {"_class_name": "DDIMScheduler"}
SD21 = INPAINTING | {"prediction_type": "v_prediction"}
OWL = SD15 | {"_class_name": "DDPMScheduler", "clip_sample_range": 1.0, "variance_type": "fixed_small", "prediction_type": "epsilon"}
SDXL = SD15 | {
    "_class_name": "EulerDiscreteScheduler", "interpolation_type": "linear", "sample_max_value": 1.0, "timestep_spacing": "leading", "use_karras_sigmas": False}
SD3 = {"_class_name": "FlowMatchEulerDiscreteScheduler", "_diffusers_version": "0.29.0", "num_train_timesteps": 1000, "shift": 3.0}
SCHNELL = SD3 | {
    "base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15, "shift": 1.0, "use_dynamic_shifting": False}


def entry(solver, spacing, betas=("scaled_linear", 0.00085, 0.012), offset=1):
    schedule, start, end = betas
    return {"type": solver, "beta_schedule": schedule, "beta_start": start, "beta_end": end, "train_steps": 1000, "spacing": spacing, "steps_offset": offset}


@pytest.mark.parametrize("config,prediction,expected", [
    (SD15, "epsilon", entry("ddim", "leading")),
    (INPAINTING, "epsilon", entry("ddim", "leading")),
    (SD21, "v", entry("ddim", "leading")),
    (OWL, "epsilon", entry("ddpm", "leading")),
    (SDXL, "epsilon", entry("euler", "leading")),
    (SD3, "flow", {"type": "flow_euler", "train_steps": 1000, "shift": 3.0}),
    (SCHNELL, "flow", {"type": "flow_euler", "train_steps": 1000, "shift": 1.0}),
])
def test_published(config, prediction, expected):
    assert manifest_entry(config) == (prediction, expected)


PLAIN = ("linear", 0.0001, 0.02)
FEWER = ("linear", 0.00085, 0.012)
OWN = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "UniPCMultistepScheduler", "LCMScheduler", "LMSDiscreteScheduler", "TCDScheduler")


@pytest.mark.parametrize("name,solver,spacing,betas", [
    ("EulerDiscreteScheduler", "euler", "linspace", PLAIN),
    ("EulerAncestralDiscreteScheduler", "euler_a", "linspace", PLAIN),
    ("DPMSolverMultistepScheduler", "dpmpp_2m", "linspace", PLAIN),
    ("DPMSolverSinglestepScheduler", "euler", "linspace", PLAIN),
    ("DPMSolverSDEScheduler", "euler", "linspace", FEWER),
    ("UniPCMultistepScheduler", "unipc", "linspace", PLAIN),
    ("DEISMultistepScheduler", "deis", "linspace", PLAIN),
    ("LMSDiscreteScheduler", "lms", "linspace", PLAIN),
    ("HeunDiscreteScheduler", "euler", "linspace", FEWER),
    ("KDPM2DiscreteScheduler", "euler", "linspace", FEWER),
    ("KDPM2AncestralDiscreteScheduler", "euler", "linspace", FEWER),
    ("PNDMScheduler", "ddim", "leading", PLAIN),
    ("SASolverScheduler", "euler", "linspace", PLAIN),
    ("LCMScheduler", "lcm", "distilled", ("scaled_linear", 0.00085, 0.012)),
    ("TCDScheduler", "tcd", "distilled", ("scaled_linear", 0.00085, 0.012)),
])
def test_what_is_left_out_has_the_class_s_own_default(name, solver, spacing, betas):
    assert manifest_entry({"_class_name": name}) == ("epsilon", entry(solver, spacing, betas, offset=0))
    assert is_replaced({"_class_name": name}) == (name not in OWN)
    # What diffusers itself writes of the class, with every option in it, says the same.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = json.loads(getattr(diffusers, name)().to_json_string()) if name != "DPMSolverSDEScheduler" else {"_class_name": name}
    assert manifest_entry(written) == ("epsilon", entry(solver, spacing, betas, offset=0))


def test_levels_without_signal():
    config = SDXL | {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    assert manifest_entry(config) == ("v", entry("euler", "leading") | {"rescale_betas_zero_snr": True})
    with pytest.raises(ExportError, match="rescale_betas_zero_snr is true, supported is false unless prediction_type is v_prediction"):
        manifest_entry(SDXL | {"rescale_betas_zero_snr": True})


def test_deis_of_second_order_is_replaced():
    deis = {"_class_name": "DEISMultistepScheduler"}
    assert is_replaced(deis) and not is_replaced(deis | {"solver_order": 3})


def test_unipc_of_another_order_is_replaced():
    unipc = {"_class_name": "UniPCMultistepScheduler"}
    assert is_replaced(unipc | {"solver_order": 3})
    assert not is_replaced(unipc | {"solver_order": 2, "solver_type": "bh2"})


@pytest.mark.parametrize("config,changes,expected", [
    (SDXL, {"use_karras_sigmas": True}, ("epsilon", entry("euler", "karras"))),
    (SDXL, {"use_exponential_sigmas": True}, ("epsilon", entry("euler", "exponential"))),
    (SDXL, {"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": True}, ("epsilon", entry("dpmpp_2m", "karras"))),
    (SDXL, {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++", "solver_order": 3}, ("epsilon", entry("dpmpp_2m_sde", "leading"))),
    (SDXL, {"_class_name": "UniPCMultistepScheduler", "solver_order": 3, "use_beta_sigmas": True}, ("epsilon", entry("unipc", "beta"))),
    (OWL, {"use_karras_sigmas": True}, ("epsilon", entry("euler", "karras"))),
    (SD15, {"use_karras_sigmas": True}, ("epsilon", entry("euler", "karras"))),
    (SDXL, {"timestep_spacing": "trailing", "steps_offset": 0}, ("epsilon", entry("euler", "trailing", offset=0))),
    (SD15, {"prediction_type": "v_prediction"}, ("v", entry("ddim", "leading"))),
    (SD15, {"set_alpha_to_one": True}, ("epsilon", entry("ddim", "leading"))),
    (SDXL, {"rescale_betas_zero_snr": None, "final_sigmas_type": "zero", "sigma_max": None, "use_beta_sigmas": False}, ("epsilon", entry("euler", "leading"))),
    (SDXL, {"some_later_option": False, "another": None}, ("epsilon", entry("euler", "leading"))),
    (SDXL, {"num_train_timesteps": 500.0, "steps_offset": 0.0}, ("epsilon", entry("euler", "leading", offset=0) | {"train_steps": 500})),
])
def test_honoured(config, changes, expected):
    assert manifest_entry(config | changes) == expected


@pytest.mark.parametrize("config,changes,said", [
    (SDXL, {"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr is true, supported is false unless"),
    (SDXL, {"trained_betas": [0.1]}, r"trained_betas is \[0.1\], supported is null"),
    (SDXL, {"use_karras_sigmas": True, "use_beta_sigmas": True}, "use_beta_sigmas is true, supported is false beside use_karras_sigmas"),
    (OWL, {"variance_type": "learned"}, "variance_type is learned, supported is fixed_small"),
    (SDXL, {"_class_name": "LCMScheduler", "original_inference_steps": 100}, "original_inference_steps is 100, supported is 50"),
    (SDXL, {"use_flow_sigmas": True}, "use_flow_sigmas is true"),
    (SDXL, {"use_lu_lambdas": True}, "use_lu_lambdas is true"),
    (SDXL, {"flow_shift": 3.0}, "flow_shift is 3.0, supported is 1.0"),
    (SDXL, {"clip_sample": True}, "clip_sample is true, supported is false"),
    (SDXL, {"thresholding": True}, "thresholding is true, supported is false"),
    (SDXL, {"final_sigmas_type": "sigma_min"}, "final_sigmas_type is sigma_min, supported is zero"),
    (SDXL, {"timestep_type": "continuous"}, "timestep_type is continuous, supported is discrete"),
    (SDXL, {"interpolation_type": "log_linear"}, "interpolation_type is log_linear, supported is linear"),
    (SDXL, {"sigma_min": 0.03}, "sigma_min is 0.03, supported is null"),
    (SDXL, {"sigma_max": 80}, "sigma_max is 80, supported is null"),
    (SDXL, {"use_karras_sigmas": True, "use_exponential_sigmas": True}, "use_exponential_sigmas is true, supported is false beside use_karras_sigmas"),
    (SDXL, {"prediction_type": "sample"}, "prediction_type is sample, supported is epsilon or v_prediction"),
    (SDXL, {"beta_schedule": "squaredcos_cap_v2"}, "beta_schedule is squaredcos_cap_v2, supported is scaled_linear or linear"),
    (SDXL, {"timestep_spacing": "log"}, "timestep_spacing is log, supported is leading or trailing or linspace"),
    (SDXL, {"timestep_spacing": None}, "timestep_spacing is null, supported is leading"),
    (SDXL, {"steps_offset": None}, "steps_offset is null, supported is a whole number from 0 to 999"),
    (SDXL, {"steps_offset": 0.5}, "steps_offset is 0.5, supported is a whole number"),
    (SDXL, {"num_train_timesteps": 1}, "num_train_timesteps is 1, supported is a whole number from 2 to 100000"),
    (SDXL, {"beta_start": None}, "beta_start is null, supported is a number"),
    (SDXL, {"beta_end": 0.0001}, "beta_end is 0.0001, supported is a number from 0.00085 to 0.999"),
    (SDXL, {"new_option": 3}, "new_option is 3, supported is null or false: the option is not known"),
    (SD3, {"use_dynamic_shifting": True}, "use_dynamic_shifting is true, supported is false"),
    (SD3, {"shift_terminal": 0.1}, "shift_terminal is 0.1, supported is null"),
    (SD3, {"stochastic_sampling": True}, "stochastic_sampling is true"),
    (SD3, {"shift": None}, "shift is null, supported is a number from 0.001 to 1000"),
    (SD3, {"sampling_eps": 0.001}, "sampling_eps is 0.001, supported is null or false: the option is not known"),
    ({"_class_name": "DDIMScheduler"}, {}, r"clip_sample is true \(left out: the default of its class\), supported is false"),
    ({"_class_name": "DDPMScheduler"}, {}, r"clip_sample is true \(left out: the default of its class\), supported is false"),
    ({"_class_name": "DDIMScheduler"}, {"clip_sample": False}, r"set_alpha_to_one is true \(left out: .*\), supported is false"),
    ({"_class_name": "EDMEulerScheduler"}, {}, "scheduler EDMEulerScheduler is unknown; known are DDIMScheduler, "),
    ({}, {}, "scheduler None is unknown"),
])
def test_refused(config, changes, said):
    with pytest.raises(ExportError, match=said):
        manifest_entry(config | changes)
