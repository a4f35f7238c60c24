# SPDX-License-Identifier: Apache-2.0
"""What the comparisons with the authors' pipelines have in common. Their code is given as a file and no part of this repository."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import tempfile
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "onnx-export" / "checkpoint" / "demo"
PROMPT = "a red ball on grass"
NATIVE, CHANNELS, FACTOR = 16, 4, 8
GUIDANCE = 5.0


@dataclass(frozen=True)
class Run:
    """A picture's last latents [C, h, w], seconds in all, and seconds of them in the decoder."""

    latents: np.ndarray
    seconds: float
    decoding: float


def module(file: Path) -> types.ModuleType:
    """The authors' file as a module, without imports that today's diffusers no longer has: LoRA's, and those of plots and debuggers."""
    text = file.read_text()
    for gone in ("import matplotlib.pyplot as plt", "import pdb"):
        text = text.replace(gone, "")
    text = re.sub(r"\n    LoraLoaderMixin,", "", text)
    text = re.sub(r"\n    (LoRAAttnProcessor2_0|LoRAXFormersAttnProcessor),", "", text)
    text = text.replace("is_accelerate_available,\n", "").replace("    is_accelerate_version,\n", "")
    text = text.replace(", LoraLoaderMixin", "").replace("LoraLoaderMixin, ", "").replace("@replace_example_docstring(EXAMPLE_DOC_STRING)", "")
    loaded = types.ModuleType(file.stem)
    exec(compile(text, str(file), "exec"), loaded.__dict__)
    return loaded


def pipeline(authors: types.ModuleType, steps: int, name: str = ""):
    """Their pipeline over the demo checkpoint, its scheduler set to ``steps``; ``name`` of its class, else the one that has windows."""
    load = dict(torch_dtype=torch.float32)
    text = CLIPTextModelWithProjection.from_pretrained(CHECKPOINT / "text_encoder", **load)
    tokenizer = CLIPTokenizer.from_pretrained(CHECKPOINT / "tokenizer")
    windowed = (c for c in vars(authors).values() if isinstance(c, type) and hasattr(c, "get_views"))
    pipeline_class = getattr(authors, name) if name else next(windowed)
    scheduler = EulerDiscreteScheduler.from_pretrained(CHECKPOINT / "scheduler")
    scheduler.set_timesteps(steps)
    made = pipeline_class(
        AutoencoderKL.from_pretrained(CHECKPOINT / "vae", **load), text, text, tokenizer, tokenizer,
        UNet2DConditionModel.from_pretrained(CHECKPOINT / "unet", **load), scheduler, add_watermarker=False)
    made.set_progress_bar_config(disable=True)
    made.check_inputs = lambda *arguments: None  # sizes have to be multiples of 1024 pixels there
    return made


@torch.no_grad()
def conditioning(made) -> dict[str, torch.Tensor]:
    """The prompt as the pipeline takes it; the demo's unconditional row is zeros."""
    ids = made.tokenizer(PROMPT, padding="max_length", max_length=32, truncation=True, return_tensors="pt").input_ids
    encoded = made.text_encoder_2(ids)
    hidden, pooled = encoded.last_hidden_state, encoded.text_embeds
    return dict(
        prompt_embeds=hidden, pooled_prompt_embeds=pooled,
        negative_prompt_embeds=torch.zeros_like(hidden), negative_pooled_prompt_embeds=torch.zeros_like(pooled))


@contextlib.contextmanager
def replaced(owner: object, name: str, value: object):
    real = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, real)


def ours(method: str, side: int, steps: int, seed: int, last: str, options: Sequence[str] = ()) -> Run:
    """``./asg generate`` on one worker; ``last``: the dumped tensor that is the last latents, by a pattern of its name."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [str(ROOT / "asg"), "generate", "--prompt", PROMPT, "--method", method, "--size", f"{side}x{side}", "--seed", str(seed),
                   "--steps", str(steps), "--guidance-scale", str(GUIDANCE), "--devices", "cpu:1", "--dump", scratch, "--out", f"{scratch}/x.png",
                   "--json", "--quiet", *options]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        times = report["times_ms"]
        return Run(np.load(max(Path(scratch).glob(last))), times["total"] / 1000, times["vae"] / 1000)


def report(description: str | None, side: int, theirs: dict[str, Callable[[Path, int, int, int], Run]], method: str, last: str,
           options: Sequence[str] = ()) -> None:
    """The command line of a comparison: runs ``theirs`` by name and ours, and prints how far the last latents are apart, and the times."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("file", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--side", type=int, default=side)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    actual = ours(method, arguments.side, arguments.steps, arguments.seed, last, options)
    print(f"{arguments.steps} steps, {arguments.side} x {arguments.side}, one worker: {actual.seconds:.1f} s, decoding {actual.decoding:.1f} s of it")
    for name, draw in theirs.items():
        expected = draw(arguments.file, arguments.side, arguments.steps, arguments.seed)
        difference = np.abs(expected.latents - actual.latents).max() / np.abs(expected.latents).max()
        print(f"{name}, one thread of PyTorch: {expected.seconds:.1f} s, decoding {expected.decoding:.1f} s of it; "
              f"last latents differ by {difference:.1e} of their largest value")
