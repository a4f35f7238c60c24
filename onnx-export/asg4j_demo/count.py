# SPDX-License-Identifier: Apache-2.0
"""Counts the objects in a picture of the demo and says whether shape and colour are those of its caption.

A pixel belongs to the object if the caption's colour explains it clearly better than the caption's background (Gaussian
colour models). Holes are filled, specks are opened away, and connected components of at least 1.8 %/s^2 of the
picture count, s being the picture's size over the native one, if their colour is beyond doubt on the mean, by itself and
beside the biggest's: a bright stone is no white ball, a pinkish smudge no second cone. A small network names shape and colour of the biggest.

``asg4j-demo count FILE.png...`` prints one line a picture. The caption is --prompt, else the PNG's
text, else the file's name ("a-red-ball-on-grass-7.png"), else line NN of the fixed prompts for "NN.png".
"""

from __future__ import annotations

import argparse
import functools
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from scipy import ndimage

from .captions import ALL_SUBJECTS, COLOURS, SHAPES, Subject, parse_caption
from .render import NATIVE

MODEL_FILE = Path(__file__).with_name("counter.safetensors")
PATCH = 48  # side of the network's input
SMALLEST = 0.018  # share of a native picture; the smallest cone that is rendered covers 0.020
FARTHEST = 60.0  # squared distance from which on a colour explains nothing
MARGIN = 3.0  # by which the object's colour has to explain a pixel better than the background
MEAN_MARGIN = 8.0  # likewise, on the mean over a component
RELATIVE_MARGIN = 0.5  # that mean over the biggest component's


@dataclass(frozen=True)
class Finding:
    """What is in a picture: how many objects, and whether the biggest is what the caption says."""

    count: int
    shape: str
    colour: str
    share: float  # of the picture, covered by the biggest object
    aspect: float  # width over height of the box around it; NaN without an object
    right_shape: bool
    right_colour: bool

    @property
    def right(self) -> bool:
        return self.count == 1 and self.right_shape and self.right_colour


class Namer(torch.nn.Module):
    """Shape and colour of the object in a patch."""

    def __init__(self) -> None:
        super().__init__()

        def block(inputs: int, outputs: int) -> list[torch.nn.Module]:
            return [torch.nn.Conv2d(inputs, outputs, 3, 2, 1), torch.nn.BatchNorm2d(outputs), torch.nn.ReLU()]

        self.body = torch.nn.Sequential(*block(3, 16), *block(16, 32), *block(32, 64), *block(64, 64), torch.nn.Flatten())
        self.shape = torch.nn.Linear(64 * 9, len(SHAPES))
        self.colour = torch.nn.Linear(64 * 9, len(COLOURS))

    def forward(self, patch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.body(patch * 2 - 1)
        return self.shape(features), self.colour(features)


@functools.lru_cache(maxsize=1)
def _model() -> tuple[dict[str, np.ndarray], Namer]:
    weights = {name: value.float() for name, value in load_file(MODEL_FILE).items()}
    colours = {name: weights.pop(name).numpy() for name in list(weights) if name.startswith("gauss.")}
    namer = Namer()
    namer.load_state_dict({n: v for n, v in weights.items()}, strict=False)
    return colours, namer.eval()


def analysis_picture(picture: np.ndarray) -> tuple[np.ndarray, float]:
    """The picture [h, w, 3] in 0..1 at which objects are sought, and s: pictures above twice native are halved."""
    side = math.sqrt(picture.shape[0] * picture.shape[1])
    scale = side / NATIVE
    shrink = max(1, int(round(scale / 2)))
    x = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
    if shrink > 1:
        x = F.avg_pool2d(x, shrink)
    return x[0].permute(1, 2, 0).numpy(), scale


def _distance(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    delta = x - mean
    inverse = np.linalg.inv(covariance)
    return np.einsum("...i,ij,...j->...", delta, inverse, delta) + np.log(np.linalg.det(covariance))


def margin(picture: np.ndarray, subject: Subject) -> np.ndarray:
    """By how much the caption's colour explains each pixel better than its background; picture [h, w, 3] in 0..1."""
    models, _ = _model()
    x = ndimage.uniform_filter(picture, (3, 3, 1), mode="nearest")
    foreground = _distance(x, models["gauss.colour.mean"][subject.colour], models["gauss.colour.covariance"][subject.colour])
    parts = [
        _distance(x, mean, covariance)
        for mean, covariance in zip(
            models["gauss.background.mean"][subject.background], models["gauss.background.covariance"][subject.background]
        )
    ]
    return np.minimum(np.minimum.reduce(parts), FARTHEST) - np.minimum(foreground, FARTHEST)


def object_mask(margins: np.ndarray) -> np.ndarray:
    """Where the caption's object is, holes filled and specks opened away."""
    return ndimage.binary_opening(ndimage.binary_fill_holes(margins > MARGIN), np.ones((3, 3)))


def components(margins: np.ndarray, scale: float) -> list[tuple[int, tuple[slice, slice]]]:
    """(pixels, box) of every component that counts, biggest first."""
    mask = object_mask(margins)
    labels, n = ndimage.label(mask, np.ones((3, 3)))
    if n == 0:
        return []
    sizes = np.bincount(labels.ravel())[1:]
    means = ndimage.mean(margins, labels, np.arange(1, n + 1))
    found = [
        (int(size), float(mean), box)
        for size, mean, box in zip(sizes, means, ndimage.find_objects(labels))
        if size >= SMALLEST / scale**2 * mask.size and mean >= MEAN_MARGIN
    ]
    found.sort(key=lambda item: -item[0])
    return [(size, box) for size, mean, box in found if mean >= RELATIVE_MARGIN * found[0][1]]


def cut_patch(picture: np.ndarray, box: tuple[slice, slice]) -> torch.Tensor:
    """[3, 48, 48]: the box, made square and a fifth larger, from a picture [h, w, 3] in 0..1."""
    rows, columns = box
    side = max(rows.stop - rows.start, columns.stop - columns.start) * 1.2 + 2
    cy, cx = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
    h, w = picture.shape[:2]
    theta = torch.tensor([[[side / w, 0, 2 * cx / w - 1], [0, side / h, 2 * cy / h - 1]]], dtype=torch.float32)
    grid = F.affine_grid(theta, [1, 3, 2 * PATCH, 2 * PATCH], align_corners=False)
    image = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
    return F.avg_pool2d(F.grid_sample(image, grid, "bilinear", "border", align_corners=False), 2)[0]


def examine(picture: np.ndarray, subject: Subject) -> Finding:
    """Counts in an RGB8 picture [h, w, 3] what its caption promises."""
    small, scale = analysis_picture(picture)
    found = components(margin(small, subject), scale)
    if not found:
        return Finding(0, "none", "none", 0.0, math.nan, False, False)
    with torch.no_grad():
        shape, colour = (int(scores.argmax()) for scores in _model()[1](cut_patch(small, found[0][1])[None]))
    share = found[0][0] / (small.shape[0] * small.shape[1])
    rows, columns = found[0][1]
    aspect = (columns.stop - columns.start) / (rows.stop - rows.start)
    return Finding(len(found), SHAPES[shape], COLOURS[colour], share, aspect, shape == subject.shape, colour == subject.colour)


def caption_of(path: Path, picture: Image.Image) -> str:
    """The caption from the PNG's text, else from the file's name."""
    for key, value in getattr(picture, "text", {}).items():
        if "prompt" in key.lower() and "negative" not in key.lower():
            return value
    stem = re.sub(r"-\d+$", "", path.stem).replace("-", " ")
    if any(subject.caption == stem for subject in ALL_SUBJECTS):
        return stem
    if re.fullmatch(r"\d+", path.stem):
        return Path(__file__).with_name("prompts.txt").read_text().splitlines()[int(path.stem)]
    raise ValueError(f"{path}: no caption in its text or name; give --prompt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--prompt", help="the caption of all files")


def run(args: argparse.Namespace) -> None:
    for path in args.files:
        with Image.open(path) as image:
            caption = args.prompt or caption_of(path, image)
            finding = examine(np.asarray(image.convert("RGB")), parse_caption(caption))
        print(f"{path}: {finding.count} of \"{caption}\", biggest {finding.colour} {finding.shape} "
              f"({finding.share:.1%} of the picture), {'right' if finding.right else 'wrong'}")
