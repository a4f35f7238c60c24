# SPDX-License-Identifier: Apache-2.0
"""A single .safetensors file, as model sites have them: what it holds, told from its header, and its checkpoint folder."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import SingleFileComponentError

from .checkpoint import PIPELINES, Checkpoint, read_json
from .errors import ExportError
from .families import MADE_FOR, PURPOSES, Sd3Family
from .weights import PRECISIONS, header

_DENOISER = "model.diffusion_model."
_FIRST = ("input_blocks.0.0.weight", "joint_blocks.0.x_block.attn.qkv.weight")
_AUTOENCODER = ("first_stage_model.decoder.conv_in.weight", "vae.decoder.conv_in.weight", "decoder.conv_in.weight")
#: what the tensors of a text encoder begin with: of Stable Diffusion 1 and 2, XL, and 3
_TEXT = {
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.0.", "text_encoders.clip_l."),
    "text_encoder_2": ("conditioner.embedders.1.", "text_encoders.clip_g."),
    "text_encoder_3": ("text_encoders.t5xxl.",),
}
#: parts of names that only files of other kinds have, and what such a file is, as in Recognition.java
_OTHERS = {
    "lora_unet_": "a LoRA: give it with --lora", "lora_te": "a LoRA: give it with --lora", "lora_A.": "a LoRA: give it with --lora",
    ".lora_": "a LoRA: give it with --lora", "_lora.": "a LoRA: give it with --lora", ".lora.": "a LoRA: give it with --lora",
    "hada_w1_a": "a LoHa, which the engine merges: asg generate --lora", "lokr_w": "a LoKr, which the engine merges: asg generate --lora",
    "emb_params": "a textual-inversion embedding", "control_model.": "a ControlNet", "controlnet_": "a ControlNet",
    "double_blocks.": "a FLUX model, which is not supported", "double_layers.": "an AuraFlow model, which is not supported",
    "text_projection.0.": "a PixArt model, which is not supported", "conv_body.": "an upscaler: add it with asg4j-export upscaler",
    "RDB1.": "an upscaler: add it with asg4j-export upscaler",
}
#: what diffusers raises for a file that is not what the configurations describe
_UNREADABLE = (SingleFileComponentError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)


@dataclass(frozen=True)
class SingleFile:
    """A file that holds a denoiser: the shapes of its tensors by name, and its metadata."""

    file: Path
    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]

    @staticmethod
    def open(file: Path) -> SingleFile:
        """Reads the header; refuses what is no model in a publisher's layout, saying what it is."""
        if file.suffix in (".ckpt", ".pt", ".bin", ".pth"):
            raise ExportError(f"{file} is a pickle, which can run code when it is loaded and is not read: get the .safetensors file of the same model")
        entries = header(file)
        metadata = entries.pop("__metadata__", {})
        single = SingleFile(file, {name: tuple(entry["shape"]) for name, entry in entries.items()}, metadata)
        if not any(prefix + first in single.shapes for prefix in (_DENOISER, "") for first in _FIRST):
            raise ExportError(f"{file} {single._other()}")
        return single

    def _other(self) -> str:
        """What a file without a denoiser is."""
        found = next((kind for name in self.shapes for part, kind in _OTHERS.items() if part in name), None)
        if found is not None:
            return f"is {found}; CHECKPOINT is a model that draws"
        if self._has("down_blocks.0.resnets.0.conv1.weight", "transformer_blocks.0.attn.to_q.weight"):
            return "holds a denoiser alone, in the names of diffusers: give the folder of the whole checkpoint"
        if self._has(*_AUTOENCODER):
            return "holds an autoencoder alone: give it with --vae, beside a model"
        if self._has("text_model.embeddings.token_embedding.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"):
            return "holds a text encoder alone: give the model that it belongs to"
        return f"holds no denoiser that is known; its first tensors are {', '.join(list(self.shapes)[:3]) or 'none'}"

    def _has(self, *names: str) -> bool:
        return any(name in self.shapes for name in names)

    @property
    def _prefix(self) -> str:
        return _DENOISER if any(_DENOISER + first in self.shapes for first in _FIRST) else ""

    @property
    def prediction(self) -> str | None:
        """What it says that its network predicts, as a scheduler_config.json has it; None: it says nothing."""
        if "v_pred" in self.shapes or self._said_prediction.startswith("v"):
            return "v_prediction"
        return "epsilon" if self._said_prediction else None

    @property
    def _said_prediction(self) -> str:
        return self.metadata.get("modelspec.prediction_type", "").lower()

    def require_fits(self, checkpoint: Checkpoint, with_vae: bool) -> None:
        """Refuses a file of another family than ``checkpoint``, the configurations beside it, and one that lacks a part.

        ``with_vae``: whether it needs an autoencoder.
        """
        if checkpoint.index.get("_class_name") not in PIPELINES:
            raise ExportError(f"--config {checkpoint.folder}: its model_index.json names no pipeline (_class_name) whose single files are known")
        sd3 = self._prefix + _FIRST[1] in self.shapes
        if "ztsnr" in self.shapes:
            raise ExportError(f"{self.file} was trained with a noise schedule of zero terminal SNR (its tensor ztsnr says so), which is not supported")
        edm = next((name for name in self.shapes if name.startswith("edm_")), None)
        if edm is not None:
            raise ExportError(f"{self.file} was trained on the noise levels of EDM (its tensor {edm} says so), which is not supported")
        if not sd3 and not self._said_prediction.startswith(("eps", "v")) and self._said_prediction:
            raise ExportError(f"{self.file}: modelspec.prediction_type is {self._said_prediction}, supported is epsilon or v")
        if sd3 != isinstance(checkpoint.family, Sd3Family):
            raise ExportError(f"{self.file} holds a {'transformer' if sd3 else 'UNet'}, --config {checkpoint.folder} describes a {checkpoint.family.part}")
        if sd3:
            self._require_transformer(checkpoint)
        else:
            self._require_unet(checkpoint)
        missing = [part for part in checkpoint.encoders if not any(name.startswith(_TEXT[part]) for name in self.shapes)]
        if missing:
            raise ExportError(
                f"{self.file} holds no {missing[0]}, which --config {checkpoint.folder} has: give a file with its text encoders, or a diffusers folder"
            )
        if with_vae and not self._has(*_AUTOENCODER):
            raise ExportError(f"{self.file} holds no autoencoder: give one with --vae")

    def _require_transformer(self, checkpoint: Checkpoint) -> None:
        normalised = self._has(self._prefix + "joint_blocks.0.x_block.attn.ln_q.weight")
        config = checkpoint.family.config
        if normalised != (config["qk_norm"] is not None):
            own, other = ("3.5", "3") if normalised else ("3", "3.5")
            raise ExportError(f"{self.file} is Stable Diffusion {own}, --config {checkpoint.folder} describes Stable Diffusion {other}")
        blocks = sum(1 for name in self.shapes if name.startswith(self._prefix + "joint_blocks.") and name.endswith(".x_block.attn.qkv.weight"))
        if blocks != config["num_layers"]:
            raise ExportError(f"{self.file} holds a transformer of {blocks} blocks, --config {checkpoint.folder} describes one of {config['num_layers']}")

    def _require_unet(self, checkpoint: Checkpoint) -> None:
        channels = self.shapes[self._prefix + _FIRST[0]][1]
        takes = checkpoint.family.config["in_channels"]
        if channels != takes:
            purpose = PURPOSES.get(channels, "a model of another kind")
            raise ExportError(f"{self.file}: the UNet takes {channels} channels, that of --config {checkpoint.folder} {takes}: it is {purpose}")
        guided = self._prefix + "time_embed.cond_proj.weight" in self.shapes
        if guided != (checkpoint.family.config["time_cond_proj_dim"] is not None):
            raise ExportError(
                f"{self.file}: the UNet {'takes' if guided else 'does not take'} the guidance scale as an input (LCM),"
                f" that of --config {checkpoint.folder} {'does not' if guided else 'does'}"
            )
        widths = {shape[1] for name, shape in self.shapes.items() if name.endswith("attn2.to_k.weight") and len(shape) == 2}
        own = checkpoint.family.config["cross_attention_dim"]
        if widths and own not in widths:
            width = min(widths)
            raise ExportError(
                f"{self.file}: the UNet takes text of {width} channels, that of --config {checkpoint.folder} {own}:"
                f" it is of {MADE_FOR.get(width, 'another family')}"
            )


@contextmanager
def unpacked(single: SingleFile, checkpoint: Checkpoint, scratch: Path, with_vae: bool) -> Iterator[Path]:
    """The file as a checkpoint folder, which is deleted at the end; ``checkpoint``: the configurations of its family.

    What the file says of its prediction goes before what the configuration says.
    """
    pipeline = PIPELINES[checkpoint.index["_class_name"]]
    without = {} if with_vae else {"vae": None}
    with _scratch("checkpoint.", scratch) as folder:
        try:
            loaded = pipeline.from_single_file(
                str(single.file), config=str(checkpoint.folder), local_files_only=True, torch_dtype=PRECISIONS[checkpoint.precision], **without)
        except _UNREADABLE as error:
            raise ExportError(f"{single.file} cannot be read as a {pipeline.__name__}: {error}") from error
        loaded.save_pretrained(folder)
        del loaded
        if single.prediction is not None and checkpoint.family.part == "unet":
            file = folder / "scheduler" / "scheduler_config.json"
            said = read_json(file).get("prediction_type", "epsilon")
            if said != single.prediction:
                print(f"{single.file} says that it predicts {single.prediction}, --config {said}: the file is believed", file=sys.stderr, flush=True)
            file.write_text(json.dumps(read_json(file) | {"prediction_type": single.prediction}), encoding="utf-8")
        yield folder


@contextmanager
def unpacked_vae(file: Path, configs: Path, scratch: Path) -> Iterator[Path]:
    """An autoencoder's file, in the names of its publisher or of diffusers, as a folder, which is deleted at the end.

    ``configs``: the checkpoint whose autoencoder it replaces.
    """
    entries = header(file)
    first = next((name for name in _AUTOENCODER if name in entries), None)
    if first is None:
        raise ExportError(f"--vae {file} holds no autoencoder; its first tensors are {', '.join([name for name in entries if name != '__metadata__'][:3])}")
    channels, own = entries[first]["shape"][1], read_json(configs / "vae" / "config.json").get("latent_channels", 4)
    if channels != own:
        raise ExportError(f"--vae {file} decodes latents of {channels} channels, the checkpoint's own autoencoder {own}: it is for those of another family")
    with _scratch("vae.", scratch) as folder:
        try:
            AutoencoderKL.from_single_file(str(file), config=str(configs), subfolder="vae", local_files_only=True).save_pretrained(folder)
        except _UNREADABLE as error:
            raise ExportError(f"--vae {file} cannot be read as the autoencoder that {configs / 'vae' / 'config.json'} describes: {error}") from error
        yield folder


@contextmanager
def _scratch(prefix: str, place: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
