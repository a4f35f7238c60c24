# SPDX-License-Identifier: Apache-2.0
"""LoRA files merged into the weights they were trained for: W' = W + weight * (alpha / rank) * up @ down (arXiv 2106.09685).

A file is read and matched with the checkpoint's layers by names and shapes alone, before anything is loaded.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from . import lora_names
from .errors import ExportError
from .families import MADE_FOR
from .weights import header

#: names that diffusers' metadata has for the parts
_SETTINGS = {"denoiser": ("unet", "transformer"), "text_encoder": ("text_encoder",), "text_encoder_2": ("text_encoder_2",), "text_encoder_3": ("text_encoder_3",)}


@dataclass(frozen=True)
class Layer:
    """A weight of a network: its name there, and its rows and columns, those of a convolution's kernel among them."""

    name: str
    rows: int
    columns: int


@dataclass(frozen=True)
class _Change:
    """A low-rank change of one module: the keys of its matrices in the file, and the size and the factor of their product."""

    up: str
    down: str
    rows: int
    columns: int
    scale: float


@dataclass(frozen=True)
class Lora:
    """One file: changes by part of the checkpoint and by the module's name with _ for every dot."""

    file: Path
    weight: float
    changes: dict[str, dict[str, _Change]]

    @staticmethod
    def read(text: str) -> Lora:
        """From FILE:WEIGHT; without a weight, 1."""
        name, _, number = text.rpartition(":")
        try:
            file, weight = (Path(name), float(number)) if name else (Path(text), 1.0)
        except ValueError:
            file, weight = Path(text), 1.0
        if not file.is_file():
            raise ExportError(f"LoRA {file} is no file; give --lora FILE.safetensors:WEIGHT")
        if not math.isfinite(weight):
            raise ExportError(f"LoRA {file}: the weight is {weight}; give a number, as in --lora {file}:0.8")
        try:
            entries = header(file)
        except ExportError as error:
            raise ExportError(f"LoRA {error}") from error
        metadata = entries.pop("__metadata__", {})
        modules: dict[tuple[str, str], dict[str, str]] = {}
        for key in entries:
            parsed = lora_names.parse(key)
            if parsed is None:
                raise _not_plain(file, key)
            other = modules.setdefault((parsed.part, parsed.module), {}).setdefault(parsed.role, key)
            if other != key:
                raise ExportError(f"LoRA {file}: {other} and {key} are the same change of one layer")
        if not modules:
            raise ExportError(f"LoRA {file} holds no weights")
        settings = _Settings.of(file, metadata, bare=any(key.startswith("base_model.") for key in entries))
        alphas = _alphas(file, [keys["alpha"] for keys in modules.values() if "alpha" in keys])
        changes: dict[str, dict[str, _Change]] = {}
        for (part, module), keys in modules.items():
            if "up" not in keys or "down" not in keys:
                raise ExportError(f"LoRA {file}: {next(iter(keys.values()))} has only one of its two matrices; the file is incomplete: download it again")
            if settings.says(part, "use_dora"):
                raise ExportError(f"LoRA {file} says that it is DoRA (use_dora), but has no lora_magnitude_vector for {keys['up']}: the file is incomplete")
            up, down = entries[keys["up"]]["shape"], entries[keys["down"]]["shape"]
            rank = down[0] if down else 0
            if not up or math.prod(up[1:]) != rank or not math.prod(up) or not math.prod(down):
                raise ExportError(f"LoRA {file}: {keys['up']} {up} and {keys['down']} {down} are not of one rank: the file is damaged")
            scale = alphas[keys["alpha"]] / rank if "alpha" in keys else settings.scale(part, module, rank)
            changes.setdefault(part, {})[module] = _Change(keys["up"], keys["down"], up[0], math.prod(down[1:]), scale)
        return Lora(file, weight, changes)

    def require_fits(self, part: str, layers: Mapping[str, Layer], model: str) -> None:
        """Refuses a file with changes of layers that the part does not have, or of another size. ``layers``: see :func:`layers_of`."""
        for _ in self._matched(part, layers, model):
            pass

    def _matched(self, part: str, layers: Mapping[str, Layer], model: str) -> Iterator[tuple[str, _Change, list[Layer]]]:
        changes = self.changes.get(part, {})
        found = {
            module: next(([layers[name] for name in names] for names in lora_names.candidates(module) if all(name in layers for name in names)), None)
            for module in changes
        }
        unknown = [module for module, targets in found.items() if targets is None]
        if unknown:
            first = changes[unknown[0]]
            raise ExportError(
                f"LoRA {self.file} changes {len(unknown)} of {len(changes)} layers that the {part} of {model} does not have, as {first.down}{self._advice()}"
            )
        for module, change in changes.items():
            targets = found[module]
            assert targets is not None  # as none is unknown
            rows, columns = sum(layer.rows for layer in targets), targets[0].columns
            if (change.rows, change.columns) != (rows, columns):
                raise ExportError(
                    f"LoRA {self.file}: {change.down} changes a weight of {change.rows} x {change.columns}, but that of {model} is {rows} x {columns}{self._advice()}"
                )
            yield module, change, targets

    def _advice(self) -> str:
        for module, change in self.changes.get("denoiser", {}).items():
            if re.search(r"attn2_to_[kv]$", module) and change.columns in MADE_FOR:
                return f": it was made for {MADE_FOR[change.columns]}"
        return ": it was made for another model, or by a trainer of another kind"

    def merge(self, part: str, model: torch.nn.Module) -> None:
        """Adds the changes of a part to its network."""
        layers = layers_of(model)
        with safe_open(self.file, "pt") as content, torch.no_grad():
            for module, change, targets in self._matched(part, layers, "the checkpoint"):
                up, down = (content.get_tensor(key).float().flatten(1) for key in (change.up, change.down))
                if lora_names.halves_are_swapped(module, targets[0].name.replace(".", "_"), change.rows, change.columns):
                    up = torch.cat(up.chunk(2)[::-1])
                delta = change.scale * (up @ down)
                for layer, rows in zip(targets, delta.split([layer.rows for layer in targets])):
                    weight = model.get_submodule(layer.name).weight
                    assert isinstance(weight, torch.Tensor)
                    weight.copy_((weight.float() + self.weight * rows.reshape(weight.shape)).to(weight.dtype))


def layers_of(model: torch.nn.Module) -> dict[str, Layer]:
    """The layers with a weight, by their names with _ for every dot; those of a text encoder without text_model."""
    return {
        name.removeprefix("text_model.").replace(".", "_"): Layer(name, module.weight.shape[0], math.prod(module.weight.shape[1:]))
        for name, module in model.named_modules()
        if isinstance(getattr(module, "weight", None), torch.Tensor)
    }


def _not_plain(file: Path, key: str) -> ExportError:
    form = lora_names.engines_form(key)
    if form is None:
        return ExportError(f"LoRA {file} holds {key}: {lora_names.other_form(key)}")
    return ExportError(
        f"LoRA {file} holds {key}: {form}. The exporter merges plain LoRA alone; the engine merges this one when it draws:"
        f" asg generate --model FILE.safetensors --lora {file}"
    )


def _alphas(file: Path, keys: list[str]) -> dict[str, float]:
    with safe_open(file, "pt") as content:
        return {key: float(content.get_tensor(key).flatten()[0]) for key in keys}


@dataclass(frozen=True)
class _Settings:
    """What PEFT was trained with: ``lora_adapter_metadata`` of a file's header, or ``adapter_config.json`` beside a file of PEFT's own."""

    file: Path
    values: dict[str, Any]

    @staticmethod
    def of(file: Path, metadata: Mapping[str, str], bare: bool) -> _Settings:
        """``bare``: the file's names are PEFT's own, so that its settings lie beside it."""
        text, where = metadata.get("lora_adapter_metadata"), "lora_adapter_metadata of its header"
        beside = file.with_name("adapter_config.json")
        try:
            if text is None and bare and beside.is_file():
                text, where = beside.read_text(encoding="utf-8"), str(beside)
            values = {} if text is None else json.loads(text)
            if not isinstance(values, dict):
                raise ValueError("it is no JSON object")
        except ValueError as error:
            raise ExportError(f"LoRA {file}: {where} cannot be read, so that its strength is not known ({error}): download it again") from error
        return _Settings(file, values)

    def says(self, part: str, option: str) -> bool:
        return self._get(part, option) is True

    def scale(self, part: str, module: str, rank: int) -> float:
        """What a change without an alpha of its own is multiplied by."""
        alpha = self._pattern(part, module)
        if alpha is None:
            alpha = self._get(part, "lora_alpha")
        if not _is_number(alpha):
            return 1.0
        return alpha / (math.sqrt(rank) if self.says(part, "use_rslora") else rank)

    def _get(self, part: str, option: str) -> Any:
        """diffusers has the part's name before the option's; PEFT's own files have none."""
        named = [f"{name}.{option}" for name in _SETTINGS[part]]
        plain = [option] if "lora_alpha" in self.values else []
        return next((self.values[key] for key in (*named, *plain) if key in self.values), None)

    def _pattern(self, part: str, module: str) -> Any:
        patterns = self._get(part, "alpha_pattern") or {}
        for layer, alpha in patterns.items():
            if not re.fullmatch(r"[A-Za-z0-9_.]+", layer):
                raise ExportError(f"LoRA {self.file}: alpha_pattern {layer} is not the name of a layer, which is not supported: merge the file with PEFT")
            end = layer.replace(".", "_").removeprefix("text_model_")
            if _is_number(alpha) and (module == end or module.endswith("_" + end)):
                return alpha
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
