# SPDX-License-Identifier: Apache-2.0
"""Writes a small random autoencoder, decoder and encoder, each whole and in two parts; run in onnx-export with this file's path."""

from pathlib import Path

import numpy as np
import onnx
import torch
from asg4j_export.vae_stats import VaeEncoderFront, VaeEncoderTail, VaeFront, VaeTail, tiled_axes
from diffusers import AutoencoderKL

HERE = Path(__file__).parent
torch.manual_seed(7)
vae = AutoencoderKL(
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
    block_out_channels=(4, 4, 4, 8),
    layers_per_block=1,
    latent_channels=4,
    norm_num_groups=2,
    mid_block_add_attention=False,
).eval()
for name, parameter in vae.named_parameters():
    if "norm" in name:  # fresh norms are 1 and 0, which would hide mistakes
        parameter.data += 0.5 * torch.randn_like(parameter)
vae.requires_grad_(False)


class Whole(torch.nn.Module):
    def forward(self, latents):
        return vae.decode(latents, return_dict=False)[0]


class WholeEncoder(torch.nn.Module):
    def forward(self, image):
        return vae.encode(image, return_dict=False)[0].mean


def save(module, file, names, axes, *example):
    options = dict(input_names=names[0], output_names=names[1], dynamic_axes=axes, opset_version=17, dynamo=False)
    torch.onnx.export(module.eval(), example, str(HERE / file), **options)


front, tail = VaeFront(vae), VaeTail(vae)
axes = tiled_axes()
whole_axes = {"latents": {0: "batch", 2: "height", 3: "width"}, "image": {0: "batch", 2: "h", 3: "w"}}
latents = torch.randn(1, 4, 6, 5)
features = front(latents)
h, w = features.shape[2:]
stats = torch.stack([torch.zeros(tail.norms, tail.groups), torch.ones(tail.norms, tail.groups)], 1)
save(Whole(), "vae_decoder.onnx", (["latents"], ["image"]), whole_axes, latents)
save(front, "vae_front.onnx", (front.input_names, front.output_names), axes[0], latents)
save(tail, "vae_tail.onnx", (tail.input_names, tail.output_names), axes[1], features, stats, torch.ones(h), torch.ones(w))

encoder_front, encoder_tail = VaeEncoderFront(vae), VaeEncoderTail(vae)
image = torch.rand(1, 3, 48, 40) * 2 - 1
h, w = (n // 2 for n in image.shape[2:])
stats = torch.stack([torch.zeros(encoder_front.norms, encoder_front.groups), torch.ones(encoder_front.norms, encoder_front.groups)], 1)
example = (image, stats, torch.ones(h), torch.ones(w))
save(WholeEncoder(), "vae_encoder.onnx", (["image"], ["latents"]), whole_axes, image)
save(encoder_front, "vae_encoder_front.onnx", (encoder_front.input_names, encoder_front.output_names), axes[1], *example)
save(encoder_tail, "vae_encoder_tail.onnx", (encoder_tail.input_names, encoder_tail.output_names), axes[0], encoder_front(*example)[0])

# As a bundle in fp16 has it: casts around the norms, float32 at its ends.
halves = VaeTail(vae.half())
example = (features, torch.zeros(halves.norms, 2, halves.groups), torch.ones(features.shape[2]), torch.ones(features.shape[3]))
save(halves, "vae_tail_halves.onnx", (halves.input_names, halves.output_names), axes[1], *example)


def overflow(file):
    """The same graph with infinities in the picture, as a decoder in half precision may give."""
    model = onnx.load(HERE / file)
    node = next(node for node in model.graph.node if "image" in node.output)
    node.output[list(node.output).index("image")] = "finite"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32("inf"), "infinity"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["finite", "infinity"], ["image"]))
    onnx.save(model, HERE / file.replace(".onnx", "_overflow.onnx"))


overflow("vae_decoder.onnx")
overflow("vae_tail.onnx")
print("decoder: scale", front.scale, "halo", tail.halo, "norms", tail.norms, "groups", tail.groups)
print("encoder: scale", encoder_tail.scale, "halo", encoder_front.halo, "norms", encoder_front.norms, "channels", encoder_tail.channels)
