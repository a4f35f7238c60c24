# SPDX-License-Identifier: Apache-2.0
"""asg4j-export upscaler WEIGHTS --into BUNDLE: adds an RRDBNet to a bundle, for the method superres."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from .errors import ExportError
from .manifests import read_manifest, replace_manifest
from .rrdbnet import RRDBNet, load
from .tracing import Graph, fingerprint, write

TILE_ERROR = 0.1  # levels of 255 by which a tile may differ from the whole picture
_STEP = 8  # overlaps that are tried are multiples of it
_FARTHEST = 192  # pixels: no larger overlap is measured, and a tile is not wider without its border
_ROWS = 64


def add(weights: Path, bundle: Path, overlap: int | None = None) -> dict:
    """Writes upscaler_xN.onnx into the bundle, N from the weights, and returns its entry in the manifest.

    Without an ``overlap`` tiles share the least with which they differ from the whole picture by at most TILE_ERROR.

    An upscaler of the same scale is replaced. Every file is moved into place whole, and the bundle is valid at any
    moment: an entry leaves the manifest before its file is replaced and comes back after.

    :raises ExportError: if the weights or the bundle cannot be used, or ONNX Runtime disagrees with PyTorch
    """
    manifest = read_manifest(bundle)
    if overlap is not None and overlap < 0:
        raise ExportError(f"an overlap of {overlap} pixels: expected 0 or more")
    net = load(weights)
    file = f"upscaler_x{net.shape.scale}.onnx"
    reach = net.shape.reach
    if overlap is not None and overlap >= reach:
        error = 0.0
    else:
        print(f"measuring what tiles have to share: the network sees {reach} pixels around", file=sys.stderr, flush=True)
        errors = tile_errors(net)
        overlap = least_overlap(errors, reach) if overlap is None else overlap
        error = 0.0 if overlap >= reach else errors[min(overlap, len(errors) - 1)]
    entry = {"file": file, "scale": net.shape.scale, "overlap": overlap, "tile_error": _rounded(error), "width": net.shape.features}
    folder = Path(tempfile.mkdtemp(prefix=f".{file}.", dir=bundle))
    new = folder / file
    try:
        print(f"{net.shape}, overlap {overlap}, tile error {entry['tile_error']} of 255 levels", file=sys.stderr, flush=True)
        write(graph(file, net), folder)
        others = [e for e in manifest.get("upscalers", []) if e["scale"] != entry["scale"]]
        if file in manifest["files"]:
            files = {k: v for k, v in manifest["files"].items() if k != file}
            replace_manifest(bundle, manifest | {"upscalers": others, "files": files})
        identity = fingerprint(new)
        new.replace(bundle / file)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    entries = sorted([*others, entry], key=lambda e: e["scale"])
    files = dict(sorted((manifest["files"] | {file: identity}).items()))
    replace_manifest(bundle, manifest | {"upscalers": entries, "files": files})
    return entry


def tile_errors(net: RRDBNet) -> list[float]:
    """By overlap, from 0 pixels on: the largest difference of a tile from the whole picture, in levels of 255.

    A picture is enlarged whole and cut in two; what differs ``d`` pixels or more from the cut is the error of an
    overlap of ``d``. The picture is noise with the spectrum of photographs, amplitudes as 1/f, on which all networks
    that were tried differ more than on photographs and drawings.
    """
    width = min(net.shape.reach, _FARTHEST)
    whole = torch.from_numpy(_noise(_ROWS, 2 * width))
    with torch.inference_mode():
        upscaled = net(whole).clamp(0, 1)
        left = net(whole[..., :width]).clamp(0, 1)
        right = net(whole[..., width:]).clamp(0, 1)
    middle = width * net.shape.scale
    differences = torch.maximum((upscaled[..., :middle] - left).abs(), (upscaled[..., middle:] - right).flip(-1).abs())
    columns = differences.amax((0, 1, 2)).view(width, net.shape.scale).amax(1).flip(0)  # by distance from the cut
    return [255 * float(columns[d:].max()) if d < width else 0.0 for d in range(width + 1)]


def least_overlap(errors: list[float], reach: int) -> int:
    """The smallest multiple of _STEP whose error is at most TILE_ERROR; beyond what was measured, what the network sees."""
    for overlap in range(0, len(errors) - 1, _STEP):
        if errors[overlap] <= TILE_ERROR:
            return overlap
    return reach


def _noise(height: int, width: int) -> np.ndarray:
    """[1, 3, height, width] in 0..1, the channels alike but not the same."""
    random = np.random.default_rng(0)
    side = max(height, width)
    frequencies = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequencies[0, 0] = np.inf
    shared = random.standard_normal((side, side))
    planes = [
        np.fft.irfft2(np.fft.rfft2(0.8 * shared + 0.6 * random.standard_normal((side, side))) / frequencies, s=(side, side))
        for _ in range(3)
    ]
    return np.stack([np.clip(0.5 + 0.2 * p / p.std(), 0, 1) for p in planes])[None, :, :height, :width].astype(np.float32)


def _rounded(error: float) -> float:
    """Upwards, to two digits."""
    if error <= 0:
        return 0.0
    digit = 10.0 ** (math.floor(math.log10(error)) - 1)
    return float(f"{math.ceil(error / digit) * digit:.2g}")


def graph(file: str, net: RRDBNet) -> Graph:
    scale = net.shape.scale
    axes = {
        "image": {0: "batch", 2: "height", 3: "width"},
        "upscaled": {0: "batch", 2: f"height*{scale}", 3: f"width*{scale}"},
    }
    generator = torch.Generator().manual_seed(0)
    examples = [(torch.rand(b, 3, h, w, generator=generator),) for b, h, w in ((1, 24, 16), (2, 9, 31), (1, 40, 40), (1, 1, 5))]
    return Graph(file, net, ["image"], ["upscaled"], axes, examples)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", type=Path, help=".pth or .safetensors; scale and widths are read off the weights")
    parser.add_argument("--into", type=Path, required=True, metavar="BUNDLE", help="a folder that asg4j-export model made")
    parser.add_argument("--overlap", type=int, metavar="PIXELS",
                        help="on every side of a tile, computed and thrown away (default: the least with which a tile differs from the "
                             f"whole picture by at most {TILE_ERROR} of 255 levels, which is measured)")


def run(args: argparse.Namespace) -> None:
    add(args.weights, args.into, args.overlap)
