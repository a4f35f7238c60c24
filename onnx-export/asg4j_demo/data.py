# SPDX-License-Identifier: Apache-2.0
"""The training set: pictures, what they show and how they were framed, on disk."""

from __future__ import annotations

import argparse
import json
import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .captions import ALL_SUBJECTS
from .render import NATIVE, render, sample_crops, sample_scenes, sample_subjects

_INDEX = {subject: i for i, subject in enumerate(ALL_SUBJECTS)}
_VISIBLE_SHARE = 0.02  # of the crop's pixels


@dataclass
class PictureSet:
    """Memory-mapped pictures and their labels; row i of everything belongs together."""

    pictures: np.ndarray  # uint8 [n, 128, 128, 3]
    subject: np.ndarray  # index into ALL_SUBJECTS
    visible: np.ndarray  # bool: the object can be seen in the picture
    zoom: np.ndarray  # 1: a whole picture
    left: np.ndarray  # the crop's corner in pixels of the zoomed picture
    top: np.ndarray

    def __len__(self) -> int:
        return len(self.subject)

    def tensor(self, index: np.ndarray) -> torch.Tensor:
        """Pictures [n, 3, 128, 128] in [-1, 1]."""
        return torch.from_numpy(self.pictures[index]).permute(0, 3, 1, 2).float() / 127.5 - 1.0


_LABELS = ("subject", "visible", "zoom", "left", "top")


def load(folder: Path) -> PictureSet:
    meta = json.loads((folder / "meta.json").read_text())
    shape = (meta["count"], NATIVE, NATIVE, 3)
    labels = {name: np.load(folder / f"{name}.npy") for name in _LABELS}
    return PictureSet(np.memmap(folder / "pictures.u8", np.uint8, "r", shape=shape), **labels)


def _render_rows(folder: Path, count: int, rows: range, whole_share: float, seed: int, chunk: int = 50) -> dict[str, np.ndarray]:
    torch.set_num_threads(1)
    pictures = np.memmap(folder / "pictures.u8", np.uint8, "r+", shape=(count, NATIVE, NATIVE, 3))
    labels: dict[str, list[np.ndarray]] = {name: [] for name in _LABELS}
    for start in range(rows.start, rows.stop, chunk):
        n = min(chunk, rows.stop - start)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + start)
        subjects = sample_subjects(generator, n)
        scenes = sample_scenes(generator, subjects)
        zoom, left, top = sample_crops(generator, n)
        whole = torch.rand(n, generator=generator) < whole_share
        zoom = torch.where(whole, torch.ones(n), zoom)
        left, top = left * ~whole, top * ~whole
        images, cover = render(scenes, NATIVE, zoom, left, top)
        pictures[start : start + n] = (images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
        labels["subject"].append(np.array([_INDEX[s] for s in subjects], np.int16))
        labels["visible"].append((cover.mean((1, 2)) > _VISIBLE_SHARE).numpy())
        for name, value in (("zoom", zoom), ("left", left), ("top", top)):
            labels[name].append(value.numpy().astype(np.float32))
    pictures.flush()
    return {name: np.concatenate(parts) for name, parts in labels.items()}


def make(folder: Path, count: int, whole_share: float, seed: int, workers: int) -> None:
    """Renders a training set; the same arguments give the same bytes for any number of workers."""
    folder.mkdir(parents=True, exist_ok=True)
    np.memmap(folder / "pictures.u8", np.uint8, "w+", shape=(count, NATIVE, NATIVE, 3)).flush()
    edges = np.linspace(0, count // 50, workers + 1).astype(int) * 50
    edges[-1] = count
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        parts = pool.starmap(
            _render_rows, [(folder, count, range(a, b), whole_share, seed) for a, b in zip(edges[:-1], edges[1:])]
        )
    for name in _LABELS:
        np.save(folder / f"{name}.npy", np.concatenate([part[name] for part in parts]))
    (folder / "meta.json").write_text(json.dumps({"count": count, "whole_share": whole_share, "seed": seed}))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=36000)
    parser.add_argument("--whole-share", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)


def run(args: argparse.Namespace) -> None:
    make(args.folder, args.count, args.whole_share, args.seed, args.workers)
