# SPDX-License-Identifier: Apache-2.0
"""Small pictures and what Python measures in them, for the engine's tests: its port has to find the same.

``asg4j-demo counter-cases ../src/test/resources/io/github/asg4j/evaluate/cases``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image

from . import count, features
from .captions import SUBJECTS
from .evaluation import band_powers, resize, sharpness
from .render import NATIVE, render_size, sample_groups
from .validate_counter import treat

#: Width, height, objects, treatment.
CASES = (
    (128, 128, 0, "rendered"),
    (128, 128, 1, "rendered"),
    (128, 128, 1, "autoencoder"),
    (128, 128, 2, "blur"),
    (128, 128, 3, "rendered"),
    (128, 128, 4, "blur and noise"),
    (96, 128, 1, "rendered"),
    (256, 128, 2, "autoencoder"),
    (200, 152, 3, "rendered"),
    (256, 256, 1, "autoencoder"),
    (384, 384, 3, "blur"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    vae = AutoencoderKL.from_pretrained(features.CHECKPOINT, torch_dtype=torch.float32).float().eval()
    network = features.load()
    cases = []
    for index, (width, height, objects, treatment) in enumerate(CASES):
        generator, rng = torch.Generator().manual_seed(500 + index), np.random.default_rng(500 + index)
        subject = SUBJECTS[int(rng.integers(0, len(SUBJECTS)))]
        layers = sample_groups(generator, [subject], objects, width, height)
        image, _ = render_size(layers[0], width, height, layers[1:])
        picture = treat(vae, image[0], treatment, rng)
        file = f"{index:02d}.png"
        Image.fromarray(picture).save(args.folder / file, optimize=True)
        small, _ = count.analysis_picture(picture)
        found = count.examine(picture, subject)
        x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            numbers = network(resize(x, NATIVE, NATIVE))[0]
        cases.append({
            "file": file,
            "caption": subject.caption,
            "objects": objects,
            "count": found.count,
            "shape": found.shape,
            "colour": found.colour,
            "share": found.share,
            "aspect": found.aspect if found.count else None,
            "right": found.right,
            "mask_pixels": int(count.object_mask(count.margin(small, subject)).sum()),
            "sharpness": float(sharpness(x)[0]),
            "band_powers": [float(power) for power in band_powers(x)[0]],
            "features": [round(float(value), 5) for value in numbers],
        })
        print(file, subject.caption, objects, found.count, found.shape)
    (args.folder / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
