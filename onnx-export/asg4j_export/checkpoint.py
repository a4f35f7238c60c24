# SPDX-License-Identifier: Apache-2.0
"""A checkpoint in diffusers' layout: which family it is, and its parts loaded one by one."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import AutoTokenizer, CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel

from .errors import ExportError, readable
from .lora import Lora, merge
from .storage import INLINE_BYTES

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}

#: pipelines whose attention is exported as ONNX Runtime's operator, and the class that reads their single files
PIPELINES = {
    "StableDiffusionPipeline": StableDiffusionPipeline,
    "StableDiffusionXLPipeline": StableDiffusionXLPipeline,
    "StableDiffusion3Pipeline": StableDiffusion3Pipeline,
}
#: what the demo model's index says, and an index that says nothing: attention is exported plainly
_GENERIC = "DiffusionPipeline"

_MODELS = {
    model.__name__: model
    for model in (UNet2DConditionModel, SD3Transformer2DModel, AutoencoderKL, CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel)
}
_DIFFUSION_SCHEDULERS = {"EulerDiscreteScheduler": "euler", "DDIMScheduler": "ddim", "PNDMScheduler": "ddim"}
_FLOW_SCHEDULER = "FlowMatchEulerDiscreteScheduler"
_PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}

#: memory that a part takes, in multiples of its weights in float32, in which the CPU computes: where the graph holds them, tracing copies them;
#: measured at SDXL's published size, where they lie beside it and where they do not
_BESIDE, _HELD = 1.5, 2.2


@dataclass(frozen=True)
class Checkpoint:
    """A folder with model_index.json; ``vae_folder`` replaces its autoencoder."""

    folder: Path
    index: dict
    precision: str
    loras: tuple[Lora, ...] = ()
    vae_folder: Path | None = None

    @staticmethod
    def open(folder: Path, precision: str = "fp32", loras: tuple[Lora, ...] = (), vae_folder: Path | None = None) -> "Checkpoint":
        index = read_json(folder / "model_index.json")
        pipeline = index.get("_class_name", _GENERIC)
        if pipeline not in (*PIPELINES, _GENERIC):
            raise ExportError(f"{folder} is a {pipeline}; known are {', '.join(PIPELINES)}")
        if vae_folder is not None and not (vae_folder / "config.json").is_file():
            vae_folder = vae_folder / "vae"
        checkpoint = Checkpoint(folder, index, precision, loras, vae_folder)
        checkpoint._require_parts()
        if vae_folder is not None:
            checkpoint._require_same_latents()
        parts = {"denoiser", *checkpoint.encoders}
        for lora in loras:
            for part in lora.changes.keys() - parts:
                raise ExportError(f"LoRA {lora.file} changes {part}, which {folder} does not have")
        return checkpoint

    def _require_parts(self) -> None:
        """Refuses at once what would otherwise be missed after minutes."""
        tokenizers = [part.replace("text_encoder", "tokenizer") for part in self.encoders]
        for part in (self.denoiser_part, "vae", "scheduler", *self.encoders, *tokenizers):
            if not self.path(part).is_dir():
                raise ExportError(f"{self.path(part)} is missing: not a whole diffusers checkpoint")
        self.scheduler()
        for part in (*self.encoders, self.denoiser_part, "vae"):
            self._class(part)
            weights = Weights.of(self.path(part), self.precision_of(part))
            weights.require_whole()
            weights.require_memory(PRECISIONS[self.precision_of(part)])

    def _require_same_latents(self) -> None:
        """``--vae`` has to decode the latents of this checkpoint's denoiser."""
        own, other = read_json(self.folder / "vae" / "config.json"), self.config("vae")
        usual = inspect.signature(AutoencoderKL.__init__).parameters
        for key in ("latent_channels", "scaling_factor", "shift_factor"):
            a, b = (config.get(key, usual[key].default) for config in (own, other))
            if a != b:
                raise ExportError(
                    f"--vae {self.vae_folder} has {key} {b}, the checkpoint's own autoencoder {a}: it is for the latents of another family"
                )

    def precision_of(self, part: str) -> str:
        """In which a part is loaded: the autoencoder exactly, whatever the graphs' precision."""
        return "fp32" if part == "vae" else self.precision

    @property
    def known_pipeline(self) -> bool:
        return self.index.get("_class_name") in PIPELINES

    @property
    def denoiser_part(self) -> str:
        return "transformer" if "transformer" in self.index else "unet"

    @property
    def encoders(self) -> list[str]:
        """Parts that encode text, in the pipeline's order; a part that the index leaves out (T5) is not among them."""
        names = ("text_encoder", "text_encoder_2", "text_encoder_3")
        return [name for name in names if self.index.get(name, [None, None])[1] is not None]

    def path(self, part: str) -> Path:
        return self.vae_folder if part == "vae" and self.vae_folder is not None else self.folder / part

    def config(self, part: str) -> dict:
        return read_json(self.path(part) / "config.json")

    def _class(self, part: str) -> type:
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
        try:
            model, said = self._class(part).from_pretrained(
                folder, torch_dtype=dtype, variant=weights.variant, use_safetensors=True, output_loading_info=True, **extra)
        except (OSError, ValueError, RuntimeError) as error:
            if "allocate memory" in str(error):
                raise
            raise ExportError(f"{folder} cannot be loaded: {error}") from error
        if said["missing_keys"]:
            missing = sorted(said["missing_keys"])
            raise ExportError(
                f"{folder} has no weights for {missing[0]}" + (f" and {len(missing) - 1} others" if len(missing) > 1 else "")
                + ", which its config.json asks for: the files are not those of this configuration"
            )
        if dtype == torch.float32:
            model = model.float()
        model = model.eval().requires_grad_(False)
        merge(self.loras, "denoiser" if part == self.denoiser_part else part, model)
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

    def scheduler(self) -> tuple[str, dict]:
        """What the network predicts, and the manifest's ``scheduler``."""
        config = read_json(self.folder / "scheduler" / "scheduler_config.json")
        name = config["_class_name"]
        if name == _FLOW_SCHEDULER:
            for option in ("use_dynamic_shifting", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "shift_terminal", "invert_sigmas"):
                if config.get(option):
                    raise ExportError(f"scheduler {name}: {option} = {config[option]} is not supported")
            return "flow", {"type": "flow_euler", "train_steps": config["num_train_timesteps"], "shift": config["shift"]}
        if name not in _DIFFUSION_SCHEDULERS:
            raise ExportError(f"scheduler {name} is unknown; known are {', '.join((*_DIFFUSION_SCHEDULERS, _FLOW_SCHEDULER))}")
        prediction = config.get("prediction_type", "epsilon")
        if prediction not in _PREDICTIONS:
            raise ExportError(f"scheduler {name}: prediction_type {prediction} is unknown; known are {', '.join(_PREDICTIONS)}")
        return _PREDICTIONS[prediction], {
            "type": _DIFFUSION_SCHEDULERS[name],
            "beta_schedule": config["beta_schedule"],
            "beta_start": config["beta_start"],
            "beta_end": config["beta_end"],
            "train_steps": config["num_train_timesteps"],
            "spacing": config.get("timestep_spacing", "leading"),
            "steps_offset": config.get("steps_offset", 0),
        }


def read_json(path: Path) -> dict:
    if not path.is_file():
        raise ExportError(f"{path} is missing: not a diffusers checkpoint folder")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExportError(f"{path} is not JSON: {error}") from error


@contextmanager
def unpacked(file: Path, config: Path | None, precision: str, scratch: Path) -> Iterator[Path]:
    """A single .safetensors file as a checkpoint folder, which is deleted at the end.

    The file holds weights only; ``config`` is a folder of the same family in diffusers' layout (its .json files and tokenizers
    are enough), since nothing is downloaded.
    """
    if config is None:
        raise ExportError(
            f"{file} holds weights only: give --config FOLDER, a diffusers folder of the same family with model_index.json, the"
            " config.json of every part, tokenizers and scheduler (its weights are not needed)"
        )
    pipeline = PIPELINES.get(read_json(config / "model_index.json").get("_class_name"))
    if pipeline is None:
        raise ExportError(f"--config {config}: the pipeline is unknown; known are {', '.join(PIPELINES)}")
    folder = Path(tempfile.mkdtemp(prefix="checkpoint.", dir=scratch))
    try:
        try:
            loaded = pipeline.from_single_file(str(file), config=str(config), local_files_only=True, torch_dtype=PRECISIONS[precision])
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ExportError(f"{file} cannot be read as a {pipeline.__name__}: {error}") from error
        loaded.save_pretrained(folder)
        del loaded
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Weights:
    """The files that hold a part's weights; ``variant``: diffusers' name of those in halves."""

    folder: Path
    files: tuple[Path, ...]
    variant: str | None

    @staticmethod
    def of(folder: Path, precision: str) -> "Weights":
        """Those in halves where that is asked for or nothing else is there. Other files, such as non_ema, do not count."""
        found: dict[str | None, list[Path]] = {None: [], "fp16": []}
        for file in sorted(folder.glob("*.safetensors")):
            match = _WEIGHT_FILE.fullmatch(file.name)
            if match is not None:
                found[match.group(1)].append(file)
        variant = "fp16" if found["fp16"] and (precision == "fp16" or not found[None]) else None
        if not found[variant]:
            raise ExportError(f"{folder} has no weights: diffusion_pytorch_model.safetensors or model.safetensors is expected (.bin files are not read)")
        return Weights(folder, tuple(found[variant]), variant)

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)

    def require_whole(self) -> None:
        """Every file as long as its header says, and every part of a split one there."""
        for file in self.files:
            _header(file)
            match = re.search(r"-of-(\d+)\.", file.name)
            if match is not None and len(self.files) != int(match.group(1)):
                raise ExportError(f"{self.folder} has {len(self.files)} of the {match.group(1)} files of its weights: copy the others too")

    def require_memory(self, dtype: torch.dtype) -> None:
        """Refuses before loading what cannot fit, where the system says how much memory is free."""
        exact = self.bytes * (2 if self._in_halves() else 1)
        needed = exact * (_BESIDE if exact * dtype.itemsize / 4 > INLINE_BYTES else _HELD)
        try:
            free = int(re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text()).group(1)) * 1024
        except (OSError, AttributeError):
            return
        if needed > free:
            raise ExportError(
                f"{self.folder.name} needs about {readable(needed)} of memory, {readable(free)} are free: close other programs"
            )

    def _in_halves(self) -> bool:
        """Whether the first file has tensors of 16 bits."""
        return any(entry.get("dtype") in ("F16", "BF16") for name, entry in _header(self.files[0]).items() if name != "__metadata__")


#: not non_ema files and the like, which lie beside them in published folders
_WEIGHT_FILE = re.compile(r"(?:diffusion_pytorch_model|model)(?:\.(fp16))?(?:-\d+-of-\d+)?\.safetensors")
_LONGEST_HEADER = 100_000_000  # bytes, as the format has it


def _header(file: Path) -> dict:
    """The header of a safetensors file: tensors by name. Raises where the file is not one, or not as long as it says."""
    size = file.stat().st_size
    with open(file, "rb") as content:
        length = int.from_bytes(content.read(8), "little")
        text = content.read(length) if length <= min(_LONGEST_HEADER, size - 8) else b""
    try:
        header = json.loads(text)
        end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ExportError(f"{file} is damaged or no safetensors file: copy it again") from error
    if size != 8 + length + end:
        raise ExportError(f"{file} has {size:,} bytes, its header says {8 + length + end:,}: it is damaged or not copied to the end; copy it again")
    return header
