# SPDX-License-Identifier: Apache-2.0
"""A VAE decoder in two parts that decodes tile by tile exactly as if it were whole.

Group normalisation takes its statistics over the whole picture: a tile decoded on its own gets a tone of its own,
and feathering only blurs the seam. So the decoder is cut before its last upsampling. The front runs whole, at a
quarter of the picture's activations. The tail runs in tiles and takes the statistics of its norms as an input; it
also gives its own moments over the tile's core, so that the engine gathers the statistics of one norm after the
other over all tiles. After as many passes as the tail has norms they are those of the whole picture.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from .attention import narrow, widen


class VaeFront(torch.nn.Module):
    """latents [1, C, h, w] -> features [1, C', scale*h, scale*w], before the last upsampling."""

    input_names = ["latents"]
    output_names = ["features"]

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.post_quant = vae.post_quant_conv if vae.config.use_post_quant_conv else torch.nn.Identity()
        self.decoder = vae.decoder
        self.blocks = len(vae.decoder.up_blocks) - 1
        self.dtype = vae.dtype
        #: features per latent cell and axis
        self.scale = 2 ** (self.blocks - 1)

    def forward(self, latents):
        (x,) = narrow(self, latents)
        x = self.decoder.mid_block(self.decoder.conv_in(self.post_quant(x)))
        for index, block in enumerate(self.decoder.up_blocks[: self.blocks]):
            for resnet in block.resnets:
                x = resnet(x, None)
            if index + 1 < self.blocks:
                x = block.upsamplers[0](x)
        return widen(x)


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
        self.dtype = vae.dtype
        self.norms = 2 * len(self.resnets) + 1
        self.groups = self.norm_out.num_groups
        # Each convolution at the picture's resolution reaches one pixel further, half a feature cell.
        self.halo = len(self.resnets) + 1

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
    return {"front": f"vae_front{suffix}.onnx", "tail": f"vae_tail{suffix}.onnx", "scale": front.scale, "halo": tail.halo}
