# SPDX-License-Identifier: Apache-2.0
"""A single .safetensors file, as model sites have them, becomes a checkpoint folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .checkpoint import PIPELINES, read_json
from .errors import ExportError
from .weights import PRECISIONS


@contextmanager
def unpacked(file: Path, config: Path | None, precision: str, scratch: Path) -> Iterator[Path]:
    """A single .safetensors file as a checkpoint folder, which is deleted at the end.

    The file holds weights only; ``config`` is a folder of the same family in diffusers' layout (its .json files and tokenizers
    are enough), since nothing is downloaded.
    """
    if config is None:
        raise ExportError(
            f"{file} holds weights only: give --config FOLDER, a diffusers folder of the same family with model_index.json, the"
            " config.json of every part, tokenizers and scheduler (its weights are not needed)"
        )
    pipeline = PIPELINES.get(read_json(config / "model_index.json").get("_class_name", ""))
    if pipeline is None:
        raise ExportError(f"--config {config}: the pipeline is unknown; known are {', '.join(PIPELINES)}")
    folder = Path(tempfile.mkdtemp(prefix="checkpoint.", dir=scratch))
    try:
        try:
            loaded = pipeline.from_single_file(str(file), config=str(config), local_files_only=True, torch_dtype=PRECISIONS[precision])
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ExportError(f"{file} cannot be read as a {pipeline.__name__}: {error}") from error
        loaded.save_pretrained(folder)
        del loaded
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
