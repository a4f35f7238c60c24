# SPDX-License-Identifier: Apache-2.0
"""Writes two small random RRDBNets, x2 and x4; run in onnx-export with this file's path. They see less than 20 pixels around."""

from pathlib import Path

import torch
from asg4j_export.tracing import write
from asg4j_export.rrdbnet import RRDBNet, Shape
from asg4j_export.upscaler import graph

HERE = Path(__file__).parent
for scale in (2, 4):
    torch.manual_seed(scale)
    net = RRDBNet(Shape(scale, features=8, blocks=1, growth=4)).eval().requires_grad_(False)
    for name, parameter in net.named_parameters():
        parameter *= 2.5 if name == "conv_last.weight" else 1.7 if name.endswith("weight") else 1.0  # outputs that leave [0, 1]
    net.half().float()
    write(graph(f"upscaler_x{scale}.onnx", net), HERE)
    x = torch.rand(1, 3, 40, 40)
    y = net(x)
    moved = (net(torch.cat((x[..., :39], 1 - x[..., 39:]), 3)) != y).any(2)[0].any(0).nonzero()
    print(f"x{scale}: {float(y.min()):.2f} to {float(y.max()):.2f}; the last column is seen from column {int(moved[0]) / scale} on")
