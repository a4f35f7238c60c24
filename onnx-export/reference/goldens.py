# SPDX-License-Identifier: Apache-2.0
"""Writes src/test/resources/goldens: what each file holds is said in README.md."""

import hashlib
import json
import shutil
import struct
from dataclasses import fields, replace

import numpy as np
from PIL import Image

from . import asg, background, checks, cutdiffusion, demofusion, methods, multidiffusion, philox, plan, relay, scalecrafter, schedule, superres
from .model import Bundle
from .sampler import ENLARGING, Settings, kept, noise_estimate, step

SEED = 7


def write_json(path, content):
    """One line per entry of every list of records, so that differences can be read."""
    def line(v):
        return json.dumps(v, ensure_ascii=False)
    parts = []
    for key, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            parts.append(f"{line(key)}: [\n " + ",\n ".join(line(v) for v in value) + "\n]")
        else:
            parts.append(f"{line(key)}: {line(value)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def hex32(v):
    return f"{int(v):08x}"


def float_bits(v):
    """Bit pattern in hex, of a float32 or a float64."""
    return struct.pack(">f", v).hex() if isinstance(v, np.float32) else struct.pack(">d", v).hex()


# ---- philox.json

KNOWN_ANSWERS = [  # Random123's kat_vectors, philox4x32-10
    ([0, 0, 0, 0], [0, 0], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]

TUPLES = [(0, 0, 0, 0), (7, 0, 0, 0), (7, 1, 0, 0), (7, 0, 1, 1), (7, 0, 0, 2), (7, 0, 0, 3), (7, 255, 49, 1),
          (42, 65535, 3, 2), (42, 2**31 - 1, 7, 0), (42, 2**31, 7, 0), (42, 2**32 - 1, 999, 1), (42, 2**32, 999, 1),
          (42, 2**32 + 5, 999, 2), (2**31, 12345, 2, 3), (2**32 - 1, 12345, 2, 3), (2**32, 12345, 2, 3),
          (2**63 - 1, 2**40 + 17, 5, 0), (2**63, 2**40 + 17, 5, 0), (2**64 - 1, 2**63 - 1, 2**31 - 1, 3),
          (0x0123456789ABCDEF, 0xFEDCBA9876543210, 2**32 - 1, 1)]


def tail_elements(seed, below, count):
    """The first elements of the initial noise whose u lies within `below` of 0 or 1."""
    found = []
    for start in range(0, count, 1 << 18):
        element = np.arange(start, start + (1 << 18))
        r0, r1, _, _ = philox.words(seed, element, 0, philox.INITIAL_NOISE)
        u = philox.uniform(r0, r1)
        found += element[(u < below) | (1.0 - u < below)].tolist()
    return found


def philox_vectors():
    answers = []
    for counter, key, expected in KNOWN_ANSWERS:
        out = " ".join(hex32(w) for w in philox.philox4x32(counter, key))
        assert out == expected, out
        answers.append({"counter": [hex32(c) for c in counter], "key": [hex32(k) for k in key], "out": out.split()})
    words = [{"seed": f"{s:016x}", "element": f"{e:016x}", "step": st, "purpose": p,
              "out": [hex32(w) for w in philox.words(s, e, st, p)]} for s, e, st, p in TUPLES]
    tails = tail_elements(SEED, 1e-6, 1 << 22)
    sample = [(e, 0, 0) for e in list(range(32)) + tails] + [(e, 5, 1) for e in range(64 - 32 - len(tails))]
    assert len(tails) >= 4 and len(sample) == 64, len(tails)
    normals = [{"seed": SEED, "element": e, "step": st, "purpose": p,
                "float32": float_bits(philox.normals(SEED, e, st, p)[()]),
                "value": float(philox.normals(SEED, e, st, p))} for e, st, p in sample]
    cdf = []
    top = 2**52 - 1
    for k in [0, 1, 2, 100, 2**16, 2**20, 2**30, 2**40, int(0.074 * 2**52), int(0.075 * 2**52), int(0.076 * 2**52),
              2**51 - 1, 2**51, int(0.3 * 2**52), int(0.9 * 2**52), int(0.925 * 2**52), int(0.926 * 2**52),
              top - 2**40, top - 2**16, top - 1, top]:
        u = (np.float64(k) + 0.5) * 2.0**-52
        z = philox.inverse_normal_cdf(u)[()]
        cdf.append({"k": f"{k:013x}", "u": float_bits(u), "z": float_bits(np.float64(z)),
                    "float32": float_bits(np.float32(z)), "value": float(z)})
    permutations = []
    for n in (1, 2, 3, 4, 9, 16):
        for step in (0, 3, 49):
            q = [0, 1, 2, 63, 255, 1000, 65535]
            p = philox.permutations(SEED, step, n, q)
            permutations.append({"seed": SEED, "step": step, "patches": n, "q": q, "p": p.T.tolist()})
    jitters = [{"seed": SEED, "step": step, "view": view, "axis": axis, "position": position, "count": count,
                "amplitude": amplitude,
                "value": plan.jittered(SEED, step, view, axis, position, count, amplitude)}
               for step in (0, 4, 49) for view, axis, position, count in
               ((0, 0, 0, 3), (0, 1, 0, 3), (4, 0, 1, 3), (4, 1, 1, 3), (8, 0, 2, 3), (8, 1, 2, 3), (5, 0, 0, 1))
               for amplitude in (0, 1, 16)]
    return {"known_answers": answers, "words": words, "normals": normals, "inverse_cdf": cdf,
            "permutations": permutations, "jitters": jitters}


# ---- schedules.json

WIDTH = 6


def stepping_inputs():
    """A start, and network outputs and noise for 50 steps; multiples of 2^-10, exact in float32."""
    k, i = np.meshgrid(np.arange(50), np.arange(WIDTH), indexing="ij")
    outputs = np.round(1024 * 1.3 * np.sin(0.7 * k + 1.1 * i)) / 1024
    noise = np.round(1024 * 1.3 * np.cos(1.9 * k + 2.3 * i)) / 1024
    return np.array([2.0, -1.5, 1.0, -0.5, 0.25, 3.0]), outputs, noise


def step_by_table(table, x, outputs, noise):
    past = []
    for k in range(len(table.rows)):
        row = table.row(k, min(k, table.history))
        e = noise_estimate(row, outputs[k], x)
        past = [kept(row, x, e), *past]
        x = step(row, x, e, lambda: noise[k], past[1:])
    return x


def rows_of(table, columns):
    """The columns of a table; those of the rows with p past predictions under past<p>."""
    rows = {c: [float(getattr(r, c)) for r in table.rows] for c in columns}
    for past, later in enumerate(table.later, 1):
        rows[f"past{past}"] = {c: [float(getattr(r, c)) for r in later] for c in ("stepX", "stepE", "stepN")}
        rows[f"past{past}"]["stepPast"] = [[float(v) for v in r.stepPast] for r in later]
    return rows


def diffusers_run(scheduler, steps, spacing, prediction, eta, x, outputs, noise, exact):
    """The same steps by diffusers; exact: with alphas_cumprod in float64 instead of float32.

    Returns timesteps, init_noise_sigma, and x after the last step.
    """
    import torch
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

    on_sigma = {"karras": {"use_karras_sigmas": True}, "exponential": {"use_exponential_sigmas": True}}.get(spacing, {})
    common = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1,
              "timestep_spacing": "linspace" if on_sigma else spacing, "prediction_type": "v_prediction" if prediction == "v" else "epsilon"}
    abar = torch.from_numpy(schedule.alphas_cumprod())
    if scheduler == "dpmpp_2m":
        # Its own spacings differ from those of the Euler class, whose levels it is given; its latents are
        # those of DDIM, x0 * alpha + n * sigma.
        s = DPMSolverMultistepScheduler(**common, lower_order_final=False)
        euler = EulerDiscreteScheduler(**common, **on_sigma)
        if exact:
            s.alphas_cumprod = euler.alphas_cumprod = abar
        euler.set_timesteps(steps)
        s.set_timesteps(steps)
        s.sigmas = euler.sigmas.double() if not exact else torch.from_numpy(np.append([
            r.sigma for r in schedule.on_sigma(steps, spacing).rows], 0.0))
        x = torch.from_numpy(x / np.hypot(1, s.sigmas[0].item()))
        for m in outputs[:steps]:
            x = s.step(torch.from_numpy(m), s.timesteps[s.step_index or 0], x).prev_sample
        return euler.timesteps.numpy().astype(np.float64), float(euler.init_noise_sigma), x.numpy()
    if scheduler == "euler":
        s = EulerDiscreteScheduler(**common, **on_sigma)
        if exact:
            s.alphas_cumprod = abar
        s.set_timesteps(steps)
    else:
        s = DDIMScheduler(set_alpha_to_one=False, clip_sample=False, **common)
        if exact:
            s.alphas_cumprod, s.final_alpha_cumprod = abar, abar[0]
        s.set_timesteps(steps)
    x = torch.from_numpy(x)
    for k, t in enumerate(s.timesteps):
        m = torch.from_numpy(outputs[k])
        if scheduler == "euler":
            s.scale_model_input(x, t)
            x = s.step(m, t, x).prev_sample
        else:
            # diffusers adds the noise only where eta > 0
            variance_noise = torch.from_numpy(noise[k]) if eta > 0 else None
            x = s.step(m, t, x, eta=eta, variance_noise=variance_noise).prev_sample
    return s.timesteps.numpy().astype(np.float64), float(s.init_noise_sigma), x.numpy()


# Solvers of which diffusers' class draws its noise by randn_tensor, that class and how it is made
OTHER_SOLVERS = {
    "euler_a": ("EulerAncestralDiscreteScheduler", {}), "lcm": ("LCMScheduler", {"set_alpha_to_one": True}),
    "ddpm": ("DDPMScheduler", {"clip_sample": False}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "lower_order_final": False}),
    "unipc": ("UniPCMultistepScheduler", {"solver_order": 2}), "tcd": ("TCDScheduler", {}), "lms": ("LMSDiscreteScheduler", {}),
    "deis": ("DEISMultistepScheduler", {"solver_order": 3, "lower_order_final": False}),
}


def diffusers_other(scheduler, steps, spacing, x, outputs, noise, eta):
    """x after all steps of one of OTHER_SOLVERS, with alphas_cumprod in float64."""
    import importlib

    import diffusers
    import torch

    name, options = OTHER_SOLVERS[scheduler]
    of_diffusers = {"timestep_spacing": spacing} if spacing in ("leading", "trailing", "linspace") else {}
    s = getattr(diffusers, name)(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, **of_diffusers, **options)
    s.alphas_cumprod = abar = torch.from_numpy(schedule.alphas_cumprod())
    s.set_timesteps(steps)
    on_sigma = scheduler not in ("ddpm", "tcd")
    levels = schedule.on_sigma(steps, spacing).rows if on_sigma else None
    if scheduler in ("dpmpp_2m_sde", "unipc", "euler_a", "lms", "deis"):
        s.sigmas = torch.from_numpy(np.append([r.sigma for r in levels], 0.0))
    if scheduler == "lcm":
        s.final_alpha_cumprod = abar[-1] * 0 + 1
        assert spacing == "distilled" and s.timesteps.tolist() == [r.timestep for r in levels]
    # their latents are those of DDIM, x0 * alpha + n * sigma, but of Euler's
    scaled = on_sigma and scheduler not in ("euler_a", "lms")
    options_of_step = {"eta": eta} if scheduler == "tcd" else {}
    def tensor(values):  # some classes want a batch of pictures
        return torch.from_numpy(values).reshape(1, -1, 1, 1)
    x = tensor(x / np.hypot(1, levels[0].sigma) if scaled else x)
    draws = iter(noise)

    def injected(*_, **__):
        return tensor(next(draws))
    module = importlib.import_module(getattr(diffusers, name).__module__)
    drawing, module.randn_tensor = getattr(module, "randn_tensor", None), injected
    try:
        for k, t in enumerate(s.timesteps):
            if scheduler in ("euler_a", "lms"):
                s.scale_model_input(x, t)
            if scheduler == "deis" and k + 1 == steps:  # its formulas have ln sigma of where a step leads; x0 by hand
                at = levels[k].sigma
                x = np.hypot(1, at) * x - at * tensor(outputs[k])
            else:
                x = s.step(tensor(outputs[k]), t, x, **options_of_step).prev_sample
    finally:
        if drawing is None:
            del module.randn_tensor
        else:
            module.randn_tensor = drawing
    return x.numpy().ravel()


def solver_vectors():
    """Solvers beside those of schedule_vectors, each on few grids; diffusers' result where it has the solver on that grid."""
    x0, outputs, noise = stepping_inputs()
    cases, worst = [], 0.0
    grids = [("euler_a", "linspace", 1.0), ("euler_a", "karras", 0.5), ("dpmpp_2m_sde", "karras", 1.0), ("unipc", "karras", 0.0),
             ("unipc", "linspace", 0.0), ("lcm", "distilled", 0.0), ("ddpm", "leading", 0.0), ("ddpm", "trailing", 0.0),
             ("lms", "karras", 0.0), ("lms", "linspace", 0.0), ("ipndm", "karras", 0.0), ("deis", "karras", 0.0), ("deis", "trailing", 0.0),
             ("tcd", "distilled", 0.3), ("tcd", "distilled", 1.0), ("dpmpp_3m_sde", "karras", 1.0), ("dpmpp_3m_sde", "exponential", 0.4), ("res_multistep", "karras", 0.0),
             ("euler", "beta", 0.0), ("euler", "simple", 0.0), ("euler", "ays", 0.0), ("euler", "ays_sd1", 0.0), ("euler", "sgm_uniform", 0.0)]
    for scheduler, spacing, eta in grids:
        for steps in (4, 10):
            table = schedule.table(scheduler, steps, spacing, "epsilon", eta)
            ours = step_by_table(table, x0, outputs, noise)
            case = {"scheduler": scheduler, "spacing": spacing, "prediction": "epsilon", "steps": steps, "eta": eta,
                    "initScale": float(table.initScale), "end": {"alpha": float(table.end_alpha), "sigma": float(table.end_sigma)},
                    "rows": rows_of(table, schedule.COLUMNS), "result": ours.tolist()}
            if scheduler in OTHER_SOLVERS and (eta in (0.0, 1.0) or scheduler == "tcd"):
                theirs = diffusers_other(scheduler, steps, spacing, x0, outputs, noise, eta)
                assert relative(ours, theirs) < 1e-6, (scheduler, spacing, steps, ours, theirs)
                worst = max(worst, relative(ours, theirs))
                case["diffusers"] = theirs.tolist()
            cases.append(case)
    for scheduler in ("euler", "ddim"):
        for steps in (4, 10):
            table = schedule.table(scheduler, steps, "trailing", "v", zero_snr=True)
            ours = step_by_table(table, x0, outputs, noise)
            theirs = diffusers_without_signal(scheduler, steps, x0, outputs)
            assert relative(ours, theirs) < 1e-6, (scheduler, steps, ours, theirs)
            cases.append({"scheduler": scheduler, "spacing": "trailing", "prediction": "v", "steps": steps, "eta": 0.0, "zero_snr": True,
                          "initScale": float(table.initScale), "end": {"alpha": float(table.end_alpha), "sigma": float(table.end_sigma)},
                          "rows": rows_of(table, [*schedule.COLUMNS, "cleanScale"]), "result": ours.tolist(), "diffusers": theirs.tolist()})
    return {"difference_to_diffusers": f"{worst:.1e}", "cases": cases}


def diffusers_without_signal(scheduler, steps, x, outputs):
    """x after all steps from a last level without signal (rescale_betas_zero_snr), with alphas_cumprod in float64."""
    import torch
    from diffusers import DDIMScheduler, EulerDiscreteScheduler

    common = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "timestep_spacing": "trailing",
              "prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    abar = schedule.zero_terminal_snr(schedule.alphas_cumprod())
    if scheduler == "euler":
        s = EulerDiscreteScheduler(**common)
        s.alphas_cumprod = torch.from_numpy(schedule.little_signal(abar))
        s.set_timesteps(steps)
        s.sigmas = torch.from_numpy(np.append([r.sigma for r in schedule.table("euler", steps, "trailing", "v", zero_snr=True).rows], 0.0))
    else:
        s = DDIMScheduler(set_alpha_to_one=False, clip_sample=False, **common)
        s.alphas_cumprod = torch.from_numpy(abar)
        s.final_alpha_cumprod = s.alphas_cumprod[0]
        s.set_timesteps(steps)
    x = torch.from_numpy(x)
    for k, t in enumerate(s.timesteps):
        if scheduler == "euler":
            s.scale_model_input(x, t)
        x = s.step(torch.from_numpy(outputs[k]), t, x).prev_sample
    return x.numpy()


def relative(a, b):
    return float(np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(b)).max())


def schedule_vectors(steps_list=(1, 4, 16, 20, 50)):
    x0, outputs, noise = stepping_inputs()
    cases, worst_exact, worst_plain = [], 0.0, 0.0
    on_timesteps, on_sigmas = ("leading", "trailing", "linspace"), ("karras", "exponential")
    for scheduler, etas, spacings in (("euler", (0.0,), on_timesteps + on_sigmas), ("ddim", (0.0, 1.0), on_timesteps),
                                      ("dpmpp_2m", (0.0,), on_timesteps + on_sigmas)):
        for spacing in spacings:
            for prediction in ("epsilon", "v"):
                for steps in steps_list:
                    if steps == 1 and spacing in on_sigmas:
                        continue  # diffusers takes the ends of the grid from a grid of timesteps, of which one is 0
                    for eta in etas:
                        table = schedule.table(scheduler, steps, spacing, prediction, eta)
                        ours = step_by_table(table, x0, outputs, noise)
                        key = (scheduler, steps, spacing, prediction, eta)
                        t, start, theirs = diffusers_run(*key, x0, outputs, noise, exact=True)
                        _, _, plain = diffusers_run(*key, x0, outputs, noise, exact=False)
                        rows = rows_of(table, schedule.COLUMNS)
                        assert relative(rows["timestep"], t) < 1e-7 if t.max() > 0 else rows["timestep"] == [0], key
                        assert relative(table.initScale, start) < 1e-6, key
                        assert relative(ours, theirs) < 1e-6, (key, ours, theirs)
                        worst_exact = max(worst_exact, relative(ours, theirs))
                        worst_plain = max(worst_plain, relative(ours, plain))
                        cases.append({"scheduler": scheduler, "spacing": spacing, "prediction": prediction,
                                      "steps": steps, "eta": eta, "initScale": float(table.initScale),
                                      "end": {"alpha": float(table.end_alpha), "sigma": float(table.end_sigma)},
                                      "rows": rows, "result": ours.tolist(), "diffusers": theirs.tolist()})
    return {"train_steps": 1000, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
            "steps_offset": 1, "x": x0.tolist(), "model_outputs": outputs.tolist(), "noise": noise.tolist(),
            "difference_to_diffusers": {"float64 alphas_cumprod": f"{worst_exact:.1e}",
                                        "as shipped, float32": f"{worst_plain:.1e}"}, "cases": cases}


# ---- flow.json

def flow_vectors(steps_list=(1, 2, 4, 20, 28, 50)):
    """Flow matching's tables, and where diffusers arrives with the same network outputs."""
    import torch
    from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler

    x0, outputs, noise = stepping_inputs()
    cases = []
    for scheduler in ("flow_euler", "dpmpp_2m"):
        for shift in (3.0, 1.0):
            for steps in steps_list:
                table = schedule.flow_euler(steps, shift)
                s = FlowMatchEulerDiscreteScheduler(shift=shift)
                s.set_timesteps(steps)
                timesteps = s.timesteps.numpy()
                if scheduler == "dpmpp_2m":
                    table = schedule.dpmpp_2m(table)
                    s = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True,
                                                    lower_order_final=False)
                    s.set_timesteps(steps)
                    s.sigmas = torch.from_numpy(np.append([r.sigma for r in table.rows], 0.0))
                ours = step_by_table(table, x0, outputs, noise)
                x = torch.from_numpy(x0)
                for k in range(steps):
                    x = s.step(torch.from_numpy(outputs[k]), s.timesteps[k], x).prev_sample
                rows = rows_of(table, [*schedule.COLUMNS, "cleanScale"])
                assert relative(rows["timestep"], timesteps) < 1e-6, (shift, steps)
                assert relative(ours, x.numpy()) < 1e-6, (scheduler, shift, steps, ours, x)
                cases.append({"scheduler": scheduler, "shift": shift, "steps": steps, "rows": rows,
                              "result": ours.tolist(), "diffusers": x.tolist()})
    return {"train_steps": 1000, "x": x0.tolist(), "model_outputs": outputs.tolist(), "cases": cases}


# ---- plan.json

PIXELS = {8: (8, 24, 64, 72, 80, 88, 96, 104, 128, 136, 144, 152, 192, 208, 256, 520),
          16: (64, 128, 160, 192, 256, 264, 320, 384, 512),
          64: (256, 512, 640, 648, 768, 1024, 1152, 1160, 1536, 2048),
          128: (512, 1024, 1280, 1288, 1536, 2048, 2304, 2312, 3072, 4096)}


def plan_vectors():
    axes, pictures, windows = [], [], []
    for native, pixels in PIXELS.items():
        for multiple in (1, 4, 8):
            for size in pixels:
                a = plan.axis(size, 8, native, multiple)
                strides = sorted({native // 4, native // 2, native * 5 // 8, native})
                axes.append({"pixels": size, "factor": 8, "native": native, "unet_multiple": multiple, "s": a.s,
                             "patch": a.patch, "canvas": a.canvas, "crop": a.crop,
                             "starts": {str(t): plan.starts(a.canvas, native, t) for t in strides}})
    for native, width, height in ((8, 128, 128), (8, 64, 128), (8, 144, 64), (8, 96, 128), (8, 192, 64),
                                  (16, 512, 256), (128, 2048, 1024), (128, 3072, 1536)):
        for aspect in ("axis", "picture"):
            y, x = plan.axes(width, height, 8, (native, native), 1, aspect)
            pictures.append({"width": width, "height": height, "native": native, "unet_multiple": 1,
                             "patch_aspect": aspect, "s": [y.s, x.s], "patch": [y.patch, x.patch],
                             "canvas": [y.canvas, x.canvas], "crop": [y.crop, x.crop]})
    for native, canvas in ((8, (8, 8)), (8, (16, 16)), (8, (8, 18)), (8, (6, 24)), (16, (32, 48)), (128, (256, 128))):
        for stride in (native // 2, native * 5 // 8):
            for step in (4, 5, 49):
                j = plan.default_jitter(native, stride)
                w = plan.windows(canvas, (native, native), (stride, stride), (j, j), SEED, step)
                windows.append({"canvas": canvas, "native": native, "stride": stride, "jitter": j, "seed": SEED,
                                "step": step, "size": [w.height, w.width], "y": w.y, "x": w.x,
                                "pad": [w.pad_y, w.pad_x]})
    stage1 = [{"steps": t, "share": s, "stage1_steps": plan.stage1_steps(t, s)}
              for t in (1, 2, 3, 8, 9, 25, 50, 51) for s in (0.0, 0.25, 0.5, 0.65, 1.0)]
    return {"axes": axes, "pictures": pictures, "windows": windows, "stage1": stage1}


def write_vectors(folder):
    write_json(folder / "philox.json", philox_vectors())
    write_json(folder / "schedules.json", schedule_vectors())
    write_json(folder / "solvers.json", solver_vectors())
    write_json(folder / "flow.json", flow_vectors())
    write_json(folder / "plan.json", plan_vectors())


# ---- pipeline cases

BASE = Settings()
CASES = {
    "direct-1x": replace(BASE, method="direct", width=64, height=64),
    "direct-2x": replace(BASE, method="direct"),
    "asg-1x": replace(BASE, width=64, height=64),
    "asg-1.5x2": replace(BASE, width=96, height=128),
    "asg-2.25x1": replace(BASE, width=144, height=64),
    "asg-2.125x1-cropped": replace(BASE, width=136, height=64),
    "asg-2x1-axis-aspect": replace(BASE, width=128, height=64, patch_aspect="axis"),
    "asg-3x": replace(BASE, width=192, height=192, interaction=3),
    "asg-2x": BASE,
    "asg-2x-noise-space": replace(BASE, guide_space="noise"),
    "asg-2x-synchronous": replace(BASE, staleness=0),
    "asg-2x-synchronous-noise-own": replace(BASE, staleness=0, guide_space="noise", mask="own"),
    "asg-2x-staleness-3": replace(BASE, staleness=3, stage1_share=0.65, guide_schedule="constant"),
    "asg-2x-interaction-off": replace(BASE, interaction="off", mask="own"),
    "asg-2x-interaction-2": replace(BASE, interaction=2),
    "asg-2x-mask-none": replace(BASE, mask="none"),
    "asg-2x-upsampled": replace(BASE, guide_upsampling="bicubic"),
    "asg-2x-upsampled-interaction-off": replace(BASE, guide_upsampling="bicubic", interaction="off", mask="none"),
    "asg-3x1-upsampled-interaction-3-own": replace(BASE, guide_upsampling="bicubic", width=192, height=64, interaction=3,
                                                   mask="own"),
    "asg-2x-mask-own-max": replace(BASE, mask="own", mask_norm="max"),
    "asg-2x-mask-threshold": replace(BASE, mask_norm="mean-threshold", seed=11),
    "asg-2x-mask-own-threshold": replace(BASE, mask="own", mask_norm="mean-threshold", guide_space="noise", seed=11),
    "asg-2x-mask-blocks": replace(BASE, mask_blocks=("up_blocks.0",)),
    "asg-2x-mask-tokens": replace(BASE, mask_tokens=(1, 2)),
    "asg-2x-weight-0": replace(BASE, guide_weight=0.0),
    "asg-2x-weight-1-unmasked": replace(BASE, guide_weight=1.0, guide_schedule="constant", guide_space="noise",
                                        mask="none"),
    "asg-2x-linear": replace(BASE, guide_schedule="linear"),
    "asg-2x-uniform": replace(BASE, window_weight="uniform"),
    "asg-2x-whole": replace(BASE, window_conditioning="whole"),
    "asg-2x-jitter-0": replace(BASE, jitter=0),
    "asg-2x-stride-2": replace(BASE, window_stride=2),
    "asg-2x-stride-8": replace(BASE, window_stride=8),
    "asg-2x-share-0.65": replace(BASE, stage1_share=0.65),
    "asg-2x-stage2-scale-3": replace(BASE, stage2_guidance_scale=3.0),
    "asg-2x-ddim": replace(BASE, scheduler="ddim"),
    "asg-2x-ddim-eta-1": replace(BASE, scheduler="ddim", eta=1.0),
    "asg-2x-ddim-eta-1-12-steps": replace(BASE, scheduler="ddim", eta=1.0, steps=12, interaction=2, seed=-(2**63) + 11),
    "asg-2x-trailing": replace(BASE, spacing="trailing"),
    "asg-2x-linspace": replace(BASE, spacing="linspace"),
    "asg-2x-v": replace(BASE, prediction="v"),
    "asg-2x-v-ddim": replace(BASE, prediction="v", scheduler="ddim", guide_space="noise"),
    "asg-2x-negative": replace(BASE, negative_prompt="blue grass"),
    "asg-2x-no-cfg": replace(BASE, guidance_scale=1.0),
    "asg-2x-no-cfg-in-stage-2": replace(BASE, stage2_guidance_scale=1.0),
}
WITH_GUIDES = ("asg-2x", "asg-2x-noise-space", "asg-2x-interaction-off", "asg-2x-mask-own-threshold", "asg-2.25x1")
WITH_PICTURE = ("asg-2x", "asg-2.125x1-cropped", "demofusion-2.125x1-cropped")

SOLVERS = {"rectifiedhr": "ddim", "frecas": "ddim", "diffusehigh": "euler", "megafusion": "ddim", "hires-fix": "euler"}
SIZES = {"2x": (128, 128), "3x": (192, 192), "2x1": (128, 64), "2.125x1-cropped": (136, 64)}


def start_picture(height, width):
    """RGB8 [height, width, 3]: waves of several directions, a picture to start from."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")

    def wave(t):
        return abs(t % 128 - 64)
    return (30 + 2 * wave(3 * x + 2 * y * (c + 1) + 20 * c) + wave(5 * y - 2 * x + 40)).astype(np.uint8)


def mask_picture(height, width):
    """RGB8: white in a rectangle that fits no cell, black elsewhere."""
    mask = np.zeros((height, width, 3), np.uint8)
    mask[height // 5:height * 3 // 4, width // 3:width * 7 // 8] = 255
    return mask


IMAGES = {"start.png": start_picture(64, 64), "start-2x.png": start_picture(128, 128), "mask.png": mask_picture(64, 64),
          "mask-2x.png": mask_picture(128, 128), "mask-wide.png": mask_picture(32, 64), "start-wide.png": start_picture(32, 64),
          "start-large.png": start_picture(80, 78), "start-small.png": start_picture(44, 45)}
START = IMAGES["start.png"]


def method_cases():
    """On tiny-methods: every method at every size, and the options that change what it computes."""
    base = Settings(steps=6)
    methods_of = {"direct": replace(base, method="direct"),
                  "multidiffusion": replace(base, **multidiffusion.DEFAULTS),
                  "cutdiffusion": replace(base, **cutdiffusion.DEFAULTS),
                  "demofusion": replace(base, **demofusion.DEFAULTS),
                  "relay": replace(base, **relay.DEFAULTS, steps=10, preset="megafusion"),
                  "scalecrafter": replace(base, **scalecrafter.DEFAULTS),
                  "superres": replace(base, **superres.DEFAULTS)}
    cases = {}
    for name, settings in methods_of.items():
        for size, (width, height) in SIZES.items():
            if f"{name}-{size}" not in CASES:
                cases[f"{name}-{size}"] = replace(settings, width=width, height=height)

    methods_of["asg"] = base

    def variant(name, **changes):
        method = name.split("-")[0]
        assert name not in cases, name
        cases[name] = replace(methods_of[method], **changes)
    progressive = {"dilation": (("mid_block", 4.0), ("up_blocks.0", 3.0)), "dilation_course": "progressive",
                   "dilate_share": 0.7}
    ddim = {"scheduler": "ddim", "eta": 1.0}
    few = {"seed": 5, "object_share": 0.35}

    variant("direct-2x-ddim-eta-1", **ddim)
    variant("multidiffusion-1x", width=64, height=64)
    variant("multidiffusion-2x1-stride-1", width=128, height=64, window_stride=1)
    variant("multidiffusion-2x-crop-feather-jitter", window_conditioning="crop", window_weight="feather", jitter=1)
    variant("multidiffusion-2x-ddim-eta-1", **ddim)
    variant("multidiffusion-2x-windows-scale-2", stage2_guidance_scale=2.0)
    variant("cutdiffusion-2x-feather-whole", window_weight="feather", window_conditioning="whole", jitter=0)
    variant("cutdiffusion-2x-share-0.7-interaction-2", stage1_share=0.7, interaction=2)
    variant("cutdiffusion-2x-ddim-eta-1", **ddim)
    variant("asg-2x-background", background_prompt="green grass", background_guidance_scale=2.0, **few)
    variant("asg-2x-background-no-cfg", background_prompt="green grass", stage2_guidance_scale=1.0, **few)
    variant("cutdiffusion-2x-background", background_prompt="green grass", **few)
    variant("cutdiffusion-2x-background-scale-1", background_guidance_scale=1.0, **few)
    variant("demofusion-1x", width=64, height=64)
    variant("demofusion-2x-feather-whole", window_weight="feather", window_conditioning="whole", jitter=0)
    variant("demofusion-2x-stride-2-windows-scale-2", window_stride=2, stage2_guidance_scale=2.0)
    variant("demofusion-2x-exponents", skip_exponent=2.0, dilated_exponent=0.5, blur_exponent=3.0, blur=1.5)
    variant("demofusion-2x-ddim-eta-1", **ddim)
    variant("demofusion-2x-no-cfg", guidance_scale=1.0)
    variant("demofusion-2x-image", image=START)
    variant("demofusion-2x-image-shrunk", image=IMAGES["start-large.png"])
    variant("demofusion-1x-image", width=64, height=64, image=START)
    variant("demofusion-3.125x1.5-cropped-image", width=200, height=96, image=IMAGES["start-wide.png"])
    variant("demofusion-2x1-image-ddim-eta-1", width=128, height=64, image=IMAGES["start-wide.png"], **ddim)
    for preset in relay.PRESETS:
        for size in ("2x", "3x") if preset != "megafusion" else ():
            width, height = SIZES[size]
            variant(f"relay-{size}-{preset}", preset=preset, width=width, height=height, scheduler=SOLVERS[preset],
                    guidance_scale=2.0)
    variant("relay-2x-own", preset=None)
    variant("relay-3x-own", preset=None, width=192, height=192)
    variant("relay-3x-few-steps", preset=None, width=192, height=192, steps=4, guidance_scale=1.0)
    variant("relay-2x-frecas-euler", preset="frecas", guidance_scale=2.0)
    variant("relay-1x-frecas", width=64, height=64, preset="frecas", scheduler="ddim")
    variant("relay-2x1-windows", preset=None, width=128, height=64, stages=(
        relay.Stage(1, (0.0, 0.6, 1.0)), relay.Stage(1.5, (0.4, 0.8, 1.0), windows=0.5, guidance=2.0, told="picture"),
        relay.Stage(None, (0.6, 1.0, 1.0), windows=0.75)))
    variant("relay-2.125x1-windows-bands-held-dpmpp-2m", preset=None, width=136, height=64, scheduler="dpmpp_2m", stages=(
        relay.Stage(1, (0.0, 0.8, 1.0)), relay.Stage(None, (0.5, 1.0, 1.0), windows=0.5, guidance=2.0, low=0.5, hold=0.5,
                                                     sharpen=0.5)))
    variant("relay-3x-upscaler-ddim-eta-1", preset=None, width=192, height=192, stages=(
        relay.Stage(1, (0.0, 0.8, 1.0)), relay.Stage(None, (0.7, 1.0, 1.0), windows=0.5, enlarge="upscaler")), **ddim)
    variant("relay-2x-image", preset="diffusehigh", image=START, guidance_scale=2.0)
    variant("relay-2x-no-cfg", preset="frecas", guidance_scale=1.0, scheduler="ddim")
    variant("scalecrafter-2x-one-group", dilation=(("up_blocks.0", 3.0),), dilate_share=1.0)
    variant("scalecrafter-2.125x1-fractional", width=136, height=64,
            dilation=(("mid_block", 2.5), ("up_blocks.0", 1.5)))
    variant("scalecrafter-2x-progressive", **progressive)
    variant("scalecrafter-2x-progressive-damped", damped_dilation=(("mid_block", 3.0),), damped_share=0.35,
            **progressive)
    variant("scalecrafter-2x-damped-ddim-eta-1", damped_dilation=(("up_blocks.0", 2.0),), damped_share=1.0, **ddim)
    variant("scalecrafter-2x-no-cfg", guidance_scale=1.0, damped_share=0.5)
    wide = {"width": 128, "height": 64, "steps": 8, "scheduler": "dpmpp_2m"}
    for method in ("direct", "multidiffusion", "asg", "cutdiffusion", "demofusion", "scalecrafter"):
        variant(f"{method}-2x1-dpmpp-2m", **wide)
        variant(f"{method}-2x1-dpmpp-2m-karras", spacing="karras", **wide)
    variant("asg-2x-dpmpp-2m-karras-interaction-2-upsampled", scheduler="dpmpp_2m", spacing="karras", interaction=2,
            guide_upsampling="bicubic", stage1_share=0.65)
    variant("scalecrafter-2x1-progressive-damped-dpmpp-2m-karras", spacing="karras", damped_dilation=(("mid_block", 3.0),),
            damped_share=0.35, **progressive, **wide)
    large = IMAGES["start-large.png"]
    variant("direct-1x-image-stretched", width=64, height=64, image=IMAGES["start-wide.png"], image_fit="stretch", strength=0.5, **ddim)
    variant("multidiffusion-2.125x1-cropped-image", width=136, height=64, image=IMAGES["start-wide.png"], image_fit="crop")
    variant("asg-2x-image", image=START, strength=0.9)
    variant("asg-2x1-image-cropped-dpmpp-2m", image=large, image_fit="crop", strength=0.8, **wide)
    variant("cutdiffusion-2x1-image-padded", width=128, height=64, image=large, image_fit="pad")
    variant("scalecrafter-2x1-image", width=128, height=64, image=IMAGES["start-wide.png"], damped_dilation=(("mid_block", 3.0),), damped_share=0.5)
    karras = {"spacing": "karras"}
    variant("direct-2x-lcm-no-cfg", scheduler="lcm", spacing="distilled", steps=4, guidance_scale=1.0)
    variant("multidiffusion-2x-ddpm", scheduler="ddpm")
    variant("asg-2x-euler-a", scheduler="euler_a", eta=1.0)
    variant("asg-2x1-unipc-karras-interaction-2", **wide | karras | {"scheduler": "unipc", "interaction": 2})
    variant("asg-2x1-dpmpp-3m-sde", **wide | {"scheduler": "dpmpp_3m_sde", "eta": 0.5})
    variant("cutdiffusion-2x1-dpmpp-3m-sde-karras", **wide | karras | {"scheduler": "dpmpp_3m_sde", "eta": 1.0})
    variant("demofusion-2x1-dpmpp-2m-sde-karras", **wide | karras | {"scheduler": "dpmpp_2m_sde", "eta": 1.0})
    variant("scalecrafter-2x1-unipc", **wide | {"scheduler": "unipc"})
    variant("relay-2x-unipc", preset=None, scheduler="unipc")
    variant("relay-2x-frecas-ddpm", preset="frecas", scheduler="ddpm", guidance_scale=2.0)
    variant("asg-2x1-lms-karras", **wide | karras | {"scheduler": "lms"})
    variant("cutdiffusion-2x1-ipndm", **wide | {"scheduler": "ipndm"})
    variant("demofusion-2x1-deis-karras", **wide | karras | {"scheduler": "deis"})
    variant("relay-2x-lms", preset=None, scheduler="lms")
    variant("multidiffusion-2x1-tcd", **wide | {"spacing": "distilled", "scheduler": "tcd", "eta": 0.3, "steps": 4})
    variant("multidiffusion-2x1-res-multistep-ays", **wide | {"spacing": "ays", "scheduler": "res_multistep"})
    interval = {"guidance_interval": (0.3, 4.0), "steps": 8}
    variant("direct-2x-interval", **interval)
    variant("asg-2x-interval-background", background_prompt="green grass", background_guidance_scale=2.0,
            **few | interval | {"seed": 12, "steps": 6})
    variant("asg-2x-interval-mask-own-noise-staleness-2", guide_space="noise", mask="own", staleness=2, **interval)
    variant("asg-2x1-interval-dpmpp-2m-karras", spacing="karras", **wide | interval)
    variant("cutdiffusion-2x1-interval-dpmpp-2m", **wide | interval)
    variant("multidiffusion-2x-interval-ddim-eta-1", **ddim, **interval)
    variant("demofusion-2x1-interval-windows-scale-2-dpmpp-2m", stage2_guidance_scale=2.0, **wide | interval)
    variant("scalecrafter-2x1-interval-damped-dpmpp-2m", damped_dilation=(("mid_block", 3.0),), damped_share=0.6,
            **wide | interval)
    variant("relay-2x-interval", preset=None, guidance_interval=(0.2, 2.5))
    variant("relay-2x-intervals-bands-dpmpp-2m", preset=None, scheduler="dpmpp_2m", guidance_interval=(0.3, 9.0), stages=(
        relay.Stage(1, (0.0, 0.8, 1.0)), relay.Stage(None, (0.5, 1.0, 1.0), windows=0.5, guidance=2.0, low=0.5, hold=0.5,
                                                     interval=(0.4, 0.9))))
    variant("asg-2x-variation", variation_seed=8, variation_strength=0.3)
    variant("multidiffusion-2x1-image-variation", width=128, height=64, image=IMAGES["start-wide.png"], strength=0.8,
            variation_seed=2 ** 40, variation_strength=0.75)
    variant("multidiffusion-2x1-regions", width=128, height=64, jitter=0, window_stride=4,
            regions=((0, 0, 64, 64, "blue grass"), (64, 0, 64, 64, "the red ball")))
    square, masked = {"image": START, "inpaint": IMAGES["mask.png"]}, IMAGES["start-wide.png"]
    variant("asg-2x-inpaint", image=IMAGES["start-2x.png"], inpaint=IMAGES["mask-2x.png"], inpaint_blur=2.0, strength=0.9)
    variant("direct-1x-inpaint-dpmpp-2m", width=64, height=64, scheduler="dpmpp_2m", **square)
    variant("cutdiffusion-2x1-inpaint-inverted", width=128, height=64, image=masked, inpaint=IMAGES["mask-wide.png"], inpaint_inverted=True)
    variant("multidiffusion-2x1-inpaint-cropped-ddim-eta-1", width=128, height=64, image_fit="crop", **square, **ddim)
    variant("scalecrafter-2x1-inpaint", width=128, height=64, image=masked, inpaint=IMAGES["mask-wide.png"], inpaint_blur=3.0)
    variant("asg-2x-outpaint", image=START, outpaint=(24, 40, 40, 24), inpaint_blur=3.0, strength=0.9)
    variant("superres-1x", width=64, height=64)
    variant("superres-16x1-tiles", width=1024, height=64)
    variant("superres-2x-image", image=START)
    variant("superres-2x-image-enlarged", image=IMAGES["start-small.png"])
    return cases


METHOD_CASES = method_cases()


def skip_cases():
    """On tiny-skip, whose network can be cut: features that are kept from step to step."""
    wide = {"width": 128, "height": 64, "steps": 6}
    bands = (relay.Stage(1, (0.0, 0.6, 1.0)), relay.Stage(None, (0.4, 1.0, 1.0), windows=0.5, guidance=2.0, low=0.5))
    windows = multidiffusion.DEFAULTS | {"window_weight": "feather", "window_conditioning": "crop", "jitter": 2}
    return {
        "direct-2x1-cached-dpmpp-2m": Settings(method="direct", scheduler="dpmpp_2m", cache_interval=2, **wide),
        "multidiffusion-2x1-cached": Settings(cache_interval=3, **windows | wide),
        "asg-2x-cached-background": Settings(cache_interval=2, steps=8, seed=2, object_share=0.35,
                                             background_guidance_scale=2.0),
        "cutdiffusion-2x1-cached-interval": Settings(cache_interval=3, guidance_interval=(0.3, 4.0),
                                                     **cutdiffusion.DEFAULTS | wide | {"steps": 12}),
        "relay-2x1-cached-bands": Settings(cache_interval=2, stages=bands, **relay.DEFAULTS | wide | {"steps": 10}),
    }


SKIP_CASES = skip_cases()
ONLY_RGB8 = ("superres-3x", "superres-16x1-tiles", "superres-2x-image-enlarged")  # the floats would be most of all golden data

PROMPTS = ["a red ball on grass", "", "blue grass", "A  Blue\nball's end,   über 12 it's grün", "日本 ball 🟥!?", "the",
           "the red ball on the green grass and the blue ball on an endless lawn of glass", "I'LL'd 3rd e\u0301t\u00e9"]


def save(path, array):
    """float32, little-endian, C order, .npy version 1.0."""
    np.save(path, np.ascontiguousarray(array, dtype="<f4"), allow_pickle=False)


def threshold_margin(bundle, settings):
    """How close a cell of a map comes to the mean that thresholds it, relative to the map's range."""
    raw = []
    masks_of = asg.patch_masks

    def spy(s, b, maps, real, shape):
        raw.append([asg.masks.average_map([m[i] for m in maps], *shape[2:]) for i in range(shape[0])])
        return masks_of(s, b, maps, real, shape)
    asg.patch_masks = spy
    try:
        methods.sample(bundle, settings)
    finally:
        asg.patch_masks = masks_of
    return min(np.abs(v - v.mean()).min() / np.ptp(v) for step in raw for v in step)


def describe(settings):
    d = {f.name: getattr(settings, f.name) for f in fields(settings)}
    d["window_stride"] = settings.window_stride or 4
    d["jitter"] = plan.default_jitter(8, d["window_stride"]) if settings.jitter is None else settings.jitter
    if settings.stage2_guidance_scale is None:
        d["stage2_guidance_scale"] = settings.guidance_scale
    d["background_prompt"] = settings.prompt if settings.background_prompt is None else settings.background_prompt
    if settings.background_guidance_scale is None:
        d["background_guidance_scale"] = d["stage2_guidance_scale"]
    for field in ("image", "inpaint"):
        d[field] = next((name for name, image in IMAGES.items() if image is getattr(settings, field)), None)
    d["regions"] = ["{},{},{},{}: {}".format(*region) for region in settings.regions]
    if settings.cache_interval == 1:
        del d["cache_interval"]
    d["stages"] = "; ".join(str(stage) for stage in settings.stages)
    d["dilation"], d["damped_dilation"] = dict(settings.dilation), dict(settings.damped_dilation)
    return d


def largest_difference(a, b):
    """Over all steps: the largest difference relative to the largest value of that step."""
    def steps(run):
        phases = [x for phase in [*run.phases.values(), *run.relay.values()] for x in phase]
        return run.stage1 + phases + run.stage2 + [x for x in (run.latents, run.rgb) if x is not None]
    return max(relative(y, x) for x, y in zip(steps(a), steps(b), strict=True))


def arrays(run):
    """Name of the file and its content, of everything that a run has."""
    drawn = None if run.settings.image is not None and run.settings.method in ENLARGING else run.initial  # a start picture takes its place
    found = {"initial": drawn, "stage1": run.stage1, "stage2": run.stage2, "start": run.start,
             "latents": run.latents, "rgb": run.rgb}
    found |= {f"phase{s}": latents for s, latents in run.phases.items()}
    found |= {f"relay{s}": latents for s, latents in run.relay.items()}
    return {name: value for name, value in found.items() if value is not None and len(value)}


def write_case(folder, bundle, name, settings):
    run = methods.sample(bundle, settings)
    low = methods.sample(bundle, settings, np.float32)
    rounding = largest_difference(run, low)
    assert rounding < 1e-4, (name, rounding)
    if settings.mask_norm == "mean-threshold":
        margin = threshold_margin(bundle, settings)
        assert margin > 1e-4, (name, margin)  # or rounding could flip a cell: choose another seed
    if settings.object_share > 0:
        assert 0 < run.background.sum() < len(run.background), run.background
        assert np.abs(run.masks[-1][0] - background.THRESHOLD).min() > 0.01, name
    target = folder / name
    target.mkdir(parents=True)
    for file, value in arrays(run).items():
        if file != "rgb" or name not in ONLY_RGB8:
            save(target / f"{file}.npy", value)
    if name in WITH_GUIDES:
        save(target / "guides.npy", run.guides)
        save(target / "masks.npy", run.masks)
    y, x = run.axes
    entry = {"name": name, "bundle": bundle.manifest["name"], "settings": describe(settings),
             "plan": {"s": [y.s, x.s], "patch": [y.patch, x.patch], "canvas": [y.canvas, x.canvas],
                      "crop": [y.crop, x.crop], "stage1_steps": len(run.stage1)},
             "token_ids": run.prompt.ids.tolist(), "negative_token_ids": run.negative.ids.tolist(),
             "float32_difference": float(f"{rounding:.1e}")}
    if settings.method == "scalecrafter":
        entry["plan"]["dilated_steps"] = run.dilated_steps
    if run.background is not None:
        entry["background"] = [int(v) for v in np.flatnonzero(run.background)]
    if name in WITH_PICTURE or run.rgb is not None:
        image, rgb = methods.picture(bundle, run)
        low_image, _ = methods.picture(bundle, low, np.float32)
        np.save(target / "rgb8.npy", rgb, allow_pickle=False)
        if image is not None:
            save(target / "image.npy", image)
        else:
            image, low_image = run.rgb, low.rgb
        entry["image_float32_difference"] = float(f"{np.abs(image - low_image).max():.1e}")
    entry["files"] = sorted(p.name for p in target.iterdir())
    return entry


def write_cases(resources):
    names = ("tiny", "tiny-stepless", "tiny-methods", "tiny-skip")
    tiny, stepless, tiny_methods, tiny_skip = (Bundle(resources / name) for name in names)
    checks.all_of_them(tiny, stepless, tiny_methods)
    folder = resources / "goldens" / "cases"
    shutil.rmtree(folder, ignore_errors=True)
    entries = [write_case(folder, tiny, name, settings) for name, settings in CASES.items()]
    entries += [write_case(folder, tiny_methods, name, settings) for name, settings in METHOD_CASES.items()]
    entries += [write_case(folder, tiny_skip, name, settings) for name, settings in SKIP_CASES.items()]
    for name, image in IMAGES.items():
        Image.fromarray(image).save(resources / "goldens" / name)
    text = resources / "goldens" / "text"
    shutil.rmtree(text, ignore_errors=True)
    text.mkdir(parents=True)
    prompts = []
    for i, prompt in enumerate(PROMPTS):
        p = tiny.encode(prompt)
        prompts.append({"prompt": prompt, "ids": p.ids.tolist(), "real": p.real})
        if i < 3:
            prompts[-1]["files"] = [f"text/hidden-{i}.npy", f"text/pooled-{i}.npy"]
            save(text / f"hidden-{i}.npy", p.hidden)
            save(text / f"pooled-{i}.npy", p.pooled)
    sha = {b.manifest["name"]: hashlib.sha256((b.folder / "manifest.json").read_bytes()).hexdigest()
           for b in (tiny, tiny_methods, tiny_skip)}
    write_json(resources / "goldens" / "index.json", {
        "bundle_manifest_sha256": sha,
        "layout": {"initial": "[N, C, h, w] N(0,1) * initScale",
                   "stage1": "[step, N, C, h, w] un-shuffled, after the step",
                   "stage2": "[step, C, H, W] after the step", "latents": "[C, H, W] after the last step",
                   "phase1": "[step, C, h, w] after the step; phase2: [step, C, 2h, 2w]; latents match the anchor",
                   "relay1": "[step, C, h, w] after the step of a relay's stage",
                   "start": "[C, h, w] of the start picture", "rgb": "[3, 8H, 8W] in 0..1, the canvas of superres",
                   "guides": "[step, C, h, w] made by the key patch (slot 0) at that step",
                   "masks": "[step, N, h, w] normalised, of every slot's own map at that step",
                   "image": "[3, 8H, 8W] decoded canvas", "rgb8": "[height, width, 3] the picture"},
        "tolerance": "relative to the largest absolute value of a step: 1e-4",
        "prompts": prompts, "cases": entries})
