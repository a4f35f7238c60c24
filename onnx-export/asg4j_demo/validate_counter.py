# SPDX-License-Identifier: Apache-2.0
"""How often the counter is right on rendered pictures whose truth is known.

0 to 4 objects at every size, as rendered, through the autoencoder, blurred, noisy, and blurred and noisy. One line a
condition, with Wilson 95 % intervals; exits with 1 if a size or a treatment falls below 99 %.

The engine's counter on the same pictures: ``--cases DIR``, then ``mvn test -Dtest=RenderedPicturesTest -Dasg.cases=DIR``.
"""

from __future__ import annotations

import argparse
import json
import zlib
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from scipy import ndimage

from . import count
from .captions import SUBJECTS
from .gate import wilson
from .render import render_size, sample_groups

SIZES = ((128, 128), (256, 128), (256, 256), (384, 384), (512, 512))
OBJECTS = (0, 1, 2, 3, 4)
TREATMENTS = ("rendered", "autoencoder", "blur", "noise", "blur and noise")
CHECKPOINT = Path(__file__).parents[1] / "checkpoint" / "demo" / "vae"
REQUIRED = 0.99


@torch.no_grad()
def treat(vae: AutoencoderKL, image: torch.Tensor, treatment: str, rng: np.random.Generator) -> np.ndarray:
    """An RGB8 picture [h, w, 3] of a render [3, h, w]; blur and noise after the autoencoder would be milder."""
    x = image[None]
    if treatment == "autoencoder":
        x = (vae.decode(vae.encode(x * 2 - 1).latent_dist.mean).sample / 2 + 0.5).clamp(0, 1)
    picture = x[0].permute(1, 2, 0).numpy()
    if "blur" in treatment:
        sigma = 1.2 * max(1.0, np.sqrt(picture.shape[0] * picture.shape[1]) / 256)
        picture = ndimage.gaussian_filter(picture, (sigma, sigma, 0), mode="nearest")
    if "noise" in treatment:
        picture = picture + rng.normal(0, 0.05, picture.shape)
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vae", type=Path, default=CHECKPOINT)
    parser.add_argument("--pictures", type=int, default=40, help="of every size and number of objects")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sizes", nargs="*", help="as in 256x128 (default: all)")
    parser.add_argument("--wrong", type=Path, help="folder for the pictures that were counted wrongly")
    parser.add_argument("--cases", type=Path, help="folder for all pictures and what was found, for the engine's counter")
    parser.add_argument("--json", type=Path)


def run(args: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    vae = AutoencoderKL.from_pretrained(args.vae, torch_dtype=torch.float32).float().eval()
    for folder in (args.wrong, args.cases):
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    cases: list[dict] = []
    hits: dict[tuple[str, str, int], list[bool]] = {}
    for width, height in SIZES:
        size = f"{width}x{height}"
        if args.sizes and size not in args.sizes:
            continue
        for objects in OBJECTS:
            seed = zlib.crc32(f"{args.seed} {size} {objects}".encode())
            generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
            for start in range(0, args.pictures, 8):
                n = min(8, args.pictures - start)
                subjects = [SUBJECTS[i] for i in rng.integers(0, len(SUBJECTS), n)]
                layers = sample_groups(generator, subjects, objects, width, height)
                images, _ = render_size(layers[0], width, height, layers[1:])
                for i, (image, subject) in enumerate(zip(images, subjects)):
                    for treatment in TREATMENTS:
                        picture = treat(vae, image, treatment, rng)
                        found = count.examine(picture, subject)
                        right = found.count == objects
                        hits.setdefault((size, treatment, objects), []).append(right)
                        if args.cases:
                            file = f"{len(cases):05d}.png"
                            Image.fromarray(picture).save(args.cases / file, compress_level=1)
                            cases.append({"file": file, "caption": subject.caption, "objects": objects, "count": found.count})
                        if args.wrong and not right:
                            name = f"{size}-{treatment}-{objects}as{found.count}-{start + i:03d}-{subject.caption}".replace(" ", "-")
                            Image.fromarray(picture).save(args.wrong / f"{name}.png")
            print(size, objects, " ".join(f"{np.mean(hits[size, t, objects]):.3f}" for t in TREATMENTS), flush=True)

    def report(name: str, keep) -> dict:
        values = [v for key, list_ in hits.items() if keep(*key) for v in list_]
        low, high = wilson(sum(values), len(values))
        print(f"{name}: {sum(values) / len(values):.2%} ({low:.2%} to {high:.2%}), n {len(values)}", flush=True)
        return {"name": name, "n": len(values), "right": sum(values), "low": low, "high": high}

    rows = [report(t, lambda s, treatment, o, t=t: treatment == t) for t in TREATMENTS]
    rows += [report(size, lambda s, t, o, size=size: s == size) for size in dict.fromkeys(key[0] for key in hits)]
    rows += [report(f"{n} objects", lambda s, t, o, n=n: o == n) for n in OBJECTS]
    report("all", lambda s, t, o: True)
    if args.cases:
        (args.cases / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0 if all(row["right"] / row["n"] >= REQUIRED for row in rows) else 1
