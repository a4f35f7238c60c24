# SPDX-License-Identifier: Apache-2.0
"""Packs a training state as a checkpoint folder in diffusers' layout, fp16 safetensors."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from . import tokenizer
from .model import build_scheduler
from .train_unet import build

_INDEX = {
    "_class_name": "DiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "force_zeros_for_empty_prompt": True,
    "licence": "Apache-2.0",
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def write(state_file: Path, vae_folder: Path, out: Path) -> None:
    """Writes the averaged weights of the state and the autoencoder; the folder appears whole or not at all."""
    state = torch.load(state_file, weights_only=True)
    unet, text = build()
    with torch.no_grad():
        for parameter, value in zip([*unet.parameters(), *text.parameters()], state["average"]):
            parameter.copy_(value)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=out.name + ".", dir=out.parent))
    unet.half().save_pretrained(folder / "unet")
    text.half().save_pretrained(folder / "text_encoder")
    AutoencoderKL.from_pretrained(vae_folder).half().save_pretrained(folder / "vae")
    build_scheduler().save_pretrained(folder / "scheduler")
    tokenizer.save(tokenizer.build(), folder / "tokenizer")
    (folder / "model_index.json").write_text(json.dumps(_INDEX, indent=2) + "\n")
    for config in folder.glob("*/config.json"):  # where it was saved is nobody's business
        values = json.loads(config.read_text())
        values.pop("_name_or_path", None)
        config.write_text(json.dumps(values, indent=2) + "\n")
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)
    folder.chmod(0o755)
    if out.exists():
        shutil.rmtree(out)
    folder.rename(out)
    print(f"{out}: step {state['step']}, {state['samples']} samples")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("state", type=Path, help="unet.state.pt of a training run")
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)


def run(args: argparse.Namespace) -> None:
    write(args.state, args.vae, args.out)
