# SPDX-License-Identifier: Apache-2.0
"""Shares over a folder of pictures NN.png, prompt NN (from 00) of the fixed list, with Wilson 95 % intervals."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from .captions import parse_caption
from .count import Finding, examine


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if n == 0:
        return 0.0, 1.0
    p = hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def examine_folder(folder: Path, prompts: list[str]) -> dict[str, Finding]:
    findings = {}
    for index, prompt in enumerate(prompts):
        path = folder / f"{index:02d}.png"
        if path.exists():
            with Image.open(path) as image:
                findings[path.name] = examine(np.asarray(image.convert("RGB")), parse_caption(prompt))
    return findings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompts", type=Path, default=Path(__file__).with_name("prompts.txt"))
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    parser.add_argument("--list", action="store_true", help="also one line a picture")


def run(args: argparse.Namespace) -> None:
    prompts = args.prompts.read_text().splitlines()
    findings = examine_folder(args.folder, prompts)
    n = len(findings)
    if n == 0:
        raise SystemExit(f"{args.folder} holds no NN.png")
    tests = {
        "exactly one object": [f.count == 1 for f in findings.values()],
        "no object": [f.count == 0 for f in findings.values()],
        "right shape": [f.right_shape for f in findings.values()],
        "right colour": [f.right_colour for f in findings.values()],
        "exactly one, right shape and colour": [f.right for f in findings.values()],
    }
    counts = np.array([f.count for f in findings.values()])
    rows = {name: (sum(hits), *wilson(sum(hits), n)) for name, hits in tests.items()}
    if args.json:
        shares = {name: {"share": hits / n, "low": low, "high": high} for name, (hits, low, high) in rows.items()}
        print(json.dumps({"pictures": n, "mean_count": float(counts.mean()), **shares}))
        return
    if args.list:
        for name, f in findings.items():
            print(f"{name} {prompts[int(name[:2])]!r}: {f.count}, {f.colour} {f.shape} {f.share:.1%}{'' if f.right else '  <-'}")
    print(f"{n} pictures, {counts.mean():.2f} objects a picture (standard error {counts.std() / math.sqrt(n):.2f})")
    for name, (hits, low, high) in rows.items():
        print(f"{name}: {hits / n:.1%} ({low:.1%} to {high:.1%})")
