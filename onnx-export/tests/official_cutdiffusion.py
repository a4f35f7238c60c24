# SPDX-License-Identifier: Apache-2.0
"""The authors' CutDiffusion pipeline on the demo checkpoint, with the engine's noise, permutations and jitter, against `./asg generate --method cutdiffusion`.

``python tests/official_cutdiffusion.py CUTDIFFUSION_PY [--steps N] [--seed N]``; CUTDIFFUSION_PY is cutdiffusion.py of lmbxmu/CutDiffusion (Apache-2.0), which is not
part of this repository. All views of a step go into one batch: with smaller ones the pipeline scales the input of every batch but the first by the next
step's sigma, since its scheduler has counted on (README's view_batch_size 1 does so). Imports that today's diffusers no longer has are left out when it is read. Prints how far the last latents are apart, and both times.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
import types
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from reference import philox
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "onnx-export" / "checkpoint" / "demo"
PROMPT = "a red ball on grass"
SIDE = 256
NATIVE, CHANNELS, SCALE = 16, 4, 2


def official(file: Path):
    """The authors' module, without what is only for LoRA, watermarks and plots."""
    text = file.read_text()
    for gone in ("import matplotlib.pyplot as plt", "import pdb"):
        text = text.replace(gone, "")
    text = re.sub(r"\n    LoraLoaderMixin,", "", text)
    text = re.sub(r"\n    (LoRAAttnProcessor2_0|LoRAXFormersAttnProcessor),", "", text)
    text = text.replace("is_accelerate_available,\n", "").replace("    is_accelerate_version,\n", "")
    text = text.replace(", LoraLoaderMixin", "").replace("LoraLoaderMixin, ", "").replace("@replace_example_docstring(EXAMPLE_DOC_STRING)", "")
    module = types.ModuleType("cutdiffusion")
    exec(compile(text, str(file), "exec"), module.__dict__)
    return module


class Choices:
    """The random choices of the engine, in the order in which the pipeline asks for them."""

    def __init__(self, seed: int, sigma: float):
        self.seed, self.sigma, self.step = seed, sigma, -1
        self.patch = self.position = self.view = self.axis = 0
        self.permutations = None

    def noise(self, *arguments, **keywords):
        plane = CHANNELS * NATIVE * NATIVE
        values = philox.normals(self.seed, np.arange(plane) + self.patch * plane)
        self.patch += 1
        return torch.from_numpy(np.float32(values).reshape(1, CHANNELS, NATIVE, NATIVE)) * self.sigma

    def randperm(self, patches: int):
        if self.position == 0:
            self.step += 1
            self.permutations = philox.permutations(self.seed, self.step, patches, CHANNELS * NATIVE * NATIVE)
        choice = torch.from_numpy(np.int64(self.permutations[:, self.position]))
        self.position = (self.position + 1) % (CHANNELS * NATIVE * NATIVE)
        return choice

    def randint(self, low: int, high: int) -> int:
        """Of a view first the shift along x, then along y; a view of all nine has both."""
        if self.view == 0 and self.axis == 0:
            self.step += 1
        axis = 1 - self.axis
        word = philox.words(self.seed, self.view * 2 + axis, self.step, philox.JITTER)[0]
        self.view, self.axis = (self.view + 1) % 9 if self.axis else self.view, 1 - self.axis
        return low + int(philox.mulhi(word, high - low + 1))


@torch.no_grad()
def theirs(file: Path, steps: int, seed: int) -> tuple[np.ndarray, float]:
    module = official(file)
    load = dict(torch_dtype=torch.float32)
    text = CLIPTextModelWithProjection.from_pretrained(CHECKPOINT / "text_encoder", **load)
    tokenizer = CLIPTokenizer.from_pretrained(CHECKPOINT / "tokenizer")
    pipeline_class = next(c for c in vars(module).values() if isinstance(c, type) and hasattr(c, "get_views"))
    scheduler = EulerDiscreteScheduler.from_pretrained(CHECKPOINT / "scheduler")
    pipeline = pipeline_class(
        AutoencoderKL.from_pretrained(CHECKPOINT / "vae", **load), text, text, tokenizer, tokenizer,
        UNet2DConditionModel.from_pretrained(CHECKPOINT / "unet", **load), scheduler, add_watermarker=False)
    scheduler.set_timesteps(steps)
    choices = Choices(seed, float(scheduler.init_noise_sigma))
    pipeline.prepare_latents = choices.noise
    pipeline.check_inputs = lambda *arguments: None  # sizes have to be multiples of 1024 pixels there
    module.random = types.SimpleNamespace(randint=choices.randint)
    real = torch.randperm
    torch.randperm = choices.randperm
    try:
        ids = tokenizer(PROMPT, padding="max_length", max_length=32, truncation=True, return_tensors="pt").input_ids
        encoded = text(ids)
        started = time.monotonic()
        pipeline.set_progress_bar_config(disable=True)
        # The pipeline returns an empty list for latents; its callback sees them.
        kept = []
        pipeline(
            prompt_embeds=encoded.last_hidden_state, pooled_prompt_embeds=encoded.text_embeds,
            negative_prompt_embeds=torch.zeros_like(encoded.last_hidden_state), negative_pooled_prompt_embeds=torch.zeros_like(encoded.text_embeds),
            height=SIDE, width=SIDE, num_inference_steps=steps, guidance_scale=5.0, multi_guidance_scale=5.0, view_batch_size=16,
            stride=NATIVE // 2, shuffle=True, proportion=0.5, output_type="latent", callback=lambda i, t, x: kept.append(x.numpy().copy()))
        return kept[-1], time.monotonic() - started
    finally:
        torch.randperm = real


def ours(steps: int, seed: int) -> tuple[np.ndarray, float]:
    with tempfile.TemporaryDirectory() as scratch:
        command = [str(ROOT / "asg"), "generate", "--prompt", PROMPT, "--method", "cutdiffusion", "--size", f"{SIDE}x{SIDE}", "--seed", str(seed),
                   "--steps", str(steps), "--guidance-scale", "5", "--devices", "cpu:1", "--dump", scratch, "--out", f"{scratch}/x.png", "--json", "--quiet"]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        last = max(Path(scratch).glob("stage2-*-latents.npy"))
        return np.load(last), report["times_ms"]["total"] / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    expected, their_time = theirs(arguments.file, arguments.steps, arguments.seed)
    actual, our_time = ours(arguments.steps, arguments.seed)
    difference = np.abs(expected - actual).max() / np.abs(expected).max()
    print(f"{arguments.steps} steps, {SIDE} x {SIDE}: last latents differ by {difference:.1e} of their largest value; "
          f"theirs {their_time:.1f} s on one thread of PyTorch, ours {our_time:.1f} s on one worker")


if __name__ == "__main__":
    main()
