# SPDX-License-Identifier: Apache-2.0
"""Gives the demo bundle what ``asg eval`` needs: object counter, feature network and truth, under the key ``evaluation``.

``asg4j-demo evaluation BUNDLE`` writes prompts.txt, objects.json, namer.onnx, features.onnx and truth*,
and lists them in the manifest; every other file stays as it is. The truth is rendered pictures of the fixed prompts at each size.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import scipy.fft
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from asg4j_export.tracing import Graph, fingerprint, write

from . import count, features
from .captions import BACKGROUNDS, COLOURS, PHRASES, SHAPES, parse_caption
from .render import NATIVE, render_size, sample_scenes
from .sample import PROMPTS
from .turbo import follow

SIZES = ((128, 128), (256, 128), (256, 256), (384, 384), (512, 512))  # width, height
PICTURES = 6  # of every caption and size


class _Namer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.namer = count._model()[1]

    def forward(self, patch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.namer(patch)


def objects() -> dict:
    """The counter's vocabulary and colour models."""
    models, _ = count._model()

    def gaussian(kind: str, *index: int) -> dict:
        mean, covariance = models[f"gauss.{kind}.mean"][index], models[f"gauss.{kind}.covariance"][index]
        return {"mean": [float(x) for x in mean], "covariance": [[float(x) for x in row] for row in covariance]}

    modes = models["gauss.background.mean"].shape[1]
    return {
        "native_side": NATIVE,
        "smallest_share": count.SMALLEST,
        "farthest": count.FARTHEST,
        "margin": count.MARGIN,
        "mean_margin": count.MEAN_MARGIN,
        "relative_margin": count.RELATIVE_MARGIN,
        "patch": count.PATCH,
        "shapes": list(SHAPES),
        "colours": list(COLOURS),
        "background_phrases": [PHRASES[name] for name in BACKGROUNDS],
        "colour_models": [gaussian("colour", c) for c in range(len(COLOURS))],
        "background_models": [[gaussian("background", b, m) for m in range(modes)] for b in range(len(BACKGROUNDS))],
    }


def graphs() -> list[Graph]:
    patches = [(torch.rand(n, 3, count.PATCH, count.PATCH),) for n in (2, 1, 3)]
    pictures = [(torch.rand(n, 3, NATIVE, NATIVE),) for n in (2, 1, 3)]
    batch = {0: "batch"}
    return [
        Graph("namer.onnx", _Namer().eval(), ["patch"], ["shape", "colour"],
              {"patch": batch, "shape": batch, "colour": batch}, patches),
        Graph("features.onnx", features.load(), ["image"], ["features"], {"image": batch, "features": batch}, pictures),
    ]


def resize(pictures: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """[n, 3, height, width]: bicubic with antialiasing, as Picture.resized of the engine."""
    if pictures.shape[2:] == (height, width):
        return pictures
    return F.interpolate(pictures, (height, width), mode="bicubic", antialias=True)


def sharpness(pictures: torch.Tensor) -> np.ndarray:
    """The variance of the Laplacian of luma (ITU-R BT.601), of every picture [n, 3, h, w] in 0..1."""
    y = (pictures * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1)
    laplacian = y[:, :-2, 1:-1] + y[:, 2:, 1:-1] + y[:, 1:-1, :-2] + y[:, 1:-1, 2:] - 4 * y[:, 1:-1, 1:-1]
    return laplacian.flatten(1).var(1, unbiased=False).numpy()


#: where octaves of spatial frequency begin, in shares of the highest that an axis can have; the last takes all that is higher
BANDS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)


def band_powers(pictures: torch.Tensor) -> np.ndarray:
    """The mean power of luma in each of ``BANDS``, [n, 4], of every picture [n, 3, h, w] in 0..1.

    Squares of the orthonormal DCT-II of the whole picture, which has no borders to be windowed away; coefficient (i, j) has the frequency
    sqrt((i/h)^2 + (j/w)^2). White noise has its variance in every band, whatever the picture's size.
    """
    y = (pictures.double() * torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None]).sum(1).numpy()
    power = scipy.fft.dctn(y, axes=(1, 2), norm="ortho") ** 2
    rows, columns = (np.arange(n) / n for n in y.shape[1:])
    frequency = np.hypot(rows[:, None], columns[None, :])
    ends = (*BANDS[1:], np.inf)
    means = np.stack([power[:, (frequency >= low) & (frequency < high)].mean(1) for low, high in zip(BANDS, ends)], 1)
    return np.maximum(means, 1e-9)  # a flat picture has a logarithm, too


@torch.no_grad()
def truth(out: Path, vae: AutoencoderKL) -> dict:
    """Writes truth.json and two .npy a size; returns the manifest's entry. Row i belongs to caption i // PICTURES."""
    captions = list(dict.fromkeys(PROMPTS.read_text().splitlines()))
    network = features.load()
    entries, measured = [], []
    for width, height in SIZES:
        generator = torch.Generator().manual_seed(4_000_000 + width * 1000 + height)
        whole, crops, sharp, bands, through, kept = [], [], [], [], [], []
        for caption in captions:
            scenes = sample_scenes(generator, [parse_caption(caption)] * PICTURES)
            if width != height:
                scenes.centre = scenes.centre * torch.tensor([width, height]) / (width * height) ** 0.5
            images, _ = render_size(scenes, width, height)
            images = (images * 255).round() / 255
            whole.append(network(resize(images, NATIVE, NATIVE)))
            corners = [(torch.rand(PICTURES, generator=generator) * (n - NATIVE + 1)).int().tolist() for n in (width, height)]
            crops.append(network(torch.stack([x[:, top : top + NATIVE, left : left + NATIVE] for x, left, top in zip(images, *corners)])))
            sharp.append(sharpness(images))
            bands.append(band_powers(images))
            decoded = vae.decode(vae.encode(images[:1] * 2 - 1).latent_dist.mean).sample
            decoded = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round() / 255
            through.append(float(sharpness(decoded)[0]))
            kept.append(np.log(band_powers(decoded)[0] / bands[-1][0]))
        name = f"{width}x{height}"
        for kind, rows in (("pictures", whole), ("crops", crops)):
            np.save(out / f"truth_{kind}_{name}.npy", torch.cat(rows).numpy().astype("<f4"))
        entries.append({"size": [width, height], "pictures": f"truth_pictures_{name}.npy", "crops": f"truth_crops_{name}.npy"})
        measured.append({
            "size": [width, height],
            "sharpness": [float(f"{values.mean():.5g}") for values in sharp],
            "sharpness_deviation": [float(f"{values.std():.5g}") for values in sharp],
            "sharpness_autoencoder": [float(f"{value:.5g}") for value in through],
            "band_autoencoder": [float(f"{value:.5g}") for value in np.exp(np.mean(kept, 0))],
            "band_log_power": [[float(f"{value:.5g}") for value in np.log(power).mean(0)] for power in bands],
        })
        print(f"truth at {name}: {len(captions) * PICTURES} pictures", flush=True)
    statistics = {"captions": captions, "pictures_per_caption": PICTURES, "sizes": measured}
    (out / "truth.json").write_text(json.dumps(statistics) + "\n")
    return {"statistics": "truth.json", "sizes": entries}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--vae", type=Path, default=features.CHECKPOINT)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    manifest_file = args.bundle / "manifest.json"
    manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    files = manifest.pop("files")
    (args.bundle / "objects.json").write_text(json.dumps(objects(), indent=1) + "\n")
    for graph in graphs():
        write(graph, args.bundle)
    vae = AutoencoderKL.from_pretrained(args.vae, torch_dtype=torch.float32).float().eval()
    (args.bundle / "prompts.txt").write_bytes(PROMPTS.read_bytes())
    manifest["evaluation"] = {
        "prompts": "prompts.txt",
        "features": "features.onnx",
        "objects": {"models": "objects.json", "namer": "namer.onnx"},
        "truth": truth(args.bundle, vae),
    }
    entry = manifest["evaluation"]
    ours = [entry["prompts"], entry["features"], *entry["objects"].values(), entry["truth"]["statistics"]]
    ours += [size[kind] for size in entry["truth"]["sizes"] for kind in ("pictures", "crops")]
    for name in ours:
        files[name] = fingerprint(args.bundle / name)
    manifest["files"] = dict(sorted(files.items()))
    manifest_file.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if (args.bundle / "turbo").exists():
        follow(args.bundle)
