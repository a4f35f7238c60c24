# SPDX-License-Identifier: Apache-2.0
"""The feature network of the demo's evaluation: 64 numbers of a 128 x 128 picture, for KID and FID.

Trained on renders to tell what is in a picture (shape, colour, background, how many objects, how much it is enlarged) and
what is wrong with it (blur, noise, the autoencoder, parts of two pictures side by side), so that its features see both.

``asg4j-demo train-features work/features`` trains it; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from .captions import BACKGROUNDS, COLOURS, SHAPES, SUBJECTS
from .render import NATIVE, render, sample_crops, sample_groups, sample_scenes, sample_subjects

MODEL_FILE = Path(__file__).with_name("features.safetensors")
CHECKPOINT = Path(__file__).parents[1] / "checkpoint" / "demo" / "vae"
WIDTH = 64
MAX_OBJECTS = 4
_CHUNK = 40
_NONE = -1  # a label that is not known


class Features(torch.nn.Module):
    """Pictures [n, 3, 128, 128] in 0..1 to features [n, 64] of about unit variance."""

    def __init__(self) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, stride: int) -> list[torch.nn.Module]:
            return [torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), torch.nn.BatchNorm2d(outputs), torch.nn.ReLU()]

        self.body = torch.nn.Sequential(
            *block(3, 16, 2), *block(16, 32, 2), *block(32, 64, 2), *block(64, 96, 2), *block(96, 96, 1)
        )
        # Mean and spread over the picture: what is there, and how unevenly.
        self.project = torch.nn.Sequential(torch.nn.Linear(2 * 96, WIDTH), torch.nn.BatchNorm1d(WIDTH, affine=False))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.body(image * 2 - 1)
        mean = x.mean((2, 3))
        spread = ((x - mean[:, :, None, None]) ** 2).mean((2, 3))
        return self.project(torch.cat([mean, (spread + 1e-4).sqrt()], 1))


class Heads(torch.nn.Module):
    """What the features are trained for; not part of the network that is exported."""

    CLASSES = {"shape": len(SHAPES) + 1, "colour": len(COLOURS) + 1, "background": len(BACKGROUNDS), "objects": MAX_OBJECTS + 1}
    AMOUNTS = {"zoom": 0.7, "blur": 0.6, "noise": 0.03, "autoencoder": 0.5, "patchwork": 0.45}  # and their spread

    def __init__(self) -> None:
        super().__init__()
        self.classes = torch.nn.ModuleDict({name: torch.nn.Linear(WIDTH, n) for name, n in self.CLASSES.items()})
        self.amounts = torch.nn.Linear(WIDTH, len(self.AMOUNTS))

    def loss(self, features: torch.Tensor, labels: dict[str, torch.Tensor]) -> torch.Tensor:
        x = features.relu()
        spread = torch.tensor(list(self.AMOUNTS.values()))
        total = (((self.amounts(x) * spread - labels["amounts"]) / spread) ** 2).mean(0).sum()
        for name, head in self.classes.items():
            total = total + F.cross_entropy(head(x), labels[name], ignore_index=_NONE)
        return total


def load() -> Features:
    network = Features()
    network.load_state_dict({name: value.float() for name, value in load_file(MODEL_FILE).items()}, strict=False)
    return network.eval()


@torch.no_grad()
def _chunk(vae: AutoencoderKL, seed: int) -> dict[str, torch.Tensor]:
    """Pictures and labels; a third each: whole pictures, whole pictures with 0 to 4 objects, crops."""
    generator = torch.Generator().manual_seed(9_000_000 + seed)
    kind = seed % 3
    n = _CHUNK
    zoom = torch.ones(n)
    if kind == 1:
        rng = np.random.default_rng(seed)
        subjects = [SUBJECTS[i] for i in rng.integers(0, len(SUBJECTS), n)]
        objects = seed // 3 % (MAX_OBJECTS + 1)
        layers = sample_groups(generator, subjects, objects)
        scenes = layers[0]
        images, cover = render(scenes, more=layers[1:])
        counted = torch.full((n,), objects)
    else:
        scenes = sample_scenes(generator, sample_subjects(generator, n))
        if kind == 2:
            zoom, left, top = sample_crops(generator, n)
            images, cover = render(scenes, NATIVE, zoom, left, top)
            counted = torch.full((n,), _NONE)
        else:
            images, cover = render(scenes)
            counted = (scenes.shape >= 0).long()
    visible = cover.mean((1, 2)) > 0.02
    through = seed // 3 % 2
    if through:
        images = torch.cat([(vae.decode(vae.encode(x * 2 - 1).latent_dist.mean).sample / 2 + 0.5).clamp(0, 1) for x in images.split(8)])
    return {
        "images": (images * 255).round().byte(),
        "shape": torch.where(visible, scenes.shape, torch.full_like(scenes.shape, len(SHAPES))).long(),
        "colour": torch.where(visible, scenes.colour, torch.full_like(scenes.colour, len(COLOURS))).long(),
        "background": scenes.background.long(),
        "objects": counted.long(),
        "zoom": zoom.log2(),
        "autoencoder": torch.full((n,), float(through)),
    }


def data(folder: Path, pictures: int) -> dict[str, torch.Tensor]:
    """The training set, rendered once and kept in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    vae = AutoencoderKL.from_pretrained(CHECKPOINT, torch_dtype=torch.float32).float().eval()
    chunks = []
    for seed in range(pictures // _CHUNK):
        file = folder / f"{seed:04d}.safetensors"
        if not file.exists():
            part = file.with_suffix(".part")
            save_file(_chunk(vae, seed), part)
            part.rename(file)
            if seed % 20 == 0:
                print(f"{seed * _CHUNK} of {pictures} pictures", flush=True)
        chunks.append(load_file(file))
    return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _degrade(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Blurs a third, makes a third noisy, puts parts of two pictures side by side in a quarter; and how much of each."""
    n = len(x)
    blur = (torch.rand(n) < 0.33) * (0.5 + 1.5 * torch.rand(n))
    taps = torch.arange(-4, 5)
    kernel = torch.exp(-0.5 * (taps[None] / blur.clamp(min=0.05)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None].repeat_interleave(3, 0)
    y = F.pad(x, (4, 4, 4, 4), mode="replicate").flatten(0, 1)[None]
    y = F.conv2d(F.conv2d(y, kernel[:, :, :, None], groups=3 * n), kernel[:, :, None], groups=3 * n)
    y = y[0].unflatten(0, (n, 3))
    patchwork = torch.rand(n) < 0.25
    other = y.roll(1, 0)
    for i in patchwork.nonzero()[:, 0].tolist():
        along, at = int(torch.rand(1) < 0.5), int(32 + 64 * torch.rand(1))
        if along:
            y[i, :, :, at:] = other[i, :, :, at:]
        else:
            y[i, :, at:] = other[i, :, at:]
    noise = (torch.rand(n) < 0.33) * (0.01 + 0.09 * torch.rand(n))
    y = (y + noise[:, None, None, None] * torch.randn_like(y)).clamp(0, 1)
    return y, blur, noise, patchwork


def _batch(pictures: dict[str, torch.Tensor], index: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    x = pictures["images"][index].float() / 255
    flip = torch.rand(len(index)) < 0.5
    x = torch.where(flip[:, None, None, None], x.flip(-1), x)
    x, blur, noise, patchwork = _degrade(x)
    labels = {name: pictures[name][index] for name in Heads.CLASSES}
    # Half of another picture: what is in it is not what the label says.
    for name in labels:
        labels[name] = torch.where(patchwork, torch.full_like(labels[name], _NONE), labels[name])
    amounts = [pictures["zoom"][index], blur, noise, pictures["autoencoder"][index], patchwork.float()]
    return x, labels | {"amounts": torch.stack(amounts, 1)}


@torch.no_grad()
def check(network: Features, heads: Heads, pictures: dict[str, torch.Tensor], index: torch.Tensor) -> str:
    network.eval()
    torch.manual_seed(1)
    x, labels = _batch(pictures, index)
    y = network(x).relu()
    parts = []
    for name, head in heads.classes.items():
        known = labels[name] != _NONE
        parts.append(f"{name} {(head(y).argmax(1) == labels[name])[known].float().mean():.3f}")
    guessed = heads.amounts(y)
    for i, name in enumerate(Heads.AMOUNTS):
        pair = torch.stack([guessed[:, i], labels["amounts"][:, i]])
        parts.append(f"{name} r {torch.corrcoef(pair)[0, 1]:.2f}")
    return ", ".join(parts)


def train(folder: Path, pictures: dict[str, torch.Tensor], epochs: int, batch: int = 32) -> Features:
    torch.manual_seed(0)
    network, heads = Features(), Heads()
    held_out = torch.arange(0, len(pictures["images"]), 16)
    rest = torch.ones(len(pictures["images"]), dtype=torch.bool)
    rest[held_out] = False
    rest = rest.nonzero()[:, 0]
    steps = len(rest) // batch
    optimizer = torch.optim.AdamW([*network.parameters(), *heads.parameters()], 3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, epochs * steps)
    state_file = folder / "state.pt"
    first = 0
    if state_file.exists():
        state = torch.load(state_file)
        for part, saved in zip((network, heads, optimizer, schedule), state["parts"]):
            part.load_state_dict(saved)
        first = state["epoch"]
    for epoch in range(first, epochs):
        clock = time.time()
        torch.manual_seed(100 + epoch)
        network.train()
        for index in rest[torch.randperm(len(rest))][: steps * batch].split(batch):
            x, labels = _batch(pictures, index)
            loss = heads.loss(network(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch}: {check(network, heads, pictures, held_out[:400])}, {time.time() - clock:.0f} s", flush=True)
        part = state_file.with_suffix(".part")
        torch.save({"epoch": epoch + 1, "parts": [p.state_dict() for p in (network, heads, optimizer, schedule)]}, part)
        part.rename(state_file)
    return network


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="for the training set and the state")
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=24)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    network = train(args.folder, data(args.folder, args.pictures), args.epochs)
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items() if value.is_floating_point()}
    save_file(weights, MODEL_FILE)
    MODEL_FILE.chmod(0o644)
