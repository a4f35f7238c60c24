# SPDX-License-Identifier: Apache-2.0
"""The modules that are exported, each with flat tensor inputs and outputs, and their weights' storage."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel, UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from transformers import T5EncoderModel

from .attention import FusedAttention, JointAttention, TokenWeights, mean_map, narrow, widen
from .fusion import fuse_transformer, fuse_unet


class PlainAttention:
    """Attention written out, so that it exports as MatMul, Softmax, MatMul.

    Where ``weights`` is given (cross-attention of the up blocks), a side branch keeps the map
    ``mean over heads of sum_j softmax(QK'/sqrt(d))[:, :, j] * token_weights[:, j]`` of the last call.
    """

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
        query, key, value = (
            part.unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for part in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        scores = torch.matmul(query * attn.scale, key.transpose(2, 3)).softmax(-1)
        if self._weights is not None:
            self.map = torch.matmul(scores, self._weights.value[:, None, :, None]).squeeze(3).mean(1)
        output = torch.matmul(scores, value).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](output)) / attn.rescale_output_factor


class Denoiser(torch.nn.Module):
    """A UNet with one attention map per up block that has cross-attention."""

    def __init__(self, unet: UNet2DConditionModel, fused: bool = False):
        super().__init__()
        self.unet = unet
        self._fused = fused
        attention = FusedAttention if fused else PlainAttention
        self.text_time = unet.config.addition_embed_type == "text_time"
        #: width of the embedded guidance scale that a network distilled to it takes (LCM); None: it takes none
        self.guidance_width = unet.config.time_cond_proj_dim
        #: channels that a network for inpainting takes beside the latents, a mask and the latents of the masked picture; 0: it takes none
        self.inpaint_channels = unet.config.in_channels - unet.config.out_channels
        self._weights = TokenWeights()
        levels = len(unet.config.block_out_channels)
        self._processors: dict[int, list[PlainAttention | FusedAttention]] = {}
        processors: dict[str, PlainAttention | FusedAttention] = {}
        for name in unet.attn_processors:
            parts = name.split(".")
            if parts[0] == "up_blocks" and parts[-2] == "attn2":
                processor = attention(self._weights)
                self._processors.setdefault(int(parts[1]), []).append(processor)
            else:
                processor = attention()
            processors[name] = processor
        unet.set_attn_processor(processors)
        if fused:
            fuse_unet(unet)
        #: (up block, latent size / map size), in the order of the outputs
        self.blocks = [(block, 2 ** (levels - 1 - block)) for block in sorted(self._processors)]

    def time_ids(self, pooled: int) -> int:
        """Numbers in a row of time_ids, which it takes beside ``pooled`` values of text; 0: it takes none."""
        config = self.unet.config
        return (config.projection_class_embeddings_input_dim - pooled) // config.addition_time_embed_dim if self.text_time else 0

    @property
    def input_names(self) -> list[str]:
        extra = ["text_embeds", "time_ids"] if self.text_time else []
        guidance = ["timestep_cond"] if self.guidance_width else []
        inpaint = ["inpaint"] if self.inpaint_channels else []
        return ["sample", "timestep", "encoder_hidden_states", *extra, *guidance, *inpaint, "token_weights"]

    @property
    def output_names(self) -> list[str]:
        return ["noise", *(f"mask_up{block}" for block, _ in self.blocks)]

    def forward(self, sample, timestep, encoder_hidden_states, *rest):
        *extra, token_weights = rest
        self._weights.set(token_weights)
        if self.inpaint_channels:
            sample = torch.cat([sample, extra.pop()], 1)
        added = {"text_embeds": extra[0], "time_ids": extra[1]} if self.text_time else None
        own, states = narrow(self.unet, sample, encoder_hidden_states)
        guidance = narrow(self.unet, extra[-1])[0] if self.guidance_width else None
        noise = widen(self.unet(own, timestep, states, timestep_cond=guidance, added_cond_kwargs=added, return_dict=False)[0])
        maps = []
        for block, scale in self.blocks:
            layers: list[Any] = [layer.map for layer in self._processors[block]]
            mean = mean_map(layers) if self._fused else sum(layers) / len(layers)
            maps.append(mean.reshape(-1, sample.shape[2] // scale, sample.shape[3] // scale))
        return (noise, *maps)


class JointDenoiser(torch.nn.Module):
    """The transformer of SD3 and SD3.5, with one attention map for each third of its joint blocks."""

    input_names = ["sample", "timestep", "encoder_hidden_states", "text_embeds", "token_weights"]
    guidance_width = None
    inpaint_channels = 0
    groups = 3

    def __init__(self, transformer: SD3Transformer2DModel):
        super().__init__()
        self.transformer = transformer
        self.patch = transformer.config.patch_size
        self._weights = TokenWeights()
        layers = len(transformer.transformer_blocks)
        self._processors = [JointAttention(self._weights) for _ in range(layers)]
        for block, processor in zip(transformer.transformer_blocks, self._processors):
            block.attn.set_processor(processor)
            if block.attn2 is not None:
                block.attn2.set_processor(FusedAttention())
        fuse_transformer(transformer)
        cuts = [layers * group // self.groups for group in range(self.groups + 1)]
        #: (first layer, one past the last) of each group
        self.ranges = list(zip(cuts, cuts[1:]))

    def time_ids(self, pooled: int) -> int:
        """It takes none."""
        return 0

    @property
    def output_names(self) -> list[str]:
        return ["noise", *(f"mask_joint{group}" for group in range(self.groups))]

    def forward(self, sample, timestep, encoder_hidden_states, text_embeds, token_weights):
        self._weights.set(token_weights)
        own, states, pooled = narrow(self.transformer, sample, encoder_hidden_states, text_embeds)
        velocity = widen(self.transformer(own, states, pooled, timestep, return_dict=False)[0])
        maps = []
        for first, end in self.ranges:
            mean = mean_map([layer.map for layer in self._processors[first:end]])
            maps.append(mean.reshape(-1, sample.shape[2] // self.patch, sample.shape[3] // self.patch))
        return (velocity, *maps)


class TextEncoder(torch.nn.Module):
    """A CLIP text model: hidden states and, if it projects, the pooled embedding."""

    def __init__(self, model: torch.nn.Module, penultimate: bool):
        super().__init__()
        self.model = model
        self.penultimate = penultimate
        self.pools = hasattr(model, "text_projection")

    @property
    def output_names(self) -> list[str]:
        hidden = "penultimate_hidden_state" if self.penultimate else "last_hidden_state"
        return [hidden, "text_embeds"] if self.pools else [hidden]

    def forward(self, input_ids):
        output = self.model(input_ids, output_hidden_states=self.penultimate)
        hidden = output.hidden_states[-2] if self.penultimate else output.last_hidden_state
        return (widen(hidden), widen(output.text_embeds)) if self.pools else widen(hidden)


class T5TextEncoder(torch.nn.Module):
    """A T5 encoder, over all tokens, padding too, as SD3 was trained."""

    output_names = ["last_hidden_state"]
    pools = False

    def __init__(self, model: T5EncoderModel):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return widen(self.model(input_ids).last_hidden_state)


class VaeDecoder(torch.nn.Module):
    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, latents):
        return widen(self.vae.decode(*narrow(self.vae, latents), return_dict=False)[0])


class VaeEncoder(torch.nn.Module):
    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, image):
        return widen(self.vae.encode(*narrow(self.vae, image), return_dict=False)[0].mean)
