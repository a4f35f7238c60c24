# SPDX-License-Identifier: Apache-2.0
"""Attention processors that export as ONNX Runtime's own operator, with the attention maps beside it.

``com.microsoft::MultiHeadAttention`` has kernels on the CPU and, with flash attention, on CUDA. Exported as that, no pattern has to
be found by an optimiser afterwards. A map is the same operator once more: with the tokens' weights as the values of every channel it keeps no
scores either.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention


class TokenWeights:
    """Carries the graph input ``token_weights`` [B, T] to the attention processors."""

    value: torch.Tensor

    def set(self, value: torch.Tensor) -> None:
        self.value = value
        self._columns: dict[tuple[int, torch.dtype], torch.Tensor] = {}

    def columns_like(self, key: torch.Tensor) -> torch.Tensor:
        """[B, T, C] as ``key`` is: the weights in every channel, expanded once for all layers of this width."""
        kind = int(key.shape[2]), key.dtype  # while tracing, an extent is a tensor
        if kind not in self._columns:
            value = self.value if key.dtype == self.value.dtype else self.value.to(key.dtype)
            self._columns[kind] = value[:, :, None].expand_as(key)
        return self._columns[kind]


class _MultiHeadAttention(torch.autograd.Function):
    """softmax(QK'/sqrt(d))V of [B, T, heads*d] tensors."""

    @staticmethod
    def forward(ctx, query, key, value, heads):
        query, key, value = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(g, query, key, value, heads):
        output = g.op("com.microsoft::MultiHeadAttention", query, key, value, num_heads_i=heads)
        # Of a reshaped query nothing is known, and for a result of which nothing is known the tracer takes the example's extents.
        output.setType(next(x.type() for x in (query, value, key) if x.type().dim() is not None))
        return output


def narrow(model: torch.nn.Module, *tensors: torch.Tensor) -> list[torch.Tensor]:
    """float32 inputs of a graph in the precision of the network."""
    return [x if model.dtype == torch.float32 else x.to(model.dtype) for x in tensors]


def widen(tensor: torch.Tensor) -> torch.Tensor:
    """In float32; what is that already stays itself, where .float() would trace a Cast."""
    return tensor if tensor.dtype == torch.float32 else tensor.float()


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int) -> torch.Tensor:
    """Attention of [B, T, heads*d]."""
    return _MultiHeadAttention.apply(query, key, value, heads)


def attention_map(query: torch.Tensor, key: torch.Tensor, heads: int, weights: TokenWeights) -> torch.Tensor:
    """[B, queries, 1]: mean over heads of sum_j softmax(QK'/sqrt(d))[:, :, j] * token_weights[:, j].

    ``query`` [B, queries, heads*d] and ``key`` [B, T, heads*d]. All channels of a head say the same.
    """
    return attend(query, key, weights.columns_like(key), heads).mean(2, keepdim=True)


def mean_map(maps: list[torch.Tensor]) -> torch.Tensor:
    """[B, queries]: the mean of several layers' maps, in float32."""
    return widen(torch.cat(maps, 2)).mean(2)


def _normalised(norm: torch.nn.Module | None, x: torch.Tensor, heads: int) -> torch.Tensor:
    """Queries or keys [B, T, heads*d], each head divided by its root mean square, as SD3.5's are; without ``norm``: as they are.

    Written so that ONNX Runtime makes one operator of it, SimplifiedLayerNormalization.
    """
    if norm is None:
        return x
    channels = norm.weight.shape[0]
    own = widen(x.reshape(x.shape[0], -1, heads, channels))
    scaled = own / torch.sqrt(own.pow(2).mean(-1, keepdim=True) + norm.eps)
    return ((scaled if x.dtype == scaled.dtype else scaled.to(x.dtype)) * norm.weight).reshape(x.shape[0], -1, heads * channels)


class FusedAttention:
    """Self- and cross-attention of a UNet or over SD3.5's image tokens; keeps the map of its last call where ``weights`` is given."""

    def __init__(self, weights: TokenWeights | None = None):
        self._weights = weights
        self.map: torch.Tensor | None = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        **kwargs: object,
    ) -> torch.Tensor:
        if attention_mask is not None or hidden_states.ndim != 3:
            raise ValueError("only unmasked attention over tokens can be exported")
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context)
        query, key = _normalised(attn.norm_q, query, attn.heads), _normalised(attn.norm_k, key, attn.heads)
        if attn.upcast_attention:
            query, key, value = widen(query), widen(key), widen(value)
        if self._weights is not None:
            self.map = attention_map(query, key, attn.heads, self._weights)
        output = attend(query, key, value, attn.heads)
        return attn.to_out[0](output if output.dtype == hidden_states.dtype else output.to(hidden_states.dtype))


class CellAttention:
    """An autoencoder's attention over the cells of [B, C, h, w]: as one operator it keeps no scores of all pairs, (h*w)^2 values."""

    def __call__(self, attn: Attention, hidden_states: torch.Tensor, temb: torch.Tensor | None = None, **kwargs: object) -> torch.Tensor:
        cells = attn.group_norm(hidden_states.flatten(2)).transpose(1, 2)
        output = attend(attn.to_q(cells), attn.to_k(cells), attn.to_v(cells), attn.heads)
        output = attn.to_out[1](attn.to_out[0](output)).transpose(1, 2).reshape(hidden_states.shape)
        return (hidden_states + output) / attn.rescale_output_factor


class JointAttention:
    """SD3's attention over image and text tokens together, image first.

    The map's scores are those of image queries and text keys alone, so its softmax is over the text: the full one would
    cost 24 * 4096 * 4429 values a layer.
    """

    def __init__(self, weights: TokenWeights):
        self._weights = weights
        self.map: torch.Tensor | None = None

    def __call__(
        self, attn: Attention, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = hidden_states.shape[1]
        query, key, value = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        query, key = _normalised(attn.norm_q, query, attn.heads), _normalised(attn.norm_k, key, attn.heads)
        text_query = _normalised(attn.norm_added_q, attn.add_q_proj(encoder_hidden_states), attn.heads)
        text_key = _normalised(attn.norm_added_k, attn.add_k_proj(encoder_hidden_states), attn.heads)
        self.map = attention_map(query, text_key, attn.heads, self._weights)
        joint = attend(
            torch.cat([query, text_query], 1),
            torch.cat([key, text_key], 1),
            torch.cat([value, attn.add_v_proj(encoder_hidden_states)], 1),
            attn.heads,
        )
        image, text = joint[:, :tokens], joint[:, tokens:]
        if not attn.context_pre_only:
            text = attn.to_add_out(text)
        return attn.to_out[1](attn.to_out[0](image)), text
