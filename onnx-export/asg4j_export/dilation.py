# SPDX-License-Identifier: Apache-2.0
"""Convolutions whose dilation is chosen at run time: ScaleCrafter (arXiv 2310.07702) in one ONNX graph.

ONNX has dilation as an attribute of Conv. Here a dilated convolution is carried out on the d x d phases of its input, each an
ordinary picture that an ordinary convolution takes; zeros below and to the right make the extents multiples of d. That is
exact, borders included. A convolution of stride 2 is every second output of the one of stride 1, whatever the dilation.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel

from .networks import Denoiser


class ReDilatedConvolution(torch.autograd.Function):
    """3x3 convolution with dilation factor ``factor`` (a tensor [1], at least 1, may be fractional).

    ``forward`` is the definition, with PyTorch's own dilated convolution; ``symbolic`` is the same in ONNX operators.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, factor, stride):
        factor = np.float32(factor.item())
        dilation = math.ceil(factor)
        ratio = np.float32(dilation) / factor
        plain = [math.ceil(n / stride) for n in x.shape[2:]]
        if ratio != 1:
            x = F.interpolate(x, [int(np.rint(np.float32(n) * ratio)) for n in x.shape[2:]], mode="bilinear")
        y = F.conv2d(x, weight, bias, stride, padding=dilation, dilation=dilation)
        return y if ratio == 1 else F.interpolate(y, plain, mode="bilinear")

    @staticmethod
    def symbolic(g, x, weight, bias, factor, stride):
        channels = weight.type().sizes()[:2]

        def ints(*values):
            return g.op("Constant", value_t=torch.tensor(values, dtype=torch.int64))

        def join(*parts):
            return g.op("Concat", *parts, axis_i=0)

        def cast(value, onnx_type):
            return g.op("Cast", value, to_i=onnx_type)

        def resize(picture, size):
            shape = join(g.op("Shape", picture, end_i=2), size)
            # equal sizes: ONNX Runtime copies
            return g.op("Resize", picture, g.op("Constant", value_t=torch.tensor([])), g.op("Constant", value_t=torch.tensor([])),
                        shape, mode_s="linear", coordinate_transformation_mode_s="half_pixel")

        float_type, int_type = torch.onnx.TensorProtoDataType.FLOAT, torch.onnx.TensorProtoDataType.INT64
        ceiling = g.op("Ceil", factor)
        d = cast(ceiling, int_type)
        size = g.op("Shape", x, start_i=2)
        scaled = cast(g.op("Round", g.op("Mul", cast(size, float_type), g.op("Div", ceiling, factor))), int_type)
        x_scaled = resize(x, scaled)

        one = ints(1)
        cells = g.op("Div", g.op("Sub", g.op("Add", scaled, d), one), d)  # of a phase, [2]
        whole = g.op("Mul", cells, d)
        padded = g.op("Pad", x_scaled, join(ints(0, 0, 0, 0, 0, 0), g.op("Sub", whole, scaled)))
        rows = g.op("Slice", cells, ints(0), one)
        columns = g.op("Slice", cells, one, ints(2))
        phases = g.op("Reshape", padded, join(ints(0, 0), rows, d, columns, d))
        phases = g.op("Transpose", phases, perm_i=[0, 3, 5, 1, 2, 4])
        phases = g.op("Reshape", phases, join(ints(-1, channels[1]), cells))
        y = g.op("Conv", phases, weight, *([] if bias is None else [bias]), kernel_shape_i=[3, 3], pads_i=[1, 1, 1, 1])
        y = g.op("Reshape", y, join(ints(-1), d, d, ints(channels[0]), cells))
        y = g.op("Transpose", y, perm_i=[0, 3, 4, 1, 5, 2])
        y = g.op("Reshape", y, join(ints(0, 0), whole))
        y = g.op("Slice", y, ints(0, 0), scaled, ints(2, 3), ints(stride, stride))
        plain = g.op("Div", g.op("Add", size, ints(stride - 1)), ints(stride))
        out = resize(y, plain)
        return out.setType(x.type().with_sizes([None, channels[0], None, None]))


class _OnHost(torch.autograd.Function):
    """``factors``, so that ONNX Runtime computes on the host what depends on them, as it does with shapes.

    All of it is sizes. Computed on a GPU they would have to be fetched from there before every convolution.
    """

    @staticmethod
    def forward(ctx, factors, sample):
        return factors.clone()

    @staticmethod
    def symbolic(g, factors, sample):
        # ONNX Runtime keeps on the host what follows from a shape; this one is 1 for every sample.
        rows = g.op("Shape", sample, end_i=1)
        one = g.op("Min", rows, g.op("Constant", value_t=torch.tensor([1])))
        one = g.op("Cast", one, to_i=torch.onnx.TensorProtoDataType.FLOAT)
        return g.op("Mul", factors, one).setType(factors.type())


def groups(unet: UNet2DConditionModel) -> dict[str, list[torch.nn.Conv2d]]:
    """The re-dilatable convolutions by group: of a block its ResNets and its upsampler; a downsampler is a group of its own.

    Every published table (SD 1.5, SD 2.1, SDXL) is one of factors for these groups; the table of SD 2.1 at 2048 x 2048 has a
    factor of its own for a downsampler.
    """
    blocks = {f"down_blocks.{i}": block for i, block in enumerate(unet.down_blocks)}
    if unet.mid_block is not None:
        blocks["mid_block"] = unet.mid_block
    blocks |= {f"up_blocks.{i}": block for i, block in enumerate(unet.up_blocks)}
    found: dict[str, list[torch.nn.Conv2d]] = {}
    for name, block in blocks.items():
        found[name] = [conv for resnet in block.resnets for conv in (resnet.conv1, resnet.conv2)]
        found[name] += [up.conv for up in getattr(block, "upsamplers", None) or []]
        downsamplers = [down.conv for down in getattr(block, "downsamplers", None) or []]
        if downsamplers:
            found[f"{name}.downsamplers"] = downsamplers
    for name, convolutions in found.items():
        for conv in convolutions:
            if not _plain_3x3(conv):
                raise ValueError(f"{name} has the convolution {conv}: only 3x3 with padding 1 and stride 1 or 2 can be dilated")
    return found


def _plain_3x3(conv: torch.nn.Module) -> bool:
    return (
        isinstance(conv, torch.nn.Conv2d)
        and conv.kernel_size == (3, 3)
        and conv.padding == (1, 1)
        and conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.stride in ((1, 1), (2, 2))
    )


class DilatedDenoiser(torch.nn.Module):
    """A denoiser with one more input, ``dilation`` float32 [G]: a factor per group, 1 for the plain convolution."""

    def __init__(self, denoiser: Denoiser):
        super().__init__()
        self.denoiser = denoiser
        self._convolutions = groups(denoiser.unet)

    @property
    def groups(self) -> list[str]:
        return list(self._convolutions)

    @property
    def input_names(self) -> list[str]:
        return [*self.denoiser.input_names, "dilation"]

    @property
    def output_names(self) -> list[str]:
        return self.denoiser.output_names

    def forward(self, *inputs):
        *plain, dilation = inputs
        with self._dilated(_OnHost.apply(dilation, plain[0])):
            return self.denoiser(*plain)

    @contextmanager
    def _dilated(self, dilation: torch.Tensor):
        convolutions = [(conv, dilation[i : i + 1]) for i, group in enumerate(self._convolutions.values()) for conv in group]
        try:
            for conv, factor in convolutions:
                conv.forward = partial(_convolve, conv, factor)
            yield
        finally:
            for conv, _ in convolutions:
                del conv.forward


def _convolve(conv: torch.nn.Conv2d, factor: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return ReDilatedConvolution.apply(x, conv.weight, conv.bias, factor, conv.stride[0])
