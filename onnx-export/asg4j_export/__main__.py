"""python -m asg4j_export CHECKPOINT --out BUNDLE"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .export import ExportError, export


def main() -> int:
    parser = argparse.ArgumentParser(prog="asg4j_export", description="Turns a diffusers checkpoint folder into an asg4j model bundle.")
    parser.add_argument("checkpoint", type=Path, help="folder with model_index.json, unet/, vae/, text_encoder/, ...")
    parser.add_argument("--out", type=Path, required=True, help="the bundle's folder; an earlier bundle there is replaced")
    parser.add_argument("--name", help="the model's name in the manifest (default: the checkpoint folder's name)")
    parser.add_argument("--licence", help="the weights' licence (default: what model_index.json says)")
    args = parser.parse_args()
    try:
        manifest = export(args.checkpoint, args.out, args.name, args.licence)
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{args.out}: {sum(f['bytes'] for f in manifest['files'].values()):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
