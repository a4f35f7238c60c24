# SPDX-License-Identifier: Apache-2.0
"""Trains the demo's autoencoder (diffusers' AutoencoderKL, f = 8, 4 channels), resumably."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from . import data
from .parallel import Average, State, Worker, launch

WIDTHS = (16, 32, 64, 96)
_RELATIVE_NOISE = 0.06  # added to latents, so that the decoder forgives a denoiser's small errors
_RECOLOURED = 0.3  # share of batches with permuted colour channels, without which rare colours are learnt late


def build() -> AutoencoderKL:
    levels = len(WIDTHS)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=WIDTHS,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=128,
        mid_block_add_attention=False,
    )


def _texture_energy(image: torch.Tensor) -> torch.Tensor:
    """Local strength of detail: tells a decoder to draw texture where it cannot know its phase."""
    detail = image - F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return (F.avg_pool2d(detail.square(), 8, 4) + 1e-5).sqrt()


def reconstruction_loss(output: torch.Tensor, target: torch.Tensor, texture: bool) -> torch.Tensor:
    error = output - target
    dx, dy = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    loss = error.abs().mean() + 3.0 * error.square().mean() + 0.3 * (dx.abs().mean() + dy.abs().mean())
    # Colours: squares, because the objects' colours are rare and far from the backgrounds'.
    coarse = F.avg_pool2d(error, 4)
    loss = loss + 6.0 * coarse.square().mean() + 6.0 * F.avg_pool2d(coarse, 2).square().mean()
    if texture:
        half_output, half_target = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
        for a, b in ((output, target), (half_output, half_target)):
            loss = loss + 0.4 * (_texture_energy(a) - _texture_energy(b)).abs().mean()
    return loss


def _trained(vae: AutoencoderKL, decoder_only: bool) -> list[torch.nn.Parameter]:
    """The parameters to train; the latents of a denoiser in training must stay what they are."""
    if decoder_only:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    return [p for p in vae.parameters() if p.requires_grad]


def _work(worker: Worker, folder: Path, out: Path, minutes: float, batch: int, peak: float, refine: Path | None) -> None:
    pictures = data.load(folder)
    torch.manual_seed(0)
    vae = build() if refine is None else AutoencoderKL.from_pretrained(refine).train()
    parameters = _trained(vae, refine is not None)
    average = Average(parameters, 0.998)
    optimizer = torch.optim.AdamW(parameters, peak, betas=(0.9, 0.99), weight_decay=1e-4, foreach=True)
    state = State(out / "vae.state.pt", average, model=vae, optimizer=optimizer)
    done = state.resume()
    step, before = done.get("step", 0), done.get("elapsed", 0.0)

    rng = np.random.default_rng(1000 * worker.rank + step)
    torch.manual_seed(100 + worker.rank + step)
    held_out = 1000
    total = minutes * 60
    start = time.time()
    share, seen, smooth, saved = before / total, 0, 0.0, before
    while share < 1.0:
        # Mostly quarter pictures; whole ones now and then, and only whole ones at the end.
        whole = share > (0.75 if refine else 0.88) or (share > 0.5 and step % 8 == 0)
        n = max(2, batch // 3) if whole else batch
        x = pictures.tensor(np.sort(rng.integers(held_out, len(pictures), n)))
        if not whole:
            oy, ox = rng.integers(0, 65, 2)
            x = x[:, :, oy : oy + 64, ox : ox + 64]
        if rng.random() < 0.5:
            x = x.flip(-1)
        if not whole and refine is None and rng.random() < _RECOLOURED:
            x = x[:, rng.permutation(3)]
        x = x.contiguous()
        with torch.set_grad_enabled(refine is None):
            posterior = vae.encode(x).latent_dist
        spread = posterior.mean.detach().std((0, 2, 3), keepdim=True)
        z = posterior.sample() + _RELATIVE_NOISE * spread * torch.randn_like(posterior.mean)
        loss = reconstruction_loss(vae.decode(z).sample, x, texture=share > 0.6 or refine is not None)
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1.0 - posterior.logvar).mean()
        for p in parameters:
            p.grad = None
        (loss + 1e-4 * kl).backward()
        norm, elapsed = worker.exchange(parameters, before + time.time() - start)
        share = elapsed / total
        lr = peak * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        step += 1
        seen += n
        smooth = loss.item() if step < 20 else 0.98 * smooth + 0.02 * loss.item()
        if worker.rank == 0:
            average.update(parameters)
            if step % 100 == 0:
                rate = worker.count * seen / (time.time() - start)
                print(f"step {step} min {elapsed / 60:.1f} loss {smooth:.4f} kl {kl.item():.2f} lr {lr:.1e} norm {norm:.2f} "
                      f"spread {[round(v, 2) for v in spread.flatten().tolist()]} crops/s {rate:.1f}", flush=True)
            if elapsed - saved > 120:
                saved = elapsed
                state.save(step=step, elapsed=elapsed)
    if worker.rank == 0:
        state.save(step=step, elapsed=elapsed)
        average.copy_to(parameters)
        finish(vae, pictures, held_out, out, refine is not None)


@torch.no_grad()
def finish(vae: AutoencoderKL, pictures: data.PictureSet, held_out: int, out: Path, refined: bool) -> None:
    """Measures PSNR on held-out pictures and the latents' spread, which becomes the scaling factor; saves."""
    vae.eval()
    latents, errors = [], []
    for start in range(0, held_out, 20):
        x = pictures.tensor(np.arange(start, start + 20))
        z = vae.encode(x).latent_dist.mean
        latents.append(z)
        if start < 400:
            errors.append(((vae.decode(z).sample.clamp(-1, 1) - x) / 2).square().mean((1, 2, 3)))
    std = float(torch.cat(latents).std())
    psnr = -10 * torch.log10(torch.cat(errors))
    if not refined:
        vae.register_to_config(scaling_factor=round(1.0 / std, 6))
    vae.save_pretrained(out / "vae")
    per_channel = torch.cat(latents).std((0, 2, 3)).tolist()
    mean = torch.cat(latents).mean((0, 2, 3)).tolist()
    print(f"done: PSNR {float(psnr.mean()):.2f} dB (of mean error {float(-10 * torch.log10(torch.cat(errors).mean())):.2f}), "
          f"std {std:.4f}, by channel {per_channel}, mean {mean}", flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=27)
    parser.add_argument("--batch", type=int, default=6, help="64-pixel crops a process")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--refine", type=Path, help="a finished autoencoder of which only the decoder is trained on")


def run(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    count = sum(p.numel() for p in _trained(build(), args.refine is not None))
    launch(_work, count, args.processes, args.data, args.out, args.minutes, args.batch, args.lr, args.refine)
