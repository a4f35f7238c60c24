# SPDX-License-Identifier: Apache-2.0
"""Element-wise passes over a network's tensors that other operators take along.

On a GPU such a pass costs what it reads and writes, and there are more of them than of products. Every operator here has kernels in ONNX
Runtime's CPU provider and in its CUDA provider. The networks are changed before they are traced, so no optimiser has to find a pattern.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import SD3Transformer2DModel, Transformer2DModel, UNet2DConditionModel
from diffusers.models.activations import GEGLU, GELU
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D

from .errors import ExportError


def fuse_unet(unet: UNet2DConditionModel) -> None:
    """Transformer layers and ResNets of a UNet with fewer passes; their parameters get other names."""
    for module in list(unet.modules()):
        if isinstance(module, Transformer2DModel):
            module.transformer_blocks = torch.nn.ModuleList([_Layers(list(module.transformer_blocks))])
        elif isinstance(module, ResnetBlock2D):
            # Both are added per channel, to the same sum.
            if module.time_embedding_norm == "default":
                _move_bias(module.conv1, module.time_emb_proj)
            if module.conv_shortcut is not None:
                _move_bias(module.conv_shortcut, module.conv2)


def fuse_transformer(transformer: SD3Transformer2DModel) -> None:
    """The feed-forward parts of SD3's transformer, whose activation is the approximate GELU."""
    for block in transformer.transformer_blocks:
        for feed_forward in (block.ff, block.ff_context):
            if feed_forward is not None:
                feed_forward.net[0] = _FastGeluProjection(feed_forward.net[0])


class _SkipLayerNormalization(torch.autograd.Function):
    """LayerNorm of x + skip + bias, and that sum."""

    @staticmethod
    def forward(ctx, x, skip, bias, gamma, beta, epsilon):
        total = x + bias + skip
        return F.layer_norm(total, gamma.shape, gamma, beta, epsilon), total

    @staticmethod
    def symbolic(g, x, skip, bias, gamma, beta, epsilon):
        # The second and the third, mean and deviation, are for training.
        normalised, _, _, total = g.op("com.microsoft::SkipLayerNormalization", x, skip, gamma, beta, bias, epsilon_f=epsilon, outputs=4)
        return normalised.setType(x.type()), total.setType(x.type())


class _BiasGelu(torch.autograd.Function):
    """GELU of x + bias."""

    @staticmethod
    def forward(ctx, x, bias):
        return F.gelu(x + bias)

    @staticmethod
    def symbolic(g, x, bias):
        return g.op("com.microsoft::BiasGelu", x, bias).setType(x.type())


class _FastGelu(torch.autograd.Function):
    """GELU of x + bias, by the tanh that approximates it."""

    @staticmethod
    def forward(ctx, x, bias):
        return F.gelu(x + bias, approximate="tanh")

    @staticmethod
    def symbolic(g, x, bias):
        return g.op("com.microsoft::FastGelu", x, bias).setType(x.type())


class _Layers(torch.nn.Module):
    """All layers of a Transformer2DModel: the normalisation that follows a part adds its bias and the residual."""

    def __init__(self, layers: list[BasicTransformerBlock]):
        super().__init__()
        for layer in layers:
            _require_usual(layer)
            layer.ff.net[0] = _Geglu(layer.ff.net[0])
        self.layers = torch.nn.ModuleList(layers)
        outs = [linear for layer in layers for linear in (layer.attn1.to_out[0], layer.attn2.to_out[0], layer.ff.net[2])]
        # No LayerNorm follows the last part, which keeps its bias.
        self.biases = torch.nn.ParameterList(linear.bias for linear in outs[:-1])
        for linear in outs[:-1]:
            linear.bias = None

    def forward(self, residual: torch.Tensor, encoder_hidden_states: torch.Tensor, **kwargs: object) -> torch.Tensor:
        biases = iter(self.biases)

        def add_and_normalise(x: torch.Tensor, norm: torch.nn.LayerNorm) -> tuple[torch.Tensor, torch.Tensor]:
            return _SkipLayerNormalization.apply(x, residual, next(biases), norm.weight, norm.bias, norm.eps)

        for i, layer in enumerate(self.layers):
            if i == 0:
                x = layer.norm1(residual)
            else:
                x, residual = add_and_normalise(x, layer.norm1)
            x, residual = add_and_normalise(layer.attn1(x), layer.norm2)
            x, residual = add_and_normalise(layer.attn2(x, encoder_hidden_states), layer.norm3)
            x = layer.ff(x)
        return x + residual


def _require_usual(layer: BasicTransformerBlock) -> None:
    if layer.norm_type != "layer_norm" or layer.only_cross_attention or layer.attn2 is None or not isinstance(layer.ff.net[0], GEGLU):
        raise ExportError("the UNet's transformer layers are not self-attention, cross-attention and GEGLU, each behind a LayerNorm")


class _Geglu(torch.nn.Module):
    """GEGLU, the halves of its projection cut here and not in every call."""

    def __init__(self, whole: GEGLU):
        super().__init__()
        (weight, gate_weight), (bias, gate_bias) = whole.proj.weight.chunk(2), whole.proj.bias.chunk(2)
        self.weight, self.bias = _parameter(weight), _parameter(bias)
        self.gate_weight, self.gate_bias = _parameter(gate_weight), _parameter(gate_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias) * _BiasGelu.apply(F.linear(x, self.gate_weight), self.gate_bias)


class _FastGeluProjection(torch.nn.Module):
    """A projection and the approximate GELU."""

    def __init__(self, projection: GELU):
        super().__init__()
        self.weight, self.bias = projection.proj.weight, projection.proj.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _FastGelu.apply(F.linear(x, self.weight), self.bias)


def _move_bias(source: torch.nn.Conv2d, target: torch.nn.Module) -> None:
    target.bias = _parameter(target.bias + source.bias)
    source.bias = None


def _parameter(value: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(value, requires_grad=False)
