# SPDX-License-Identifier: Apache-2.0
"""Fits the counter's colour models and trains its small network, both on renders; then checks itself.

With ``--vae`` half of the pictures go through the autoencoder, because that is what generated pictures look like.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from . import count
from .captions import BACKGROUNDS, COLOURS, EMPTY_SUBJECTS, SHAPES, SUBJECTS
from .gate import wilson
from .render import NATIVE, render, sample_crops, sample_scenes

_MODES = 3  # Gaussians a background


@torch.no_grad()
def _through(vae: AutoencoderKL, images: torch.Tensor) -> torch.Tensor:
    parts = [vae.decode(vae.encode(x * 2 - 1).latent_dist.mean).sample for x in images.split(8)]
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)


def _smooth(images: torch.Tensor) -> np.ndarray:
    """[n, h, w, 3], box-filtered as object_mask filters."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(padded, 3, 1).permute(0, 2, 3, 1).numpy()


def _gaussian(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return pixels.mean(0), np.cov(pixels.T) + np.eye(3) * 6e-4


def _gaussians(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A few Gaussians by k-means along the pixels, so that clouds and sky, seams and stones have one each."""
    pixels = pixels[rng.permutation(len(pixels))[:40000]]
    centres = pixels[np.argsort(pixels.sum(1))[np.linspace(0, len(pixels) - 1, _MODES).astype(int)]]
    for _ in range(15):
        nearest = ((pixels[:, None] - centres[None]) ** 2).sum(2).argmin(1)
        centres = np.stack([pixels[nearest == k].mean(0) if (nearest == k).any() else centres[k] for k in range(_MODES)])
    fits = [_gaussian(pixels[nearest == k]) if (nearest == k).sum() > 200 else _gaussian(pixels) for k in range(_MODES)]
    return np.stack([m for m, _ in fits]), np.stack([c for _, c in fits])


def fit_colours(vae: AutoencoderKL | None, generator: torch.Generator) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    coloured: list[list[np.ndarray]] = [[] for _ in COLOURS]
    for colour in range(len(COLOURS)):
        subjects = [s for s in SUBJECTS if s.colour == colour and SHAPES[s.shape] != "flower"]
        subjects = [subjects[i] for i in rng.permutation(len(subjects))[:24]]
        images, cover = render(sample_scenes(generator, subjects))
        for x in [images] if vae is None else [images, _through(vae, images)]:
            coloured[colour].append(_smooth(x)[cover.numpy() > 0.99])
    grounds: list[list[np.ndarray]] = [[] for _ in BACKGROUNDS]
    for background in range(len(BACKGROUNDS)):
        scenes = sample_scenes(generator, [EMPTY_SUBJECTS[background]] * 16)
        zoom, left, top = sample_crops(generator, 16)
        for images in (render(scenes)[0], render(scenes, NATIVE, zoom, left, top)[0]):
            for x in [images] if vae is None else [images, _through(vae, images)]:
                grounds[background].append(_smooth(x).reshape(-1, 3))
    colour_fits = [_gaussian(np.concatenate(parts)) for parts in coloured]
    ground_fits = [_gaussians(np.concatenate(parts), rng) for parts in grounds]
    return {
        "gauss.colour.mean": torch.tensor(np.stack([m for m, _ in colour_fits]), dtype=torch.float32),
        "gauss.colour.covariance": torch.tensor(np.stack([c for _, c in colour_fits]), dtype=torch.float32),
        "gauss.background.mean": torch.tensor(np.stack([m for m, _ in ground_fits]), dtype=torch.float32),
        "gauss.background.covariance": torch.tensor(np.stack([c for _, c in ground_fits]), dtype=torch.float32),
    }


def _patches(vae: AutoencoderKL | None, generator: torch.Generator, total: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(1)
    patches, shapes, colours = [], [], []
    for start in range(0, total, 100):
        subjects = [SUBJECTS[i] for i in rng.integers(0, len(SUBJECTS), 100)]
        images, cover = render(sample_scenes(generator, subjects))
        if vae is not None and start // 100 % 2:
            images = _through(vae, images)
        for subject, image, mask in zip(subjects, images, cover.numpy() > 0.5):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if len(rows) < 8 or len(columns) < 8:
                continue
            wobble = rng.integers(-3, 4, 4)
            box = (slice(rows[0] + wobble[0], rows[-1] + 1 + wobble[1]), slice(columns[0] + wobble[2], columns[-1] + 1 + wobble[3]))
            patches.append(count.cut_patch(image.permute(1, 2, 0).numpy(), box))
            shapes.append(subject.shape)
            colours.append(subject.colour)
    return torch.stack(patches), torch.tensor(shapes), torch.tensor(colours)


def train_namer(vae: AutoencoderKL | None, generator: torch.Generator, total: int, epochs: int) -> count.Namer:
    patches, shapes, colours = _patches(vae, generator, total)
    held_out = len(patches) // 10
    namer = count.Namer()
    optimizer = torch.optim.AdamW(namer.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, epochs * ((len(patches) - held_out) // 64))
    for epoch in range(epochs):
        namer.train()
        order = torch.randperm(len(patches) - held_out) + held_out
        for index in order[: len(order) // 64 * 64].split(64):
            x = patches[index]
            if torch.rand(1) < 0.3:
                x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
            x = x * (0.92 + 0.16 * torch.rand(len(x), 1, 1, 1)) + 0.03 * torch.randn_like(x)
            shape, colour = namer(x)
            loss = F.cross_entropy(shape, shapes[index], label_smoothing=0.05) + F.cross_entropy(colour, colours[index], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        namer.eval()
        with torch.no_grad():
            shape, colour = namer(patches[:held_out])
        print(f"epoch {epoch}: shape {(shape.argmax(1) == shapes[:held_out]).float().mean():.3f} "
              f"colour {(colour.argmax(1) == colours[:held_out]).float().mean():.3f}", flush=True)
    return namer


def validate(vae: AutoencoderKL | None, generator: torch.Generator) -> None:
    """Renders whose truth is known: one object at 1x, 2x, 4x, and four objects (2 x 2 native pictures)."""
    rng = np.random.default_rng(2)

    def report(name: str, images: torch.Tensor, subjects: list, truth: int) -> None:
        pictures = (images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
        found = [count.examine(picture, subject) for picture, subject in zip(pictures, subjects)]
        n = len(found)
        right = sum(f.count == truth for f in found)
        named = sum(f.right_shape and f.right_colour for f in found)
        low, high = wilson(right, n)
        print(f"{name}: count right {right / n:.1%} ({low:.1%} to {high:.1%}), mean {np.mean([f.count for f in found]):.2f}, "
              f"shape and colour right {named / n:.1%}, n {n}", flush=True)

    for scale, n in ((1, 200), (2, 100), (4, 40)):
        subjects = [SUBJECTS[i] for i in rng.integers(0, len(SUBJECTS), n)]
        scenes = sample_scenes(generator, subjects)
        images = torch.cat([render(scenes[torch.arange(i, min(n, i + 20))], NATIVE * scale)[0] for i in range(0, n, 20)])
        report(f"rendered {scale}x", images, subjects, 1)
        if vae is not None and scale < 4:
            report(f"rendered {scale}x, through the autoencoder", _through(vae, images), subjects, 1)
        if scale == 1:
            tiled = torch.cat([torch.cat([images, images], 3)] * 2, 2)
            report("2 x 2 copies (truth 4)", tiled, subjects, 4)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vae", type=Path)
    parser.add_argument("--patches", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=8)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(77)
    vae = AutoencoderKL.from_pretrained(args.vae).eval() if args.vae else None
    weights = fit_colours(vae, generator)
    namer = train_namer(vae, generator, args.patches, args.epochs)
    weights |= {name: value.half() for name, value in namer.state_dict().items() if value.is_floating_point()}
    save_file({name: value.contiguous() for name, value in weights.items()}, count.MODEL_FILE)
    count.MODEL_FILE.chmod(0o644)
    validate(vae, torch.Generator().manual_seed(78))
