# SPDX-License-Identifier: Apache-2.0
"""A plain reference sampler over a bundle: ONNX Runtime and NumPy, Euler steps, one size, no patches.

``asg4j-demo sample BUNDLE --out FOLDER`` draws the fixed prompts at native size; with ``--size 256``
it is what the field calls direct inference.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from tokenizers import Tokenizer

PROMPTS = Path(__file__).with_name("prompts.txt")


class Sampler:
    """Draws pictures with classifier-free guidance; the unconditional row is all zeros."""

    def __init__(self, bundle: Path, threads: int = 1):
        self.manifest = json.loads((bundle / "manifest.json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads

        def session(file: str) -> onnxruntime.InferenceSession:
            return onnxruntime.InferenceSession(str(bundle / file), options, providers=["CPUExecutionProvider"])

        encoder = self.manifest["text_encoders"][0]
        self._length = encoder["length"]
        self._tokenizer = Tokenizer.from_file(str(bundle / encoder["tokenizer"]))
        self._text = session(encoder["file"])
        self._denoiser = session(self.manifest["denoiser"]["file"])
        self._decoder = session(self.manifest["vae"]["decoder"])

    def tokens(self, prompts: list[str]) -> np.ndarray:
        """[prompts, length], padded with EOS."""
        rows = []
        for prompt in prompts:
            ids = self._tokenizer.encode(prompt).ids
            eos = ids[-1]
            ids = ids[: self._length - 1] + [eos] if len(ids) > self._length else ids
            rows.append(ids + [eos] * (self._length - len(ids)))
        return np.array(rows, np.int64)

    def sigmas(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Timesteps and noise levels ("leading" spacing); the levels end with 0."""
        scheduler = self.manifest["scheduler"]
        betas = np.linspace(scheduler["beta_start"] ** 0.5, scheduler["beta_end"] ** 0.5, scheduler["train_steps"]) ** 2
        alpha_bar = np.cumprod(1 - betas)
        timesteps = (scheduler["train_steps"] // steps) * np.arange(steps)[::-1] + scheduler["steps_offset"]
        levels = np.sqrt((1 - alpha_bar) / alpha_bar)[timesteps]
        return timesteps, np.append(levels, 0.0)

    def draw(
        self,
        prompts: list[str],
        noise: np.ndarray,
        steps: int = 50,
        guidance: float = 5.0,
        weights: np.ndarray | None = None,
        on_step=None,
    ) -> np.ndarray:
        """Latents [n, C, h, w] (scaled) for the prompts, from unit noise [n, C, h, w]."""
        n = len(prompts)
        factor = self.manifest["latent"]["vae_factor"]
        height, width = noise.shape[2] * factor, noise.shape[3] * factor
        hidden, pooled = self._text.run(["last_hidden_state", "text_embeds"], {"input_ids": self.tokens(prompts)})
        feed = {
            "encoder_hidden_states": np.concatenate([np.zeros_like(hidden), hidden]),
            "text_embeds": np.concatenate([np.zeros_like(pooled), pooled]),
            "time_ids": np.tile(np.array([height, width, 0, 0, height, width], np.float32), (2 * n, 1)),
            "token_weights": np.zeros((2 * n, self._length), np.float32),
        }
        if weights is not None:
            feed["token_weights"][n:] = weights
        timesteps, sigmas = self.sigmas(steps)
        x = (noise * np.sqrt(sigmas[0] ** 2 + 1)).astype(np.float32)
        for k in range(steps):
            scaled = (x / np.sqrt(sigmas[k] ** 2 + 1)).astype(np.float32)
            feed["sample"] = np.concatenate([scaled, scaled])
            feed["timestep"] = np.full(2 * n, timesteps[k], np.float32)
            epsilon, *maps = self._denoiser.run(None, feed)
            epsilon = epsilon[:n] + np.float32(guidance) * (epsilon[n:] - epsilon[:n])
            x = x + epsilon * np.float32(sigmas[k + 1] - sigmas[k])
            if on_step is not None:
                on_step(k, x, [m[n:] for m in maps])
        return x

    def decode(self, latents: np.ndarray, chunk: int = 4) -> np.ndarray:
        """RGB8 pictures [n, H, W, 3]."""
        latent = self.manifest["latent"]
        parts = []
        for start in range(0, len(latents), chunk):
            z = latents[start : start + chunk] / np.float32(latent["scaling"]) + np.float32(latent["shift"])
            image = self._decoder.run(None, {"latents": z.astype(np.float32)})[0]
            parts.append(np.round((np.clip(image, -1, 1) + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1))
        return np.concatenate(parts)


def initial_noise(seeds: list[int], channels: int, height: int, width: int) -> np.ndarray:
    return np.stack([np.random.default_rng(seed).standard_normal((channels, height, width), np.float32) for seed in seeds])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, help="pixels a side (default: native)")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance-scale", type=float, default=5.0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="picture i is drawn with seed + i")


def run(args: argparse.Namespace) -> None:
    sampler = Sampler(args.bundle, args.threads)
    latent = sampler.manifest["latent"]
    height, width = [args.size // latent["vae_factor"]] * 2 if args.size else latent["native_size"]
    prompts = PROMPTS.read_text().splitlines()[: args.count]
    args.out.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(prompts), args.batch):
        batch = prompts[start : start + args.batch]
        noise = initial_noise([args.seed + start + i for i in range(len(batch))], latent["channels"], height, width)
        pictures = sampler.decode(sampler.draw(batch, noise, args.steps, args.guidance_scale))
        for i, picture in enumerate(pictures):
            Image.fromarray(picture).save(args.out / f"{start + i:02d}.png")
        print(f"{start + len(batch)} of {len(prompts)}", flush=True)
