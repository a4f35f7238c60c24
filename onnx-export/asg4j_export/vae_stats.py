# SPDX-License-Identifier: Apache-2.0
"""A VAE decoder in two parts that decodes tile by tile exactly as if it were whole.

Group normalisation takes its statistics over the whole picture: a tile decoded on its own gets a tone of its own,
and feathering only blurs the seam. So the decoder is cut before its last upsampling. The front runs whole, at a
quarter of the picture's activations. The tail runs in tiles and takes the statistics of its norms as an input; it
also gives its own moments over the tile's core, so that the engine gathers the statistics of one norm after the
other over all tiles. After as many passes as the tail has norms they are those of the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D

from .attention import narrow, widen

#: widest tensor at the features' resolution that is kept whole: SDXL's 512 channels at 4096 x 4096 pixels would be 2^31 values, more
#: than ONNX Runtime's CUDA kernels can count
WIDEST = 256


class VaeFront(torch.nn.Module):
    """latents [1, C, h, w] -> features [1, C', scale*h, scale*w], before the last upsampling.

    What is wider than ``WIDEST`` at that resolution is computed by halves of its channels.
    """

    input_names = ["latents"]
    output_names = ["features"]

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.post_quant = vae.post_quant_conv if vae.config.use_post_quant_conv else torch.nn.Identity()
        self.decoder = vae.decoder
        self.blocks = len(vae.decoder.up_blocks) - 1
        #: features per latent cell and axis
        self.scale = 2 ** (self.blocks - 1)
        last = vae.decoder.up_blocks[self.blocks - 1]
        self.halves = self.blocks > 1 and last.resnets[0].in_channels > WIDEST and last.resnets[0].conv_shortcut is not None
        #: of the widest tensor at the features' resolution
        self.channels = last.resnets[0].in_channels // (2 if self.halves else 1)

    @property
    def dtype(self) -> torch.dtype:
        return self.decoder.conv_in.weight.dtype

    def forward(self, latents):
        (x,) = narrow(self, latents)
        x = self.decoder.mid_block(self.decoder.conv_in(self.post_quant(x)))
        for index, block in enumerate(self.decoder.up_blocks[: self.blocks]):
            resnets = list(block.resnets)
            if self.halves and index + 1 == self.blocks:
                x = _upsample_in_halves(self.decoder.up_blocks[index - 1].upsamplers[0].conv, resnets.pop(0), x)
            for resnet in resnets:
                x = resnet(x, None)
            if index + (2 if self.halves else 1) < self.blocks:
                x = block.upsamplers[0](x)
        return widen(x)


def _upsample_in_halves(convolution: torch.nn.Conv2d, resnet: ResnetBlock2D, x: torch.Tensor) -> torch.Tensor:
    """Upsampling by 2 with its convolution, then a ResNet that has fewer channels; of what lies between only halves of the channels.

    A convolution is the sum of those of its input's halves, and a group of a norm lies in one half.
    """

    def summed(conv: torch.nn.Conv2d, parts: Iterable[torch.Tensor], rows: slice = slice(None)) -> torch.Tensor:
        first, second = conv.weight[rows].chunk(2, 1)
        halves = iter(parts)  # the second may be made when the first is used up
        y = F.conv2d(next(halves), first, conv.bias[rows], padding=conv.padding)
        return y + F.conv2d(next(halves), second, padding=conv.padding)

    enlarged = [F.interpolate(half, scale_factor=2.0, mode="nearest") for half in x.chunk(2, 1)]
    half = convolution.out_channels // 2
    parts = [summed(convolution, enlarged, rows) for rows in (slice(0, half), slice(half, None))]
    norm = resnet.norm1
    gains, offsets = norm.weight.chunk(2), norm.bias.chunk(2)
    active = (F.silu(F.group_norm(p, norm.num_groups // 2, g, o, norm.eps)) for p, g, o in zip(parts, gains, offsets, strict=True))
    y = resnet.conv2(F.silu(resnet.norm2(summed(resnet.conv1, active))))
    return (summed(resnet.conv_shortcut, parts) + y) / resnet.output_scale_factor


class VaeTail(torch.nn.Module):
    """features of a tile, statistics of its norms, and its core -> its picture and its moments.

    features [1, C', h, w]; norm_stats [norms, 2, groups]: mean, variance; core_y [h], core_x [w]: 1 for the cells
    whose moments count, else 0 -> image [1, 3, 2h, 2w], moments [norms, 2, groups]: mean, variance over the core.
    """

    input_names = ["features", "norm_stats", "core_y", "core_x"]
    output_names = ["image", "moments"]

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        decoder = vae.decoder
        self.upsampler = decoder.up_blocks[-2].upsamplers[0]
        self.resnets = decoder.up_blocks[-1].resnets
        self.norm_out, self.conv_out = decoder.conv_norm_out, decoder.conv_out
        self.norms = 2 * len(self.resnets) + 1
        self.groups = self.norm_out.num_groups
        # Each convolution at the picture's resolution reaches one pixel further, half a feature cell.
        self.halo = len(self.resnets) + 1

    @property
    def dtype(self) -> torch.dtype:
        return self.conv_out.weight.dtype

    def forward(self, features, norm_stats, core_y, core_x):
        rows, columns = (core[:, None].expand(-1, 2).reshape(-1) for core in (core_y, core_x))
        core = rows[:, None] * columns[None, :]
        moments: list[torch.Tensor] = []

        def norm(module: torch.nn.GroupNorm, narrow_x: torch.Tensor) -> torch.Tensor:
            x = widen(narrow_x)  # sums over a tile are beyond half precision
            grouped = x.reshape(self.groups, -1, x.shape[2], x.shape[3])
            cells = core.sum() * (module.num_channels // self.groups)
            mean = (grouped * core).sum((1, 2, 3)) / cells
            deviation = (grouped - mean[:, None, None, None]).square() * core
            mean_given, variance_given = norm_stats[len(moments)]
            moments.append(torch.stack([mean, deviation.sum((1, 2, 3)) / cells]))
            per_group = module.num_channels // self.groups
            gain = widen(module.weight) * torch.rsqrt(variance_given + module.eps).repeat_interleave(per_group)
            offset = widen(module.bias) - mean_given.repeat_interleave(per_group) * gain
            return narrow(self, x * gain[None, :, None, None] + offset[None, :, None, None])[0]

        x = self.upsampler(*narrow(self, features))
        for resnet in self.resnets:
            y = resnet.conv1(F.silu(norm(resnet.norm1, x)))
            y = resnet.conv2(F.silu(norm(resnet.norm2, y)))
            x = x if resnet.conv_shortcut is None else resnet.conv_shortcut(x)
            x = (x + y) / resnet.output_scale_factor
        image = self.conv_out(F.silu(norm(self.norm_out, x)))
        return widen(image), torch.stack(moments)


def tiled_axes() -> tuple[dict[str, dict[int, str]], dict[str, dict[int, str]]]:
    """Dynamic axes of the front's and of the tail's graph."""
    front = {"latents": {2: "height", 3: "width"}, "features": {2: "feature_height", 3: "feature_width"}}
    tail = {
        "features": {2: "feature_height", 3: "feature_width"},
        "core_y": {0: "feature_height"},
        "core_x": {0: "feature_width"},
        "image": {2: "image_height", 3: "image_width"},
    }
    return front, tail


def tiled_entry(front: VaeFront, tail: VaeTail, suffix: str = "") -> dict[str, object]:
    """The manifest's ``vae.tiled_decoder``."""
    return {
        "front": f"vae_front{suffix}.onnx", "tail": f"vae_tail{suffix}.onnx",
        "scale": front.scale, "halo": tail.halo, "channels": front.channels,
    }
