# SPDX-License-Identifier: Apache-2.0
"""python -m reference bundle | goldens [all|vectors|cases] [--out FOLDER]; run in onnx-export/."""

import argparse
from pathlib import Path

RESOURCES = Path(__file__).resolve().parents[2] / "src" / "test" / "resources"

parser = argparse.ArgumentParser(prog="python -m reference", description=__doc__)
parser.add_argument("what", choices=["bundle", "goldens"])
parser.add_argument("part", nargs="?", choices=["all", "vectors", "cases"], default="all")
parser.add_argument("--out", type=Path, default=RESOURCES, help="default: src/test/resources of the repository")
args = parser.parse_args()

if args.what == "bundle":
    from . import bundle
    for name in bundle.NAMES:
        bundle.write(args.out / name, name)
else:
    from . import goldens
    if args.part in ("all", "vectors"):
        goldens.write_vectors(args.out / "goldens")
    if args.part in ("all", "cases"):
        goldens.write_cases(args.out)
