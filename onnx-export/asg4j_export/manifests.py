# SPDX-License-Identifier: Apache-2.0
"""The manifest of a bundle that something is added to."""

from __future__ import annotations

import json
from pathlib import Path

from .errors import ExportError

FORMAT_VERSION = 1

_MANIFEST = "manifest.json"


def read_manifest(bundle: Path) -> dict:
    """Of the bundle in a folder, which is to be changed."""
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


def replace_manifest(bundle: Path, manifest: dict) -> None:
    """Moves the manifest into place, ``files`` at its end."""
    manifest = {k: v for k, v in manifest.items() if k != "files" and (k != "upscalers" or v)} | {"files": manifest["files"]}
    new = bundle / f".{_MANIFEST}.tmp"
    new.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    new.replace(bundle / _MANIFEST)
