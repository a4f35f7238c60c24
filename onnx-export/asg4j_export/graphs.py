"""The modules that are exported, each with flat tensor inputs and outputs, and their weights' storage."""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path

import numpy as np
import onnx
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from onnx import TensorProto, helper, numpy_helper


class PlainAttention:
    """Attention written out, so that it exports as MatMul, Softmax, MatMul.

    Where ``weights`` is given (cross-attention of the up blocks), a side branch keeps the map
    ``mean over heads of sum_j softmax(QK'/sqrt(d))[:, :, j] * token_weights[:, j]`` of the last call.
    """

    def __init__(self, weights: "TokenWeights | None" = None):
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


class TokenWeights:
    """Carries the graph input ``token_weights`` to the attention processors."""

    value: torch.Tensor


class Denoiser(torch.nn.Module):
    """A UNet with one attention map per up block that has cross-attention."""

    def __init__(self, unet: UNet2DConditionModel):
        super().__init__()
        self.unet = unet
        self.text_time = unet.config.addition_embed_type == "text_time"
        self._weights = TokenWeights()
        levels = len(unet.config.block_out_channels)
        self._processors: dict[int, list[PlainAttention]] = {}
        processors: dict[str, PlainAttention] = {}
        for name in unet.attn_processors:
            parts = name.split(".")
            if parts[0] == "up_blocks" and parts[-2] == "attn2":
                processor = PlainAttention(self._weights)
                self._processors.setdefault(int(parts[1]), []).append(processor)
            else:
                processor = PlainAttention()
            processors[name] = processor
        unet.set_attn_processor(processors)
        #: (up block, latent size / map size), in the order of the outputs
        self.blocks = [(block, 2 ** (levels - 1 - block)) for block in sorted(self._processors)]

    @property
    def input_names(self) -> list[str]:
        extra = ["text_embeds", "time_ids"] if self.text_time else []
        return ["sample", "timestep", "encoder_hidden_states", *extra, "token_weights"]

    @property
    def output_names(self) -> list[str]:
        return ["noise", *(f"mask_up{block}" for block, _ in self.blocks)]

    def forward(self, sample, timestep, encoder_hidden_states, *rest):
        *extra, token_weights = rest
        self._weights.value = token_weights
        added = {"text_embeds": extra[0], "time_ids": extra[1]} if self.text_time else None
        noise = self.unet(sample, timestep, encoder_hidden_states, added_cond_kwargs=added, return_dict=False)[0]
        maps = []
        for block, scale in self.blocks:
            layers = self._processors[block]
            mean = sum(layer.map for layer in layers) / len(layers)
            maps.append(mean.reshape(-1, sample.shape[2] // scale, sample.shape[3] // scale))
        return (noise, *maps)


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
        return (hidden, output.text_embeds) if self.pools else hidden


class VaeDecoder(torch.nn.Module):
    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, latents):
        return self.vae.decode(latents, return_dict=False)[0]


class VaeEncoder(torch.nn.Module):
    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, image):
        return self.vae.encode(image, return_dict=False)[0].mean


def halve_storage(model: onnx.ModelProto, smallest: int = 256) -> None:
    """Stores every weight that half precision holds exactly as fp16 behind a Cast, which loading folds away.

    Nothing is rounded: a checkpoint in fp16 gives bit-equal fp32 weights at half the size.
    """
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        value = numpy_helper.to_array(tensor)
        if value.size < smallest:
            continue
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), value):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, name + ".fp16"))
        casts.append(helper.make_node("Cast", [name + ".fp16"], [name], name=name + ".cast", to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)


def share_storage(model: onnx.ModelProto, other: Path, smallest: int = 256) -> None:
    """Takes every weight of ``model`` that the ONNX file ``other`` holds from there, as external data, instead of storing it.

    ONNX's external data is any run of bytes of any file beside the graph: here that of the weight inside ``other``.
    """
    places = _weights(other)
    for tensor in model.graph.initializer:
        place = places.get(hashlib.sha256(tensor.raw_data).digest())
        if place is None or len(tensor.raw_data) < smallest:
            continue
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in zip(("location", "offset", "length"), place):
            tensor.external_data.add(key=key, value=str(value))


def _weights(path: Path) -> dict[bytes, tuple[str, int, int]]:
    """Where the weights of a graph lie: by the SHA-256 of their bytes the file, and offset and length in it."""
    places = {}
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = 0
        for tensor in onnx.load(path, load_external_data=False).graph.initializer:
            raw = tensor.raw_data
            if raw:
                offset = content.find(raw, end)  # tensors are written one after the other
                end = offset + len(raw)
                places.setdefault(hashlib.sha256(raw).digest(), (path.name, offset, len(raw)))
    return places
