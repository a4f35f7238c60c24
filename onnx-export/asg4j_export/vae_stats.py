# SPDX-License-Identifier: Apache-2.0
"""A VAE in parts that decodes and encodes tile by tile exactly as if it were whole.

Group normalisation takes its statistics over the whole picture: a tile decoded on its own gets a tone of its own,
and feathering only blurs the seam. So the decoder is cut before its last upsampling. The front runs whole, at a
quarter of the picture's activations. The tail runs in tiles and takes the statistics of its norms as an input; it
also gives its own moments over the tile's core. The engine cuts it at its norms (model/PassCut.java): each pass goes
over all tiles to the next norm, whose statistics are then those of the whole picture, and keeps what the next needs; on
GPUs each is the whole network anew.

The encoder is cut behind its first downsampling, the other way round: its front runs in tiles, with the statistics of
its norms as an input, and its tail, which attends over all cells, whole.
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


class _TiledPart(torch.nn.Module):
    """ResNets whose norms take their statistics as an input, and give those of the tile's core beside what they compute."""

    def __init__(self, resnets: torch.nn.ModuleList, groups: int):
        super().__init__()
        self.resnets = resnets
        self.groups = groups
        # Each convolution at the picture's resolution reaches one pixel further, half a feature cell.
        self.halo = len(resnets) + 1

    def _run(self, x: torch.Tensor, norm: _Norm) -> torch.Tensor:
        for resnet in self.resnets:
            y = resnet.conv1(F.silu(norm(resnet.norm1, x)))
            y = resnet.conv2(F.silu(norm(resnet.norm2, y)))
            x = x if resnet.conv_shortcut is None else resnet.conv_shortcut(x)
            x = (x + y) / resnet.output_scale_factor
        return x


class _Norm:
    """Group normalisation with given statistics; keeps the moments over the core of what it is given."""

    def __init__(self, part: _TiledPart, statistics: torch.Tensor, core_y: torch.Tensor, core_x: torch.Tensor):
        self._part = part
        self._statistics = statistics
        rows, columns = (core[:, None].expand(-1, 2).reshape(-1) for core in (core_y, core_x))
        self._core = rows[:, None] * columns[None, :]
        self.moments: list[torch.Tensor] = []

    def __call__(self, module: torch.nn.GroupNorm, narrow_x: torch.Tensor) -> torch.Tensor:
        x = widen(narrow_x)  # sums over a tile are beyond half precision
        grouped = x.reshape(self._part.groups, -1, x.shape[2], x.shape[3])
        cells = self._core.sum() * (module.num_channels // self._part.groups)
        mean = (grouped * self._core).sum((1, 2, 3)) / cells
        deviation = (grouped - mean[:, None, None, None]).square() * self._core
        mean_given, variance_given = self._statistics[len(self.moments)]
        self.moments.append(torch.stack([mean, deviation.sum((1, 2, 3)) / cells]))
        per_group = module.num_channels // self._part.groups
        gain = widen(module.weight) * torch.rsqrt(variance_given + module.eps).repeat_interleave(per_group)
        offset = widen(module.bias) - mean_given.repeat_interleave(per_group) * gain
        return narrow(self._part, x * gain[None, :, None, None] + offset[None, :, None, None])[0]


class VaeTail(_TiledPart):
    """features of a tile, statistics of its norms, and its core -> its picture and its moments.

    features [1, C', h, w]; norm_stats [norms, 2, groups]: mean, variance; core_y [h], core_x [w]: 1 for the cells
    whose moments count, else 0 -> image [1, 3, 2h, 2w], moments [norms, 2, groups]: mean, variance over the core.
    """

    input_names = ["features", "norm_stats", "core_y", "core_x"]
    output_names = ["image", "moments"]

    def __init__(self, vae: AutoencoderKL):
        decoder = vae.decoder
        super().__init__(decoder.up_blocks[-1].resnets, decoder.conv_norm_out.num_groups)
        self.upsampler = decoder.up_blocks[-2].upsamplers[0]
        self.norm_out, self.conv_out = decoder.conv_norm_out, decoder.conv_out
        self.norms = 2 * len(self.resnets) + 1

    @property
    def dtype(self) -> torch.dtype:
        return self.conv_out.weight.dtype

    def forward(self, features, norm_stats, core_y, core_x):
        norm = _Norm(self, norm_stats, core_y, core_x)
        x = self._run(self.upsampler(*narrow(self, features)), norm)
        image = self.conv_out(F.silu(norm(self.norm_out, x)))
        return widen(image), torch.stack(norm.moments)


class VaeEncoderFront(_TiledPart):
    """pixels of a tile, statistics of its norms, and its core -> its features and its moments.

    image [1, 3, 2h, 2w], norm_stats, core_y [h], core_x [w] -> features [1, C', h, w], behind the first downsampling,
    and moments, as ``VaeTail`` has them.
    """

    input_names = ["image", "norm_stats", "core_y", "core_x"]
    output_names = ["features", "moments"]

    def __init__(self, vae: AutoencoderKL):
        encoder = vae.encoder
        block = encoder.down_blocks[0]
        super().__init__(block.resnets, encoder.conv_norm_out.num_groups)
        self.conv_in, self.downsampler = encoder.conv_in, block.downsamplers[0]
        self.norms = 2 * len(self.resnets)

    @property
    def dtype(self) -> torch.dtype:
        return self.conv_in.weight.dtype

    def forward(self, image, norm_stats, core_y, core_x):
        norm = _Norm(self, norm_stats, core_y, core_x)
        x = self._run(self.conv_in(*narrow(self, image)), norm)
        return widen(self.downsampler(x)), torch.stack(norm.moments)


class VaeEncoderTail(torch.nn.Module):
    """features [1, C', h, w] -> the mean of the latents, [1, C, h/scale, w/scale]."""

    input_names = ["features"]
    output_names = ["latents"]

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.encoder = vae.encoder
        self.quant = vae.quant_conv if vae.config.use_quant_conv else torch.nn.Identity()
        #: features per latent cell and axis
        self.scale = 2 ** (len(vae.encoder.down_blocks) - 2)
        #: of the widest tensor at the features' resolution
        self.channels = vae.encoder.down_blocks[1].resnets[0].out_channels

    @property
    def dtype(self) -> torch.dtype:
        return self.encoder.conv_out.weight.dtype

    def forward(self, features):
        encoder = self.encoder
        (x,) = narrow(self, features)
        for block in encoder.down_blocks[1:]:
            x = block(x)
        x = self.quant(encoder.conv_out(F.silu(encoder.conv_norm_out(encoder.mid_block(x)))))
        return widen(x.chunk(2, 1)[0])


def tiled_axes() -> tuple[dict[str, dict[int, str]], dict[str, dict[int, str]]]:
    """Dynamic axes of the parts that run whole, and of those that run in tiles."""
    features = {"features": {2: "feature_height", 3: "feature_width"}}
    whole = {"latents": {2: "height", 3: "width"}, **features}
    tiled = {
        **features,
        "core_y": {0: "feature_height"},
        "core_x": {0: "feature_width"},
        "image": {2: "image_height", 3: "image_width"},
    }
    return whole, tiled


def tiled_entry(front: VaeFront, tail: VaeTail, suffix: str = "") -> dict[str, object]:
    """The manifest's ``vae.tiled_decoder``."""
    return {
        "front": f"vae_front{suffix}.onnx", "tail": f"vae_tail{suffix}.onnx",
        "scale": front.scale, "halo": tail.halo, "channels": front.channels,
    }


def tiled_encoder_entry(front: VaeEncoderFront, tail: VaeEncoderTail) -> dict[str, object]:
    """The manifest's ``vae.tiled_encoder``."""
    return {
        "front": "vae_encoder_front.onnx", "tail": "vae_encoder_tail.onnx",
        "scale": tail.scale, "halo": front.halo, "channels": tail.channels,
    }
