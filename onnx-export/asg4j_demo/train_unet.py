# SPDX-License-Identifier: Apache-2.0
"""Trains the demo's UNet and text encoder together on encoded pictures, resumably.

The clock rules: the learning rate is a function of the wall time spent out of ``--minutes``, and a run that is
started again goes on where its last state stood.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch

from . import data, tokenizer
from .captions import ALL_SUBJECTS
from .model import VAE_FACTOR, build_scheduler, build_text_encoder, build_unet
from .parallel import Average, State, Worker, launch
from .render import NATIVE

_DROPOUT = 0.10  # of captions: those rows see zeros
_MIN_SNR = 5.0
_LATENT_NOISE = 0.02
JITTER_PIXELS = 16  # crops are labelled in a frame padded by two latents, as the windows of stage 2 are


def build() -> tuple[torch.nn.Module, torch.nn.Module]:
    words = tokenizer.build()
    unet = build_unet()
    text = build_text_encoder(words.get_vocab_size(), tokenizer.token_id(words, tokenizer.BOS), tokenizer.token_id(words, tokenizer.EOS))
    with torch.no_grad():  # residual branches start silent
        unet.conv_out.weight.zero_()
        for name, module in unet.named_modules():
            if name.endswith("conv2") or (name.endswith("proj_out") and "attentions" in name):
                module.weight.zero_()
                module.bias.zero_()
    return unet, text


def caption_ids() -> torch.Tensor:
    """[captions, 32]: the tokens of every caption of the demo, in the order of ALL_SUBJECTS."""
    words = tokenizer.build()
    return torch.tensor([tokenizer.encode(words, subject.caption) for subject in ALL_SUBJECTS])


class Batches:
    """Random batches of latents with captions and time_ids."""

    def __init__(self, folder: Path, rng: np.random.Generator):
        self._set = data.load(folder)
        self._latents = torch.from_numpy(np.load(folder / "latents.npy"))
        self._rng = rng
        self._order = np.empty(0, np.int64)
        index = {subject: i for i, subject in enumerate(ALL_SUBJECTS)}
        self._bare = np.array([index[s.without_object()] for s in ALL_SUBJECTS])

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents [n, 4, 16, 16], rows of ALL_SUBJECTS [n], time_ids [n, 6]."""
        if len(self._order) < count:
            self._order = self._rng.permutation(len(self._set))
        rows, self._order = self._order[:count], self._order[count:]
        labels = self._set
        zoom = labels.zoom[rows].astype(np.float64)
        whole = zoom == 1.0
        subject = labels.subject[rows].astype(np.int64)
        leave_out = ~whole & ~labels.visible[rows] & (self._rng.random(count) < 0.5)
        subject = np.where(leave_out, self._bare[subject], subject)
        # A whole picture may be asked for at any size; every high-resolution method does.
        pretended = np.where(self._rng.random(count) < 0.5, 1.0, self._rng.uniform(1.0, 4.2, count))
        side = NATIVE * np.where(whole, np.round(pretended * NATIVE / VAE_FACTOR) * VAE_FACTOR / NATIVE, zoom)
        top = np.where(whole, 0.0, labels.top[rows] + JITTER_PIXELS)
        left = np.where(whole, 0.0, labels.left[rows] + JITTER_PIXELS)
        time_ids = np.stack([side, side, top, left, side, side], 1).astype(np.float32)
        latents = self._latents[rows].float()
        latents = latents + _LATENT_NOISE * torch.randn_like(latents)
        return latents, torch.from_numpy(subject), torch.from_numpy(time_ids)


def learning_rate(peak: float, step: int, share: float) -> float:
    """Warm-up over 150 steps, flat for the first third of the time, then a cosine to 2 %."""
    fall = max(0.0, (share - 0.33) / 0.67)
    return peak * min(1.0, (step + 1) / 150) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, fall))))


def _work(worker: Worker, folder: Path, out: Path, minutes: float, batch: int, peak: float) -> None:
    torch.manual_seed(0)
    unet, text = build()
    parameters = [*unet.parameters(), *text.parameters()]
    average = Average(parameters)
    optimizer = torch.optim.AdamW(parameters, peak, betas=(0.9, 0.99), weight_decay=0.01, foreach=True)
    state = State(out / "unet.state.pt", average, unet=unet, text=text, optimizer=optimizer)
    done = state.resume()
    step, before, samples = done.get("step", 0), done.get("elapsed", 0.0), done.get("samples", 0)

    torch.manual_seed(1000 + 7919 * step + worker.rank)
    batches = Batches(folder, np.random.default_rng([worker.rank, step]))
    tokens = caption_ids()
    alpha_bar = build_scheduler().alphas_cumprod
    total = minutes * 60
    start = time.time()
    share, smooth, saved, fresh = before / total, 0.0, before, 0
    while share < 1.0:
        latents, subject, time_ids = batches.draw(batch)
        t = torch.randint(0, len(alpha_bar), (batch,))
        a = alpha_bar[t][:, None, None, None]
        noise = torch.randn_like(latents)
        encoded = text(tokens[subject])
        keep = (torch.rand(batch) >= _DROPOUT).float()
        output = unet(
            a.sqrt() * latents + (1 - a).sqrt() * noise,
            t,
            encoded.last_hidden_state * keep[:, None, None],
            added_cond_kwargs={"text_embeds": encoded.text_embeds * keep[:, None], "time_ids": time_ids},
        ).sample
        error = (output - noise).square().mean((1, 2, 3))
        snr = alpha_bar[t] / (1 - alpha_bar[t])
        loss = (error * snr.clamp(max=_MIN_SNR) / snr).mean() * 2
        for p in parameters:
            p.grad = None
        loss.backward()
        norm, elapsed = worker.exchange(parameters, before + time.time() - start)
        share = elapsed / total
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(peak, step, share)
        optimizer.step()
        step += 1
        fresh += 1
        samples += batch * worker.count
        value = error.mean().item()
        smooth = value if fresh < 20 else 0.99 * smooth + 0.01 * value
        if worker.rank == 0:
            average.update(parameters)
            if step % 50 == 0:
                rate = fresh * batch * worker.count / (time.time() - start)
                print(f"step {step} min {elapsed / 60:.1f} samples {samples} loss {smooth:.4f} norm {norm:.2f} "
                      f"lr {learning_rate(peak, step, share):.1e} samples/s {rate:.1f}", flush=True)
            if elapsed - saved > 180:
                saved = elapsed
                state.save(step=step, elapsed=elapsed, samples=samples)
    if worker.rank == 0:
        state.save(step=step, elapsed=elapsed, samples=samples)
        print(f"done: {step} steps, {samples} samples, {elapsed / 60:.1f} min", flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument("--batch", type=int, default=24, help="samples a process and step")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--processes", type=int, default=2)


def run(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    count = sum(p.numel() for module in build() for p in module.parameters())
    launch(_work, count, args.processes, args.data, args.out, args.minutes, args.batch, args.lr)
