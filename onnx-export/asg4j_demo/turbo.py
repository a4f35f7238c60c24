# SPDX-License-Identifier: Apache-2.0
"""Makes the demo's distilled model: a student's state to a checkpoint's UNet, and that to what the bundle has of its own.

``demo-turbo`` shares all files but the denoiser with the demo, in whose folder of the jar it lies.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from asg4j_export.export import export
from asg4j_export.manifests import read_manifest, replace_manifest

from .distill import STEPS

_OWN = ("denoiser.onnx", "denoiser_dilated.onnx")


def pack(state_file: Path, demo: Path, out: Path) -> None:
    """Writes the averaged weights of a student's state as ``unet`` and the scheduler that it was distilled for."""
    state = torch.load(state_file, weights_only=True)
    unet = UNet2DConditionModel.from_pretrained(demo / "unet", torch_dtype=torch.float32)
    with torch.no_grad():
        for parameter, value in zip(unet.parameters(), state["average"]):
            parameter.copy_(value)
    unet.half().save_pretrained(out / "unet")
    config = out / "unet" / "config.json"
    values = json.loads(config.read_text())
    values.pop("_name_or_path", None)
    config.write_text(json.dumps(values, indent=2) + "\n")
    (out / "unet" / "diffusion_pytorch_model.safetensors").chmod(0o644)
    scheduler = json.loads((demo / "scheduler" / "scheduler_config.json").read_text())
    scheduler |= {"timestep_spacing": "trailing", "steps_offset": 0}
    (out / "scheduler").mkdir(parents=True, exist_ok=True)
    (out / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler, indent=2) + "\n")
    print(f"{out}: iteration {state['iteration']}")


def write(turbo: Path, demo: Path, bundle: Path) -> None:
    """Exports the student with the demo's other parts and keeps what is its own in ``bundle/turbo``."""
    with tempfile.TemporaryDirectory() as work:
        checkpoint = Path(work) / "demo-turbo"
        shutil.copytree(demo, checkpoint, ignore=shutil.ignore_patterns("upscaler"))
        shutil.copytree(turbo, checkpoint, dirs_exist_ok=True)
        exported = Path(work) / "bundle"
        export(checkpoint, exported)
        own = bundle / "turbo"
        own.mkdir(exist_ok=True)
        for name in (*_OWN, "manifest.json"):
            shutil.copyfile(exported / name, own / name)
    follow(bundle)
    print(f"{own}: {sum(file.stat().st_size for file in own.iterdir()) / 1e6:.1f} MB")


def follow(bundle: Path) -> None:
    """Makes the manifest in ``bundle/turbo`` say what the demo's says now, but of the student's own parts."""
    student, manifest = read_manifest(bundle / "turbo"), read_manifest(bundle)
    manifest |= {key: student[key] for key in ("name", "denoiser", "scheduler")}
    manifest["defaults"] = {"steps": STEPS, "guidance_scale": 1.0, "method": "relay"}
    manifest["files"] |= {name: student["files"][name] for name in _OWN}
    replace_manifest(bundle / "turbo", manifest)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, help="student.state.pt of distill: pack it into the checkpoint first")
    parser.add_argument("--checkpoint", type=Path, required=True, help="checkpoint/demo-turbo: its UNet and scheduler")
    parser.add_argument("--demo", type=Path, required=True, help="checkpoint/demo")
    parser.add_argument("--into", type=Path, required=True, help="the demo's bundle")


def run(args: argparse.Namespace) -> None:
    if args.state:
        pack(args.state, args.demo, args.checkpoint)
    write(args.checkpoint, args.demo, args.into)
