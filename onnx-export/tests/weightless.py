# SPDX-License-Identifier: Apache-2.0
"""A bundle without its weights, for measuring speed where gigabytes cannot be carried to: an archive of some megabytes, filled with random weights there.

``python tests/weightless.py strip BUNDLE ARCHIVE.zip``, then ``python tests/weightless.py fill ARCHIVE.zip BUNDLE``, which needs NumPy alone. The
graphs, their sizes and where each weight lies are the original's; what the networks compute is noise.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_SMALLEST = 1024  # bytes; smaller weights stay in the archive
_RUNS = "runs.json"
_FLOATS = {1: "<f4", 10: "<f2"}  # TensorProto's FLOAT and FLOAT16


def strip(bundle: Path, archive: Path) -> None:
    """Writes all of a bundle but the contents of its larger float weights."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    runs: dict[str, list] = {name: [] for name in manifest["files"]}
    for name in manifest["files"]:
        if name.endswith(".onnx"):
            for file, *run in _weights(bundle, name):
                runs[file].append(run)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("manifest.json", json.dumps(manifest, indent=1))
        for name, found in runs.items():
            runs[name] = found = sorted({run[0]: run for run in found}.values())  # two graphs may share a weight
            with out.open(name, "w") as kept, open(bundle / name, "rb") as whole:
                at = 0
                for offset, length, _, _ in found:
                    kept.write(whole.read(offset - at))
                    at = whole.seek(offset + length)
                kept.write(whole.read())
        out.writestr(_RUNS, json.dumps(runs))


def _weights(bundle: Path, name: str) -> Iterator[tuple[str, int, int, str, list[int]]]:
    """Of a graph's larger float weights: the file, offset and length there, type, shape."""
    import onnx

    with open(bundle / name, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = 0
        for tensor in onnx.load(bundle / name, load_external_data=False).graph.initializer:
            dtype = _FLOATS.get(tensor.data_type)
            shape = list(tensor.dims)
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                entry = {e.key: e.value for e in tensor.external_data}
                if dtype and int(entry["length"]) >= _SMALLEST:
                    yield entry["location"], int(entry["offset"]), int(entry["length"]), dtype, shape
            elif tensor.raw_data:
                offset = content.find(tensor.raw_data, end)  # tensors are written one after the other
                end = offset + len(tensor.raw_data)
                if dtype and len(tensor.raw_data) >= _SMALLEST:
                    yield name, offset, len(tensor.raw_data), dtype, shape


def fill(archive: Path, bundle: Path) -> None:
    """Writes the bundle with random weights, the same ones each time."""
    bundle.mkdir(parents=True)
    with zipfile.ZipFile(archive) as source:
        manifest = json.loads(source.read("manifest.json"))
        runs = json.loads(source.read(_RUNS))
        for name, found in runs.items():
            digest = hashlib.sha256()
            with source.open(name) as kept, open(bundle / name, "wb") as out:
                for piece in _pieces(name, kept, found):
                    digest.update(piece)
                    out.write(piece)
            written = (bundle / name).stat().st_size
            if written != manifest["files"][name]["bytes"]:
                raise SystemExit(f"{name} has {written:,} bytes, expected {manifest['files'][name]['bytes']:,}: make the archive again")
            manifest["files"][name]["sha256"] = digest.hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest, indent=1))


def _pieces(name: str, kept, found: list) -> Iterator[bytes | memoryview]:
    at = 0
    for offset, length, dtype, shape in found:
        yield kept.read(offset - at)
        yield _random(np.random.default_rng([zlib.crc32(name.encode()), offset]), length, dtype, shape)
        at = offset + length
    while piece := kept.read(1 << 24):
        yield piece


def _random(rng: np.random.Generator, length: int, dtype: str, shape: list[int]) -> memoryview:
    """Values that keep the size of what goes through a layer; of vectors, which may be gains or shifts, from 0 to 0.1."""
    values = rng.random(length // np.dtype(dtype).itemsize, np.float32)
    if len(shape) > 1:
        bound = math.sqrt(3 / max(math.prod(shape[1:]), shape[0]))
        values = (2 * values - 1) * np.float32(bound)
    else:
        values *= np.float32(0.1)
    return values.astype(dtype).data.cast("B")


def main(arguments: list[str]) -> None:
    match arguments:
        case ["strip", bundle, archive]:
            strip(Path(bundle), Path(archive))
        case ["fill", archive, bundle]:
            if Path(bundle).exists():
                raise SystemExit(f"{bundle} exists: give a new folder")
            fill(Path(archive), Path(bundle))
        case _:
            raise SystemExit("usage: weightless.py strip BUNDLE ARCHIVE.zip | fill ARCHIVE.zip BUNDLE")


if __name__ == "__main__":
    main(sys.argv[1:])
