# SPDX-License-Identifier: Apache-2.0
"""The files of a part's weights: which of several versions is read, whether they are whole, how much memory they take."""

from __future__ import annotations

import json
import re
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
    """The files that hold a part's weights; ``variant``: diffusers' name of those in halves."""

    folder: Path
    files: tuple[Path, ...]
    variant: str | None

    @staticmethod
    def of(folder: Path, precision: str) -> Weights:
        """Those in halves where that is asked for or nothing else is there. Other files, such as non_ema, do not count."""
        found: dict[str | None, list[Path]] = {None: [], "fp16": []}
        for file in sorted(folder.glob("*.safetensors")):
            match = _WEIGHT_FILE.fullmatch(file.name)
            if match is not None:
                found[match.group(1)].append(file)
        variant = "fp16" if found["fp16"] and (precision == "fp16" or not found[None]) else None
        if not found[variant]:
            raise ExportError(f"{folder} has no weights: diffusion_pytorch_model.safetensors or model.safetensors is expected (.bin files are not read)")
        return Weights(folder, tuple(found[variant]), variant)

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)

    def require_whole(self) -> None:
        """Every file as long as its header says, and every part of a split one there."""
        for file in self.files:
            header(file)
            match = re.search(r"-of-(\d+)\.", file.name)
            if match is not None and len(self.files) != int(match.group(1)):
                raise ExportError(f"{self.folder} has {len(self.files)} of the {match.group(1)} files of its weights: copy the others too")

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


#: not non_ema files and the like, which lie beside them in published folders
_WEIGHT_FILE = re.compile(r"(?:diffusion_pytorch_model|model)(?:\.(fp16))?(?:-\d+-of-\d+)?\.safetensors")
_LONGEST_HEADER = 100_000_000  # bytes, as the format has it


def header(file: Path) -> dict[str, Any]:
    """The header of a safetensors file: tensors by name. Raises where the file is not one, or not as long as it says."""
    size = file.stat().st_size
    with open(file, "rb") as content:
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
