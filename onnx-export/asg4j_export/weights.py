# SPDX-License-Identifier: Apache-2.0
"""The files of a part's weights: which of several versions is read, whether they are whole, how much memory they take."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .errors import ExportError, readable
from .storage import INLINE_BYTES

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}

#: memory that a part takes, in multiples of its weights in float32, in which the CPU computes: where the graph holds them, tracing copies them;
#: measured at SDXL's published size, where they lie beside it and where they do not
_BESIDE, _HELD = 1.5, 2.2


@dataclass(frozen=True)
class Weights:
    """The files that hold a part's weights."""

    folder: Path
    files: tuple[Path, ...]

    @staticmethod
    def of(folder: Path, precision: str) -> Weights:
        """Those in halves where that is asked for; other variants where nothing else is there."""
        found: dict[str, list[Path]] = {}
        for file in sorted(folder.glob("*.safetensors")):
            match = _WEIGHT_FILE.fullmatch(file.name)
            if match is not None:
                found.setdefault(match[1] or match[3] or "", []).append(file)
        order = ("fp16", "", "bf16", "non_ema") if precision == "fp16" else ("", "fp16", "bf16", "non_ema")
        variant = next((variant for variant in order if variant in found), None)
        if variant is None:
            pickle = any(file.suffix in (".bin", ".ckpt", ".pt") for file in folder.iterdir())
            raise ExportError(
                f"{folder} has no weights: diffusion_pytorch_model.safetensors or model.safetensors is expected"
                + (" (pickles as .bin, which can run code when they are loaded, are not read)" if pickle else "")
            )
        whole = [file for file in found[variant] if _SHARD.search(file.name) is None]
        return Weights(folder, tuple(whole[:1] or found[variant]))

    @contextmanager
    def linked(self) -> Iterator[Path]:
        """A folder with links to the part's configuration and to these files by the names that the libraries look for."""
        with tempfile.TemporaryDirectory(prefix="weights.") as scratch:
            place = Path(scratch)
            (place / "config.json").symlink_to((self.folder / "config.json").resolve())
            stem = self.files[0].name.partition(".")[0].partition("-")[0]
            if len(self.files) == 1:
                (place / f"{stem}.safetensors").symlink_to(self.files[0].resolve())
            else:
                places: dict[str, str] = {}
                for i, file in enumerate(self.files, 1):
                    name = f"{stem}-{i:05d}-of-{len(self.files):05d}.safetensors"
                    (place / name).symlink_to(file.resolve())
                    places |= {tensor: name for tensor in header(file) if tensor != "__metadata__"}
                index = {"metadata": {"total_size": self.bytes}, "weight_map": places}
                (place / f"{stem}.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
            yield place

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)

    def require_whole(self) -> None:
        """Every file as long as its header says, and every part of a split one there. Says if these are not the averaged weights (EMA)."""
        if "non_ema" in self.files[0].name:
            print(f"{self.folder} has no averaged weights (EMA): those of the last training step are taken", file=sys.stderr, flush=True)
        for file in self.files:
            header(file)
            match = _SHARD.search(file.name)
            if match is not None and len(self.files) != int(match[1]):
                raise ExportError(f"{self.folder} has {len(self.files)} of the {int(match[1])} files of its weights: copy the others too")

    def require_memory(self, dtype: torch.dtype) -> None:
        """Refuses before loading what cannot fit, where the system says how much memory is free."""
        exact = self.bytes * (2 if self._in_halves() else 1)
        needed = exact * (_BESIDE if exact * dtype.itemsize / 4 > INLINE_BYTES else _HELD)
        try:
            said = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        except OSError:
            return
        if said is None:
            return
        free = int(said.group(1)) * 1024
        if needed > free:
            raise ExportError(
                f"{self.folder.name} needs about {readable(needed)} of memory, {readable(free)} are free: close other programs"
            )

    def _in_halves(self) -> bool:
        """Whether the first file has tensors of 16 bits."""
        return any(entry.get("dtype") in ("F16", "BF16") for name, entry in header(self.files[0]).items() if name != "__metadata__")


#: a variant's name stands before the number of a shard, and in older folders behind it
_WEIGHT_FILE = re.compile(r"(?:diffusion_pytorch_model|model)(?:\.(fp16|bf16|non_ema))?(-\d+-of-\d+)?(?:\.(fp16|bf16|non_ema))?\.safetensors")
_SHARD = re.compile(r"-\d+-of-(\d+)\.")
_LFS = b"version https://git-lfs"
_LONGEST_HEADER = 100_000_000  # bytes, as the format has it


def header(file: Path) -> dict[str, Any]:
    """The header of a safetensors file: tensors by name. Raises where the file is not one, or not as long as it says."""
    size = file.stat().st_size
    with open(file, "rb") as content:
        if content.read(len(_LFS)) == _LFS:
            raise ExportError(f"{file} is a Git LFS pointer, not the file itself: run git lfs pull in its folder")
        content.seek(0)
        length = int.from_bytes(content.read(8), "little")
        text = content.read(length) if length <= min(_LONGEST_HEADER, size - 8) else b""
    try:
        header = json.loads(text)
        end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ExportError(f"{file} is damaged or no safetensors file: copy it again") from error
    if size != 8 + length + end:
        raise ExportError(f"{file} has {size:,} bytes, its header says {8 + length + end:,}: it is damaged or not copied to the end; copy it again")
    return header
