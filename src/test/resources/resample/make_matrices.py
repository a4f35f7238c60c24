# SPDX-License-Identifier: Apache-2.0
"""Writes matrices.json: what PyTorch's bicubic interpolation does to impulses, in float64.

python make_matrices.py
"""

import json
from pathlib import Path

import torch
from torch.nn.functional import interpolate

BICUBIC = ((1, 3), (4, 8), (5, 10), (7, 21), (12, 17))
ANTIALIASED = ((8, 8), (1, 5), (5, 12), (10, 4), (33, 16), (17, 1), (64, 9))


def matrix(size, to, antialias):
    """[to, size]: output cell by source cell."""
    impulses = torch.eye(size, dtype=torch.float64)[None, :, None, :]
    line = interpolate(impulses, size=(1, to), mode="bicubic", align_corners=False, antialias=antialias)
    return line[0, :, 0, :].T.tolist()


def main():
    cases = [{"antialias": antialias, "from": size, "to": to, "matrix": matrix(size, to, antialias)}
             for antialias, sizes in ((False, BICUBIC), (True, ANTIALIASED)) for size, to in sizes]
    Path(__file__).with_name("matrices.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
