# SPDX-License-Identifier: Apache-2.0
"""Distils the demo's UNet into one that draws in four steps without guidance, resumably.

The student learns to go in one deterministic step from timestep t to t - 250 where the guided teacher takes four (progressive
distillation, Salimans and Ho 2022, arXiv 2202.00512, with the guidance inside as in Meng et al. 2023, arXiv 2210.03142). Half of
the rows begin with encoded pictures and noise at any timestep, half where the student's own steps from pure noise have led.
The clock rules, as in train_unet.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModelWithProjection

from .model import LATENT_CHANNELS, NATIVE_LATENT, build_scheduler
from .parallel import Average, State, Worker, launch
from .train_unet import Batches, caption_ids, learning_rate

STEPS = 4
_SUBSTEPS = 4  # of the teacher in a step of the student, DPM-Solver++ of second order
_MAX_WEIGHT = 4.0


class Levels:
    """The variance-preserving noise levels at any timestep; the one below 0 is clean."""

    def __init__(self) -> None:
        alpha_bar = build_scheduler().alphas_cumprod.double()
        self.count = len(alpha_bar)
        self.stride = self.count // STEPS
        self._alpha = torch.cat([torch.ones(1).double(), alpha_bar.sqrt()]).float()
        self._sigma = torch.cat([torch.zeros(1).double(), (1 - alpha_bar).sqrt()]).float()

    def at(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Alpha and sigma of integer timesteps, -1 the clean latents, shaped for latents."""
        return self._alpha[t + 1][:, None, None, None], self._sigma[t + 1][:, None, None, None]

    def next(self, t: torch.Tensor) -> torch.Tensor:
        """Where the student's step from t leads."""
        return (t - self.stride).clamp(min=-1)

    def nodes(self, t: torch.Tensor) -> list[torch.Tensor]:
        """The teacher's timesteps from t to the student's next one."""
        end = self.next(t)
        return [t + ((end - t) * i / _SUBSTEPS).round().long() for i in range(_SUBSTEPS)] + [end]


def step(levels: Levels, x: torch.Tensor, eps: torch.Tensor, t: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """DDIM from t to end."""
    (alpha, sigma), (alpha_end, sigma_end) = levels.at(t), levels.at(end)
    return alpha_end * (x - sigma * eps) / alpha + sigma_end * eps


class Conditioning:
    """Rows of captions and places, with the unconditional row of zeros."""

    def __init__(self, text: CLIPTextModelWithProjection, subject: torch.Tensor, time_ids: torch.Tensor):
        rows = text(_TOKENS[subject])
        self._states, self._pooled, self._ids = rows.last_hidden_state, rows.text_embeds, time_ids

    def student(self, unet: UNet2DConditionModel, x: torch.Tensor, t: torch.Tensor, rows: slice = slice(None)) -> torch.Tensor:
        extra = {"text_embeds": self._pooled[rows], "time_ids": self._ids[rows]}
        return unet(x, t, self._states[rows], added_cond_kwargs=extra).sample

    def guided(self, unet: UNet2DConditionModel, x: torch.Tensor, t: torch.Tensor, scale: float) -> torch.Tensor:
        zero = torch.zeros_like
        extra = {"text_embeds": torch.cat([self._pooled, zero(self._pooled)]), "time_ids": torch.cat([self._ids] * 2)}
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = unet(torch.cat([x] * 2), torch.cat([t] * 2), torch.cat([self._states, zero(self._states)]), added_cond_kwargs=extra).sample
        text, bare = out.float().chunk(2)
        return bare + scale * (text - bare)


_TOKENS = caption_ids()


def teacher_target(levels: Levels, conditioning: Conditioning, teacher: UNet2DConditionModel, x: torch.Tensor, t: torch.Tensor, scale: float) -> torch.Tensor:
    """Latents at the student's next timestep: DPM-Solver++(2M) over the nodes, the first step of first order."""
    nodes = levels.nodes(t)
    before = None
    for start, end in zip(nodes[:-1], nodes[1:]):
        (alpha, sigma), (alpha_end, sigma_end) = levels.at(start), levels.at(end)
        clean = (x - sigma * conditioning.guided(teacher, x, start.clamp(min=0), scale)) / alpha
        width = (alpha_end * sigma / (sigma_end * alpha)).log()  # infinite where the end is clean: first order then
        used = clean
        if before is not None:
            slope = torch.where(width.isfinite(), width / before[1] / 2, torch.zeros_like(width)).nan_to_num(0.0, 0.0, 0.0)
            used = clean + slope * (clean - before[0])
        moved = sigma_end / sigma * x + alpha_end * (1 - (-width).exp()) * used
        x = torch.where((start == end)[:, None, None, None], x, moved)
        before = (clean, width)
    return x


def _work(worker: Worker, folder: Path, teacher_folder: Path, out: Path, minutes: float, batch: int, peak: float, scale: float) -> None:
    teacher = UNet2DConditionModel.from_pretrained(teacher_folder / "unet", torch_dtype=torch.float32).eval()
    student = UNet2DConditionModel.from_pretrained(teacher_folder / "unet", torch_dtype=torch.float32).train()
    text = CLIPTextModelWithProjection.from_pretrained(teacher_folder / "text_encoder", torch_dtype=torch.float32).eval()
    levels = Levels()
    parameters = list(student.parameters())
    average = Average(parameters)
    optimizer = torch.optim.AdamW(parameters, peak, betas=(0.9, 0.99), weight_decay=0.0, foreach=True)
    state = State(out / "student.state.pt", average, unet=student, optimizer=optimizer)
    done = state.resume()
    iteration, before = done.get("iteration", 0), done.get("elapsed", 0.0)

    torch.manual_seed(1000 + 7919 * iteration + worker.rank)
    batches = Batches(folder, np.random.default_rng([worker.rank, iteration]))
    own = batch // 2
    total, start = minutes * 60, time.time()
    share, elapsed, smooth, saved, fresh = before / total, before, 0.0, before, 0
    while share < 1.0:
        latents, subject, time_ids = batches.draw(batch)
        with torch.no_grad():
            conditioning = Conditioning(text, subject, time_ids)
            t = torch.randint(0, levels.count, (batch,))
            alpha, sigma = levels.at(t)
            x = alpha * latents + sigma * torch.randn_like(latents)
            # the first half goes the student's own way, each row a part of it
            x[:own] = torch.randn(own, LATENT_CHANNELS, NATIVE_LATENT, NATIVE_LATENT)
            t[:own] = levels.count - 1
            depth = torch.randint(0, STEPS, (own,))
            for taken in range(STEPS - 1):
                rows = depth > taken
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    eps = conditioning.student(student, x[:own], t[:own], slice(own)).float()
                moved = step(levels, x[:own], eps, t[:own], levels.next(t[:own]))
                x[:own] = torch.where(rows[:, None, None, None], moved, x[:own])
                t[:own] = torch.where(rows, levels.next(t[:own]), t[:own])
            target = teacher_target(levels, conditioning, teacher, x, t, scale)
            end = levels.next(t)
            (alpha, sigma), (alpha_end, sigma_end) = levels.at(t), levels.at(end)
            gain = sigma_end - alpha_end * sigma / alpha  # of the step: what it makes of an error of the noise
            wanted = (target - alpha_end / alpha * x) / gain
            weight = gain.square().clamp(0.25, _MAX_WEIGHT).flatten()
        error = (conditioning.student(student, x, t) - wanted).square().mean((1, 2, 3))
        loss = (error * weight).mean()
        for p in parameters:
            p.grad = None
        loss.backward()
        norm, elapsed = worker.exchange(parameters, before + time.time() - start)
        share = elapsed / total
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(peak, iteration, share)
        optimizer.step()
        iteration += 1
        fresh += 1
        smooth = loss.item() if fresh < 20 else 0.98 * smooth + 0.02 * loss.item()
        if worker.rank == 0:
            average.update(parameters)
            if iteration % 25 == 0:
                rate = fresh * batch * worker.count / (time.time() - start)
                print(f"iteration {iteration} min {elapsed / 60:.1f} loss {smooth:.4f} norm {norm:.2f} samples/s {rate:.1f}", flush=True)
            if elapsed - saved > 180:
                saved = elapsed
                state.save(iteration=iteration, elapsed=elapsed)
    if worker.rank == 0:
        state.save(iteration=iteration, elapsed=elapsed)
        print(f"done: {iteration} iterations, {elapsed / 60:.1f} min", flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True, help="checkpoint folder of the model that is distilled")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=32, help="samples a process and iteration")
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--guidance-scale", type=float, default=5.0, help="of the teacher; the student has none")
    parser.add_argument("--processes", type=int, default=2)


def run(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    count = sum(p.numel() for p in UNet2DConditionModel.from_pretrained(args.teacher / "unet").parameters())
    launch(_work, count, args.processes, args.data, args.teacher, args.out, args.minutes, args.batch, args.lr, args.guidance_scale)
