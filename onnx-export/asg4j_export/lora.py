# SPDX-License-Identifier: Apache-2.0
"""LoRA files merged into the weights they were trained for: W' = W + weight * (alpha / rank) * up @ down (arXiv 2106.09685).

Both layouts in use are read: kohya's (``lora_unet_down_blocks_0_..._to_q.lora_down.weight``, SDXL also with the blocks' original
names) and that of diffusers and PEFT (``unet.down_blocks.0....to_q.lora_A.weight``).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from .errors import ExportError

_KOHYA = {
    "lora_unet": "denoiser", "lora_transformer": "denoiser", "lora_te": "text_encoder", "lora_te1": "text_encoder",
    "lora_te2": "text_encoder_2", "lora_te3": "text_encoder_3",
}
_PEFT = {
    "unet": "denoiser", "transformer": "denoiser", "text_encoder": "text_encoder", "text_encoder_2": "text_encoder_2",
    "text_encoder_3": "text_encoder_3",
}
_ROLES = {
    ".lora_down.weight": "down", ".lora_A.weight": "down", ".lora.down.weight": "down", "_lora.down.weight": "down",
    ".lora_up.weight": "up", ".lora_B.weight": "up", ".lora.up.weight": "up", "_lora.up.weight": "up", ".alpha": "alpha",
}


@dataclass
class _Change:
    """A low-rank change of one weight."""

    down: torch.Tensor | None = None
    up: torch.Tensor | None = None
    alpha: float | None = None

    def delta(self) -> torch.Tensor:
        """In the shape of the weight, of a linear layer or a convolution."""
        assert self.down is not None and self.up is not None  # Lora.read has looked
        down, up = self.down.float(), self.up.float()
        rank = down.shape[0]
        scale = 1.0 if self.alpha is None else self.alpha / rank
        return scale * (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])


@dataclass
class Lora:
    """One file: changes by part of the checkpoint and by the module's name with _ for every dot."""

    file: Path
    weight: float
    changes: dict[str, dict[str, _Change]] = field(default_factory=dict)

    @staticmethod
    def read(text: str) -> Lora:
        """From FILE:WEIGHT; without a weight, 1."""
        name, _, weight = text.rpartition(":")
        try:
            lora = Lora(Path(name), float(weight)) if name else Lora(Path(text), 1.0)
        except ValueError:
            lora = Lora(Path(text), 1.0)
        if not lora.file.is_file():
            raise ExportError(f"LoRA {lora.file} is no file; give --lora FILE.safetensors:WEIGHT")
        try:
            with safe_open(lora.file, "pt") as content:
                alphas = _metadata_alphas(content.metadata() or {})
                for key in content.keys():
                    lora._add(key, content.get_tensor(key))
        except SafetensorError as error:
            raise ExportError(f"LoRA {lora.file} is not a safetensors file: {error}") from error
        if not lora.changes:
            raise ExportError(f"LoRA {lora.file} holds no weights")
        for part, changes in lora.changes.items():
            for module, change in changes.items():
                if change.down is None or change.up is None:
                    raise ExportError(f"LoRA {lora.file}: {part} {module} has only one of its two matrices")
                if change.alpha is None:
                    change.alpha = alphas.get(part)
        return lora

    def _add(self, key: str, value: torch.Tensor) -> None:
        suffix = next((s for s in _ROLES if key.endswith(s)), None)
        if suffix is None:
            raise ExportError(
                f"LoRA {self.file}: {key} is not understood; only plain LoRA can be merged (no LoHa, LoKr, DoRA or embeddings)"
            )
        path = key.removesuffix(suffix)
        if path.startswith("lora_"):
            prefix = next(p for p in (path.split("_", 2)[0] + "_" + path.split("_", 2)[1],))
            part, module = _KOHYA.get(prefix), path.removeprefix(prefix + "_")
        else:
            prefix, _, module = path.partition(".")
            part, module = _PEFT.get(prefix), module.replace(".processor.", ".").replace(".", "_")
        if part is None:
            raise ExportError(f"LoRA {self.file}: {key} belongs to no known part; known are {', '.join((*_KOHYA, *_PEFT))}")
        module = _from_original(module) if part == "denoiser" else module.removeprefix("text_model_")
        change = self.changes.setdefault(part, {}).setdefault(module, _Change())
        role = _ROLES[suffix]
        setattr(change, role, float(value) if role == "alpha" else value)


def merge(loras: list[Lora], part: str, model: torch.nn.Module) -> None:
    """Adds what the files change in this part; every change has to find its weight."""
    modules = {name.removeprefix("text_model.").replace(".", "_"): m for name, m in model.named_modules() if hasattr(m, "weight")}
    for lora in loras:
        for name, change in lora.changes.get(part, {}).items():
            # Older files have the attention's output projection as to_out, now the first of two.
            module = modules.get(name) or modules.get(name + "_0")
            if module is None:
                raise ExportError(f"LoRA {lora.file}: {part} has no module {name}; the file was made for another model")
            weight, delta = module.weight, change.delta()
            if delta.numel() != weight.numel():
                raise ExportError(
                    f"LoRA {lora.file}: {part} {name} changes a weight of {tuple(delta.shape)}, the checkpoint's has {tuple(weight.shape)}"
                )
            with torch.no_grad():
                weight.copy_((weight.float() + lora.weight * delta.reshape(weight.shape)).to(weight.dtype))


def _metadata_alphas(metadata: dict[str, str]) -> dict[str, float]:
    """PEFT's alpha by part, as diffusers writes it into the file's header; every rank of a part shares it."""
    text = metadata.get("lora_adapter_metadata")
    if text is None:
        return {}
    entries = json.loads(text)
    return {part: float(entries[f"{prefix}.lora_alpha"]) for prefix, part in _PEFT.items() if f"{prefix}.lora_alpha" in entries}


_RESNET = {"in_layers_0": "norm1", "in_layers_2": "conv1", "emb_layers_1": "time_emb_proj", "out_layers_0": "norm2", "out_layers_3": "conv2", "skip_connection": "conv_shortcut"}
_LAYERS = 2  # resnets a level of every published UNet


def _from_original(module: str) -> str:
    """diffusers' name of a UNet module with Stability's; other names as they are."""
    match = re.fullmatch(r"(input|output)_blocks_(\d+)_(\d+)_(.*)|middle_block_(\d+)_(.*)", module)
    if match is None:
        return module
    side, number, place, rest, middle, middle_rest = match.groups()
    if side is None:
        kind = "attentions_0" if middle == "1" else f"resnets_{int(middle) // 2}"
        return f"mid_block_{kind}_{_resnet(middle_rest) if middle != '1' else middle_rest}"
    if side == "input":
        level, layer = divmod(int(number) - 1, _LAYERS + 1)
        if layer == _LAYERS:
            return f"down_blocks_{level}_downsamplers_0_{rest.replace('op', 'conv')}"
        blocks = f"down_blocks_{level}"
    else:
        level, layer = divmod(int(number), _LAYERS + 1)
        blocks = f"up_blocks_{level}"
        if rest == "conv":
            return f"{blocks}_upsamplers_0_conv"
    return f"{blocks}_attentions_{layer}_{rest}" if place == "1" else f"{blocks}_resnets_{layer}_{_resnet(rest)}"


def _resnet(rest: str) -> str:
    return _RESNET.get(rest, rest)
