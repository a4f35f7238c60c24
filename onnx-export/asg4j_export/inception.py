# SPDX-License-Identifier: Apache-2.0
"""Inception-v3 (Szegedy et al., arXiv 1512.00567), as a table of branches under torchvision's parameter names.

Two kinds of weights fit: torchvision's own, and those that FID is defined by (converted from the TensorFlow graph of 2015,
1008 classes), whose network pools differently in three kinds of blocks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

SIDE = 299
FEATURES = 2048

_ROW, _COLUMN = (1, 7), (7, 1)
_WIDE, _TALL = (1, 3), (3, 1)


class Conv(torch.nn.Module):
    """Convolution, batch norm, ReLU; keeps the size unless it says otherwise."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int] = 1, stride: int = 1, padding: int | None = None):
        super().__init__()
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        same = tuple(k // 2 for k in kernel) if padding is None else padding
        self.conv = torch.nn.Conv2d(inputs, outputs, kernel, stride, same, bias=False)
        self.bn = torch.nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv(x)))


class Block(torch.nn.Module):
    """Branches side by side: chains of convolutions by name; "pool" pools first, "+" splits the end in two."""

    def __init__(self, inputs: int, branches: list, pool: str):
        super().__init__()
        self.branches: list[tuple] = []
        self.pool = pool
        self.outputs = 0
        for branch in branches:
            if branch == "pool":  # the pooled input itself
                self.branches.append(("pool", [], []))
                self.outputs += inputs
                continue
            width, chain, ends = inputs, [], []
            for name, outputs, *shape in branch:
                if name.startswith("+"):
                    ends.append(name[1:])
                    setattr(self, name[1:], Conv(width, outputs, *shape))
                    self.outputs += outputs
                    continue
                setattr(self, name, Conv(width, outputs, *shape))
                chain.append(name)
                width = outputs
            kind = "pool" if chain[0] == "branch_pool" else "chain"
            self.branches.append((kind, chain, ends))
            self.outputs += 0 if ends else width

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        if self.pool == "shrink":
            return F.max_pool2d(x, 3, 2)
        if self.pool == "max":
            return F.max_pool2d(x, 3, 1, 1)
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=self.pool == "mean")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = []
        for kind, chain, ends in self.branches:
            y = self._pooled(x) if kind == "pool" else x
            for name in chain:
                y = getattr(self, name)(y)
            parts += [getattr(self, name)(y) for name in ends] if ends else [y]
        return torch.cat(parts, 1)


def _a(pooled: int) -> list:
    return [
        [("branch1x1", 64)],
        [("branch5x5_1", 48), ("branch5x5_2", 64, 5)],
        [("branch3x3dbl_1", 64), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
        [("branch_pool", pooled)],
    ]


def _c(width: int) -> list:
    return [
        [("branch1x1", 192)],
        [("branch7x7_1", width), ("branch7x7_2", width, _ROW), ("branch7x7_3", 192, _COLUMN)],
        [("branch7x7dbl_1", width), ("branch7x7dbl_2", width, _COLUMN), ("branch7x7dbl_3", width, _ROW),
         ("branch7x7dbl_4", width, _COLUMN), ("branch7x7dbl_5", 192, _ROW)],
        [("branch_pool", 192)],
    ]


_B = [
    [("branch3x3", 384, 3, 2, 0)],
    [("branch3x3dbl_1", 64), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3, 2, 0)],
    "pool",
]
_D = [
    [("branch3x3_1", 192), ("branch3x3_2", 320, 3, 2, 0)],
    [("branch7x7x3_1", 192), ("branch7x7x3_2", 192, _ROW), ("branch7x7x3_3", 192, _COLUMN), ("branch7x7x3_4", 192, 3, 2, 0)],
    "pool",
]
_E = [
    [("branch1x1", 320)],
    [("branch3x3_1", 384), ("+branch3x3_2a", 384, _WIDE), ("+branch3x3_2b", 384, _TALL)],
    [("branch3x3dbl_1", 448), ("branch3x3dbl_2", 384, 3), ("+branch3x3dbl_3a", 384, _WIDE), ("+branch3x3dbl_3b", 384, _TALL)],
    [("branch_pool", 192)],
]


class Inception(torch.nn.Module):
    """Pictures [n, 3, 299, 299] in 0..1 to features [n, 2048] and probabilities [n, classes].

    ``fid`` is the network by which FID is defined: it scales pictures to -1..1, leaves the border out of its means, and
    takes the largest value instead of the mean in its last block.
    """

    def __init__(self, classes: int = 1000, fid: bool = False) -> None:
        super().__init__()
        self.fid = fid
        mean = "mean inside" if fid else "mean"
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, 2, 0)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3, 1, 0)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = Conv(64, 80)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3, 1, 0)
        table = [
            ("5b", _a(32), mean), ("5c", _a(64), mean), ("5d", _a(64), mean), ("6a", _B, "shrink"),
            ("6b", _c(128), mean), ("6c", _c(160), mean), ("6d", _c(160), mean), ("6e", _c(192), mean),
            ("7a", _D, "shrink"), ("7b", _E, mean), ("7c", _E, "max" if fid else mean),
        ]
        self.blocks, width = [], 192
        for name, branches, pool in table:
            block = Block(width, branches, pool)
            setattr(self, f"Mixed_{name}", block)
            self.blocks.append(f"Mixed_{name}")
            width = block.outputs
        self.fc = torch.nn.Linear(width, classes)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = image * 2 - 1 if self.fid else (image - self.mean) / self.deviation
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = F.max_pool2d(x, 3, 2)
        for name in self.blocks:
            x = getattr(self, name)(x)
        features = x.mean((2, 3))
        return features, self.fc(features).softmax(1)
