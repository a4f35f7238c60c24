# SPDX-License-Identifier: Apache-2.0
"""Encodes the training pictures once: mean latents, scaled to unit spread, as fp16."""

from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from . import data


@torch.no_grad()
def _encode(folder: Path, vae_folder: Path, rows: range, chunk: int = 25) -> np.ndarray:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    pictures = data.load(folder)
    vae = AutoencoderKL.from_pretrained(vae_folder).eval()
    parts = []
    for start in range(rows.start, rows.stop, chunk):
        x = pictures.tensor(np.arange(start, min(start + chunk, rows.stop))).contiguous()
        parts.append((vae.encode(x).latent_dist.mean * vae.config.scaling_factor).half().numpy())
    return np.concatenate(parts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the training set; latents.npy is written into it")
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)


def run(args: argparse.Namespace) -> None:
    count = len(data.load(args.folder))
    edges = np.linspace(0, count, args.workers + 1).astype(int)
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        parts = pool.starmap(_encode, [(args.folder, args.vae, range(a, b)) for a, b in zip(edges[:-1], edges[1:])])
    latents = np.concatenate(parts)
    np.save(args.folder / "latents.npy", latents)
    print(f"{len(latents)} latents, spread {latents.astype(np.float32).std():.4f}")
