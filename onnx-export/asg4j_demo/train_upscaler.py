# SPDX-License-Identifier: Apache-2.0
"""Trains the demo's x2 upscaler, a small RRDBNet, on renders, resumably; measures it against bicubic at the end.

The pairs are a render (sharp) and the same at half the size, most of them after a round trip through the autoencoder
with a little noise on the latents, because that is what generated pictures look like. Some are degraded in BSRGAN's
manner instead (blur, one of several ways to shrink, noise), some only shrunk: the network is applied to its own
output as well, to enlarge 4 times.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from asg4j_export.rrdbnet import RRDBNet, Shape, load

from .parallel import Average, State
from .render import NATIVE, render, sample_crops, sample_scenes, sample_subjects

SHAPE = Shape(scale=2, features=32, blocks=2, growth=8)
_RELATIVE_NOISE = 0.06  # on latents, as in train_vae.py
_THROUGH_VAE, _DEGRADED = 0.7, 0.15  # shares of the pairs; the rest is only shrunk
_SIDE = 64  # of a stored small picture
_MARGIN = 8  # cut off on every side, where the autoencoder sees a border that a whole picture does not have there
_CROP = 32  # side of what one step sees of a small picture
_CHUNK = 40


@torch.no_grad()
def pairs(vae: AutoencoderKL, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Small pictures [n, 3, 64, 64] and what they should become [n, 3, 128, 128], uint8, a multiple of 40 of them."""
    small, large = [], []
    for start in range(0, count, _CHUNK):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + start)
        x, kind = _sharp(generator, _CHUNK)
        y = F.avg_pool2d(x, 2)
        y = torch.where((kind < _THROUGH_VAE)[:, None, None, None], _through(vae, y, generator), y)
        for i in range(len(x)):
            if _THROUGH_VAE <= float(kind[i]) < _THROUGH_VAE + _DEGRADED:
                y[i] = _degraded(x[i : i + 1], generator)[0]
        cut = slice(_MARGIN, -_MARGIN)
        small.append((y[:, :, cut, cut] * 255).round().byte())
        cut = slice(2 * _MARGIN, -2 * _MARGIN)
        large.append((x[:, :, cut, cut] * 255).round().byte())
    return torch.cat(small), torch.cat(large)


def _sharp(generator: torch.Generator, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Parts of renders, and a number in 0..1 that decides what happens to each; the VAE's at twice native size."""
    scenes = sample_scenes(generator, sample_subjects(generator, n))
    size = 2 * (_SIDE + 2 * _MARGIN)
    kind = torch.rand(n, generator=generator)
    native = 2 * NATIVE / size
    twice = sample_crops(generator, n, native, native, size)
    more = sample_crops(generator, n, native, 2 * native, size)
    zoom, left, top = (torch.where(kind < _THROUGH_VAE, a, b) for a, b in zip(twice, more))
    return render(scenes, size, zoom, left, top)[0], kind


def _through(vae: AutoencoderKL, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    z = vae.encode(images * 2 - 1).latent_dist.mean
    noise = torch.randn(z.shape, generator=generator) * z.std((0, 2, 3), keepdim=True)
    return (vae.decode(z + _RELATIVE_NOISE * noise).sample / 2 + 0.5).clamp(0, 1)


def _degraded(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Blurred, shrunk to a half and a little noisy, each at random."""
    strength, way, noise = torch.rand(3, generator=generator).tolist()
    deviation = 0.3 + 1.1 * strength
    taps = torch.exp(-((torch.arange(-4, 5) / deviation) ** 2) / 2)
    taps = (taps / taps.sum()).expand(3, 1, 1, 9)
    blurred = F.conv2d(F.pad(image, (4, 4, 4, 4), mode="replicate"), taps, groups=3)
    blurred = F.conv2d(blurred, taps.transpose(2, 3), groups=3)
    if way < 1 / 3:
        y = F.avg_pool2d(blurred, 2)
    else:
        y = F.interpolate(blurred, scale_factor=0.5, mode="bicubic" if way < 2 / 3 else "bilinear", antialias=True)
    return (y + 0.02 * noise**2 * torch.randn(y.shape, generator=generator)).clamp(0, 1)


def _loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Without a term for the amount of detail: it is met by a comb of the pixel grid, which a discriminator would have to see."""
    error = output - target
    dx, dy = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    return error.abs().mean() + 0.3 * (dx.abs().mean() + dy.abs().mean())


@torch.no_grad()
def interpolating() -> RRDBNet:
    """A network that begins as bilinear interpolation in three of its channels; the others are free to learn detail.

    Pixels are not negative, so rectifiers let them pass; 1 2 1 over nearest doubling is bilinear. The dense blocks begin near
    zero, as ESRGAN's do.
    """
    net = RRDBNet(SHAPE)
    for name, parameter in net.named_parameters():
        if "RDB" in name or name.startswith("trunk_conv"):
            parameter.mul_(0.1 if name.endswith("weight") else 0.0)
        elif name.endswith("bias"):
            parameter.zero_()
    line = torch.tensor([0.25, 0.5, 0.25])
    passes = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    net.trunk_conv.weight[:3] = 0
    net.conv_last.weight.mul_(0.1)
    for layer in (net.conv_first, net.upconv1, net.HRconv, net.conv_last):
        for channel in range(3):
            layer.weight[channel] = 0 if layer is not net.conv_last else layer.weight[channel]
            layer.weight[channel, :3] = 0
            layer.weight[channel, channel] = line[:, None] * line[None] if layer is net.upconv1 else passes
    return net


def train(vae: AutoencoderKL, out: Path, minutes: float, count: int, batch: int, peak: float) -> None:
    """Trains for so many minutes of CPU time, over all starts together, and writes out/upscaler_x2.safetensors (fp16)."""
    torch.manual_seed(0)
    net = interpolating()
    parameters = list(net.parameters())
    average = Average(parameters, 0.999)
    optimizer = torch.optim.Adam(parameters, peak, betas=(0.9, 0.99), foreach=True)
    state = State(out / "upscaler.state.pt", average, model=net, optimizer=optimizer)
    done = state.resume()
    step, before = done.get("step", 0), done.get("elapsed", 0.0)

    small, large = pairs(vae, count, seed=1 + step)  # others after every start
    print(f"{len(small)} pairs", flush=True)

    generator = torch.Generator().manual_seed(100 + step)
    total, start, elapsed, saved, smooth = minutes * 60, time.process_time(), before, before, 0.0
    while elapsed < total:
        x, y = _batch(small, large, batch, generator)
        loss = _loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        elapsed = before + time.process_time() - start
        lr = peak * min(1.0, (step + 1) / 100) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, elapsed / total))))
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        average.update(parameters)
        step += 1
        smooth = loss.item() if smooth == 0.0 else 0.98 * smooth + 0.02 * loss.item()
        if step % 200 == 0:
            print(f"step {step} min {elapsed / 60:.1f} loss {smooth:.4f} lr {lr:.1e} norm {float(norm):.2f}", flush=True)
        if elapsed - saved > 30:
            saved = elapsed
            state.save(step=step, elapsed=elapsed)
    state.save(step=step, elapsed=elapsed)
    average.copy_to(parameters)
    weights = {name: value.half().contiguous() for name, value in net.state_dict().items()}
    save_file(weights, out / "upscaler_x2.safetensors", {"format": "pt"})
    (out / "upscaler_x2.safetensors").chmod(0o644)
    print(f"{out / 'upscaler_x2.safetensors'}: {step} steps, {step * batch} crops, {elapsed / 60:.1f} min", flush=True)


def _batch(small: torch.Tensor, large: torch.Tensor, n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.randint(len(small), (n,), generator=generator).tolist()
    corners = torch.randint(_SIDE - _CROP + 1, (n, 2), generator=generator).tolist()
    x = torch.stack([small[i, :, top : top + _CROP, left : left + _CROP] for i, (top, left) in zip(rows, corners)])
    y = torch.stack([large[i, :, 2 * top : 2 * (top + _CROP), 2 * left : 2 * (left + _CROP)] for i, (top, left) in zip(rows, corners)])
    turn = torch.rand(3, generator=generator)
    if turn[0] < 0.5:
        x, y = x.flip(3), y.flip(3)
    if turn[1] < 0.5:
        x, y = x.flip(2), y.flip(2)
    if turn[2] < 0.5:
        x, y = x.transpose(2, 3), y.transpose(2, 3)
    return x.contiguous().float() / 255, y.contiguous().float() / 255


# ----------------------------------------------------------------------------------------------- measuring


def _psnr(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return -10 * torch.log10((output.clamp(0, 1) - target).square().mean((1, 2, 3)))


def _sharpness(image: torch.Tensor) -> float:
    """Mean strength of the finest detail: what a 3 x 3 box takes away."""
    return float((image - F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)).square().mean().sqrt())


@torch.no_grad()
def measure(net: RRDBNet, vae: AutoencoderKL, n: int = 100) -> None:
    """PSNR and sharpness of held-out whole scenes, enlarged twice and (the network twice) four times."""
    for factor in (2, 4):
        for through in (False, True):
            ours, bicubic, sharp = [], [], []
            for start in range(0, n, 10):
                generator = torch.Generator().manual_seed(2_000_003_000 + start)
                scenes = sample_scenes(generator, sample_subjects(generator, 10))
                truth = render(scenes, factor * NATIVE)[0]
                x = F.avg_pool2d(truth, factor)
                if through:
                    x = _through(vae, x, generator)
                y, z = x, F.interpolate(x, scale_factor=float(factor), mode="bicubic", align_corners=False).clamp(0, 1)
                for _ in range(factor // 2):
                    y = net(y).clamp(0, 1)
                ours.append(_psnr(y, truth))
                bicubic.append(_psnr(z, truth))
                sharp.append([_sharpness(v) for v in (y, z, truth)])
            a, b = torch.cat(ours), torch.cat(bicubic)
            s = torch.tensor(sharp).mean(0)
            difference = a - b
            print(f"{factor}x{', through the autoencoder' if through else ''}: PSNR {float(a.mean()):.2f} dB, bicubic "
                  f"{float(b.mean()):.2f} dB, gain {float(difference.mean()):.2f} dB (standard error {float(difference.std() / n**0.5):.2f}), "
                  f"sharpness {float(s[0] / s[2]):.2f} of the render's, bicubic {float(s[1] / s[2]):.2f}, n {n}", flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vae", type=Path, default=Path("checkpoint/demo/vae"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the state and upscaler_x2.safetensors")
    parser.add_argument("--minutes", type=float, default=20, help="of CPU time, over all starts; 0 only measures")
    parser.add_argument("--pairs", type=int, default=2000, help="of pictures, made anew at every start")
    parser.add_argument("--batch", type=int, default=8, help="crops of 32 x 32 pixels a step")
    parser.add_argument("--lr", type=float, default=1e-3)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    args.out.mkdir(parents=True, exist_ok=True)
    vae = AutoencoderKL.from_pretrained(args.vae, torch_dtype=torch.float32).eval().requires_grad_(False)
    if args.minutes > 0:
        train(vae, args.out, args.minutes, args.pairs, args.batch, args.lr)
    measure(load(args.out / "upscaler_x2.safetensors"), vae)
