# SPDX-License-Identifier: Apache-2.0
"""A checkpoint in diffusers' layout: which family it is, and its parts loaded one by one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    LatentConsistencyModelPipeline,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import AutoTokenizer, CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel

from .errors import ExportError
from .families import Family, Sd3Family, TextPlan, UNetFamily, complete
from .lora import Layer, Lora, layers_of
from .schedulers import is_replaced, manifest_entry
from .weights import PRECISIONS, Weights

#: pipelines whose attention is exported as ONNX Runtime's operator, and the class that reads their single files. Those for other tasks
#: are there for folders whose denoiser is a plain one; a denoiser with further inputs is refused by its configuration
PIPELINES = {
    "StableDiffusionPipeline": StableDiffusionPipeline,
    "StableDiffusionXLPipeline": StableDiffusionXLPipeline,
    "StableDiffusion3Pipeline": StableDiffusion3Pipeline,
    "LatentConsistencyModelPipeline": LatentConsistencyModelPipeline,
    "StableDiffusionImg2ImgPipeline": StableDiffusionPipeline,
    "StableDiffusionInpaintPipeline": StableDiffusionPipeline,
    "StableDiffusionInstructPix2PixPipeline": StableDiffusionPipeline,
    "StableDiffusionDepth2ImgPipeline": StableDiffusionPipeline,
    "StableDiffusionUpscalePipeline": StableDiffusionPipeline,
    "StableDiffusionXLImg2ImgPipeline": StableDiffusionXLPipeline,
    "StableDiffusionXLInpaintPipeline": StableDiffusionXLPipeline,
}
_PLAIN = ("StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline", "LatentConsistencyModelPipeline")
#: what the demo model's index says, and an index that says nothing: attention is exported plainly
_GENERIC = "DiffusionPipeline"

_MODELS = {
    model.__name__: model
    for model in (UNet2DConditionModel, SD3Transformer2DModel, AutoencoderKL, CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel)
}


@dataclass(frozen=True)
class Checkpoint:
    """A folder with model_index.json; ``vae_folder`` replaces its autoencoder."""

    folder: Path
    index: dict[str, Any]
    precision: str
    loras: tuple[Lora, ...] = ()
    vae_folder: Path | None = None

    @staticmethod
    def open(folder: Path, precision: str = "fp32", loras: tuple[Lora, ...] = (), vae_folder: Path | None = None) -> Checkpoint:
        checkpoint = Checkpoint.configured(folder, precision, loras, vae_folder)
        checkpoint.require_weights()
        return checkpoint

    @staticmethod
    def configured(folder: Path, precision: str = "fp32", loras: tuple[Lora, ...] = (), vae_folder: Path | None = None) -> Checkpoint:
        """By its configurations alone: refuses at once what would otherwise be missed after minutes. Weights need not be there."""
        index = read_json(folder / "model_index.json")
        pipeline = index.get("_class_name", _GENERIC)
        if pipeline not in (*PIPELINES, _GENERIC):
            raise ExportError(f"{folder} is a {pipeline}; known are {', '.join(_PLAIN)}")
        if vae_folder is not None and not (vae_folder / "config.json").is_file():
            vae_folder = vae_folder / "vae"
        checkpoint = Checkpoint(folder, index, precision, loras, vae_folder)
        checkpoint._require_configurations()
        checkpoint._require_loras()
        return checkpoint

    def _require_configurations(self) -> None:
        for part in (self.family.part, "vae", "scheduler", *self.encoders, *self._tokenizers):
            if not self.path(part).is_dir():
                raise ExportError(f"{self.path(part)} is missing: not a whole diffusers checkpoint")
        if not self.encoders:
            raise ExportError(f"{self.folder} has no text encoder: model_index.json names none under text_encoder")
        for part in self._networks:
            self._class(part)
        if self.vae_folder is not None:
            self._require_same_latents()
        vae = complete(AutoencoderKL, self.config("vae"))
        for option in ("latents_mean", "latents_std"):
            if vae[option] is not None:
                raise ExportError(f"{self.path('vae')} has {option}: latents with a mean or a spread for each channel are not supported")
        self.family.require_known(vae)
        self.text()
        self.scheduler()

    def _require_loras(self) -> None:
        for lora in self.loras:
            for part in lora.changes:
                own = self.family.part if part == "denoiser" else part
                if own not in self._networks:
                    raise ExportError(f"LoRA {lora.file} changes {part}, which {self.folder} does not have")
                lora.require_fits(part, self._layers(own), str(self.folder))

    def _layers(self, part: str) -> dict[str, Layer]:
        """By the part's configuration: a network without memory."""
        cls = self._class(part)
        with torch.device("meta"):
            return layers_of(cls(cls.config_class.from_pretrained(self.path(part))) if part in self.encoders else cls.from_config(self.config(part)))

    def require_weights(self) -> None:
        """Refuses weights that are missing, damaged, or too large for the memory."""
        for part in self._networks:
            weights = Weights.of(self.path(part), self.precision_of(part))
            weights.require_whole()
            weights.require_memory(PRECISIONS[self.precision_of(part)])

    @property
    def _networks(self) -> list[str]:
        return [*self.encoders, self.family.part, "vae"]

    @property
    def _tokenizers(self) -> list[str]:
        return [part.replace("text_encoder", "tokenizer") for part in self.encoders]

    def _require_same_latents(self) -> None:
        """``--vae`` has to decode the latents of this checkpoint's denoiser."""
        own, other = read_json(self.folder / "vae" / "config.json"), self.config("vae")
        for key in ("latent_channels", "scaling_factor", "shift_factor"):
            a, b = (complete(AutoencoderKL, config)[key] for config in (own, other))
            if a != b:
                raise ExportError(
                    f"--vae {self.vae_folder} has {key} {b}, the checkpoint's own autoencoder {a}: it is for the latents of another family"
                )

    def precision_of(self, part: str) -> str:
        """In which a part is loaded: the autoencoder exactly, whatever the graphs' precision."""
        return "fp32" if part == "vae" else self.precision

    @cached_property
    def family(self) -> Family:
        kind = Sd3Family if Sd3Family.part in self.index else UNetFamily
        return kind(
            self.config(kind.part), fused=self.index.get("_class_name") in PIPELINES, refines=bool(self.index.get("requires_aesthetics_score"))
        )

    def text(self) -> TextPlan:
        """How what the text encoders give is joined; refuses encoders that do not fit."""
        return self.family.text({part: self.config(part) for part in self.encoders})

    @property
    def encoders(self) -> list[str]:
        """Parts that encode text, in the pipeline's order; a part that the index leaves out (T5) is not among them."""
        found = []
        for name in ("text_encoder", "text_encoder_2", "text_encoder_3"):
            entry = self.index.get(name) or [None, None]
            if not isinstance(entry, list) or len(entry) != 2:
                raise ExportError(f"{self.folder / 'model_index.json'}: {name} is {entry}, expected is its library and its class")
            if entry[1] is not None:
                found.append(name)
        return found

    def path(self, part: str) -> Path:
        return self.vae_folder if part == "vae" and self.vae_folder is not None else self.folder / part

    def config(self, part: str) -> dict[str, Any]:
        return read_json(self.path(part) / "config.json")

    def _class(self, part: str) -> Any:
        name = self.index[part][1] if part in self.encoders else self.config(part).get("_class_name")
        if name not in _MODELS:
            raise ExportError(f"{part} is a {name}; known are {', '.join(_MODELS)}")
        return _MODELS[name]

    def load(self, part: str, precision: str | None = None) -> torch.nn.Module:
        """The part's network with LoRA merged, for inference."""
        folder = self.path(part)
        precision = precision or self.precision_of(part)
        dtype = PRECISIONS[precision]
        weights = Weights.of(folder, precision)
        weights.require_memory(dtype)
        extra: dict[str, object] = {"attn_implementation": "eager"} if part in self.encoders else {}
        with weights.linked() as place:
            try:
                model, said = self._class(part).from_pretrained(place, torch_dtype=dtype, use_safetensors=True, output_loading_info=True, **extra)
            except (OSError, ValueError, RuntimeError) as error:
                if "allocate memory" in str(error):
                    raise
                raise ExportError(f"{folder} cannot be loaded: {str(error).replace(str(place), str(folder))}") from error
        if said["missing_keys"]:
            missing = sorted(said["missing_keys"])
            raise ExportError(
                f"{folder} has no weights for {missing[0]}" + (f" and {len(missing) - 1} others" if len(missing) > 1 else "")
                + ", which its config.json asks for: the files are not those of this configuration"
            )
        if dtype == torch.float32:
            model = model.float()
        model = model.eval().requires_grad_(False)
        for lora in self.loras:
            lora.merge("denoiser" if part == self.family.part else part, model)
        return model

    def tokenizer(self, part: str) -> tuple[str, int]:
        """tokenizer.json of an encoder and the id it pads with, named in the file where it is not the end mark's."""
        folder = self.folder / part.replace("text_encoder", "tokenizer")
        if not folder.is_dir():
            raise ExportError(f"{folder} is missing: not a whole diffusers checkpoint")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        file = folder / "tokenizer.json"
        text = file.read_text(encoding="utf-8") if file.is_file() else None
        padding = tokenizer.pad_token_id
        if text is None or padding != tokenizer.eos_token_id:
            content = json.loads(text or tokenizer.backend_tokenizer.to_str())
            if padding != tokenizer.eos_token_id:
                content["padding"] = {
                    "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
                    "pad_id": padding, "pad_type_id": 0, "pad_token": tokenizer.pad_token,
                }
            content["truncation"] = None
            text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        return text, padding

    def scheduler(self) -> tuple[str, dict[str, Any]]:
        """What the network predicts, and the manifest's ``scheduler``."""
        return manifest_entry(self._scheduler_config)

    def replaced_scheduler(self) -> str | None:
        """The class whose place a solver of the engine takes; None: the engine has it."""
        return self._scheduler_config["_class_name"] if is_replaced(self._scheduler_config) else None

    @property
    def _scheduler_config(self) -> dict[str, Any]:
        return read_json(self.folder / "scheduler" / "scheduler_config.json")


def read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ExportError(f"{path} is missing: not a diffusers checkpoint folder")
    try:
        text = path.read_text(encoding="utf-8")
        if text.startswith("version https://git-lfs"):
            raise ExportError(f"{path} is a Git LFS pointer, not the file itself: run git lfs pull in its folder")
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
        return content
    except ValueError as error:
        raise ExportError(f"{path} is not JSON: {error}") from error
