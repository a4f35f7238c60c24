# SPDX-License-Identifier: Apache-2.0
"""asg4j-export upscaler WEIGHTS --into BUNDLE: adds an RRDBNet to a bundle, for the method superres."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch

from .errors import ExportError
from .export import FORMAT_VERSION
from .rrdbnet import RRDBNet, load
from .tracing import Graph, fingerprint, write

OVERLAP = 32  # pixels beside a tile that are thrown away: what BSRGAN's own tiles share
_MANIFEST = "manifest.json"


def add(weights: Path, bundle: Path, overlap: int = OVERLAP) -> dict:
    """Writes upscaler_xN.onnx into the bundle, N from the weights, and returns its entry in the manifest.

    An upscaler of the same scale is replaced. Every file is moved into place whole, and the bundle is valid at any
    moment: an entry leaves the manifest before its file is replaced and comes back after.

    :raises ExportError: if the weights or the bundle cannot be used, or ONNX Runtime disagrees with PyTorch
    """
    manifest = _manifest(bundle)
    if overlap < 0:
        raise ExportError(f"an overlap of {overlap} pixels: expected 0 or more")
    net = load(weights)
    file = f"upscaler_x{net.shape.scale}.onnx"
    entry = {"file": file, "scale": net.shape.scale, "overlap": overlap, "width": net.shape.features}
    folder = Path(tempfile.mkdtemp(prefix=f".{file}.", dir=bundle))
    new = folder / file
    try:
        print(net.shape, file=sys.stderr, flush=True)
        write(graph(file, net), folder)
        others = [e for e in manifest.get("upscalers", []) if e["scale"] != entry["scale"]]
        if file in manifest["files"]:
            files = {k: v for k, v in manifest["files"].items() if k != file}
            _replace(bundle, manifest | {"upscalers": others, "files": files})
        identity = fingerprint(new)
        new.replace(bundle / file)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    entries = sorted([*others, entry], key=lambda e: e["scale"])
    files = dict(sorted((manifest["files"] | {file: identity}).items()))
    _replace(bundle, manifest | {"upscalers": entries, "files": files})
    return entry


def _manifest(bundle: Path) -> dict:
    path = bundle / _MANIFEST
    if not path.is_file():
        raise ExportError(f"{path} is missing: make the bundle first, asg4j-export model CHECKPOINT --out {bundle}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
        manifest["files"].keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"{path} is no manifest of a bundle: {error!r}") from error
    if version != FORMAT_VERSION:
        raise ExportError(f"{path}: format_version is {version}, expected {FORMAT_VERSION}")
    return manifest


def _replace(bundle: Path, manifest: dict) -> None:
    """Moves the manifest into place, ``files`` at its end."""
    manifest = {k: v for k, v in manifest.items() if k != "files" and (k != "upscalers" or v)} | {"files": manifest["files"]}
    new = bundle / f".{_MANIFEST}.tmp"
    new.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    new.replace(bundle / _MANIFEST)


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
    parser.add_argument("--overlap", type=int, default=OVERLAP,
                        help=f"pixels on every side of a tile that are computed and thrown away (default: {OVERLAP})")


def run(args: argparse.Namespace) -> None:
    add(args.weights, args.into, args.overlap)
