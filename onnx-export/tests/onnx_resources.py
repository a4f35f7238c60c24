# SPDX-License-Identifier: Apache-2.0
"""``python tests/onnx_resources.py [FAMILY...]``: small models as Optimum exports them, for the Java tests.

FAMILY is sd15, in fp32 and with the UNet's weights in a file beside it, or sdxl, in fp16 to its ends. The weights are those of family_goldens.py
(seed 0), the names, open axes, scalar timestep and parameters of the encoder's distribution are those of optimum-onnx 0.1
(optimum/exporters/onnx/model_configs.py), the int32 of the token ids that of Optimum before 1.24.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx
import torch
from diffusers import DiffusionPipeline
from onnxruntime.transformers.float16 import convert_float_to_float16

import families

RESOURCES = Path(__file__).resolve().parents[2] / "src" / "test" / "resources" / "onnx"

_PICTURES = {0: "batch_size", 2: "height", 3: "width"}
_TEXT = {0: "batch_size", 1: "sequence_length"}


class Called(torch.nn.Module):
    """A network whose call is a function."""

    def __init__(self, network: torch.nn.Module, call: Any) -> None:
        super().__init__()
        self.network, self.call = network, call

    def forward(self, *arguments: torch.Tensor) -> Any:
        return self.call(self.network, *arguments)


def export(module: torch.nn.Module, arguments: dict[str, torch.Tensor], axes: dict[str, dict[int, str]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    outputs = [name for name in axes if name not in arguments]
    torch.onnx.export(
        module.eval(), tuple(arguments.values()), folder / "model.onnx", input_names=list(arguments), output_names=outputs, dynamic_axes=axes,
        opset_version=18, do_constant_folding=True, dynamo=False,
    )


def unet(network: torch.nn.Module, sample: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor, *added: torch.Tensor) -> torch.Tensor:
    conditions = dict(zip(("text_embeds", "time_ids"), added)) if added else None
    return network(sample, timestep, text, added_cond_kwargs=conditions, return_dict=False)[0]


def text_encoder(network: torch.nn.Module, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    states = network(ids, output_hidden_states=True)
    first = (states.text_embeds, states.last_hidden_state) if "text_embeds" in states else (states.last_hidden_state, states.pooler_output)
    return *first, *states.hidden_states


@torch.no_grad()
def write(family: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = families.write(family, Path(scratch) / family)
        large, dtype = family == "sdxl", torch.float16 if family == "sdxl" else torch.float32
        pipeline = DiffusionPipeline.from_pretrained(checkpoint, torch_dtype=dtype)
        rows, cells = 2, pipeline.unet.config.sample_size
        text = torch.randn(rows, 77, pipeline.unet.config.cross_attention_dim, dtype=dtype)
        sample, timestep = torch.randn(rows, 4, cells, cells, dtype=dtype), torch.tensor(3)
        arguments = dict(sample=sample, timestep=timestep, encoder_hidden_states=text)
        axes: dict[str, dict[int, str]] = dict(sample=_PICTURES, encoder_hidden_states=_TEXT)
        if large:
            width = pipeline.text_encoder_2.config.projection_dim
            arguments |= dict(text_embeds=torch.randn(rows, width, dtype=dtype), time_ids=torch.randn(rows, 6, dtype=dtype))
            axes |= dict(text_embeds={0: "batch_size"}, time_ids={0: "batch_size"})
        export(Called(pipeline.unet, unet), arguments, axes | dict(out_sample=_PICTURES), folder / "unet")
        for name in ("text_encoder", "text_encoder_2") if large else ("text_encoder",):
            encoder = getattr(pipeline, name)
            hidden = [f"hidden_states.{i}" for i in range(encoder.config.num_hidden_layers + 1)]
            outputs = ["text_embeds", "last_hidden_state"] if name == "text_encoder_2" else ["last_hidden_state", "pooler_output"]
            ids = torch.ones(rows, 77, dtype=torch.int64 if large else torch.int32)
            export(Called(encoder.float(), text_encoder), dict(input_ids=ids), dict.fromkeys(["input_ids", *outputs, *hidden], _TEXT), folder / name)
            if large:
                to_halves(folder / name / "model.onnx")
        latents = torch.randn(rows, 4, cells, cells, dtype=dtype)
        decode = Called(pipeline.vae, lambda vae, z: vae.decode(z, return_dict=False)[0])
        export(decode, dict(latent_sample=latents), dict(latent_sample=_PICTURES, sample=_PICTURES), folder / "vae_decoder")
        encode = Called(pipeline.vae, lambda vae, x: vae.encode(x, return_dict=False)[0].parameters)
        pixels = torch.randn(rows, 3, 8 * cells, 8 * cells, dtype=dtype)
        export(encode, dict(sample=pixels), dict(sample=_PICTURES, latent_parameters=_PICTURES), folder / "vae_encoder")
        for file in ("model_index.json", "scheduler/scheduler_config.json", "unet/config.json", "text_encoder/config.json", "text_encoder_2/config.json"):
            if (checkpoint / file).exists():
                (folder / file).parent.mkdir(exist_ok=True)
                shutil.copyfile(checkpoint / file, folder / file)
        for part in ("vae_decoder", "vae_encoder"):
            shutil.copyfile(checkpoint / "vae" / "config.json", folder / part / "config.json")
        for name in ("tokenizer", "tokenizer_2") if large else ("tokenizer",):
            write_tokenizer(checkpoint / name, folder / name)
    if not large:
        move_weights(folder / "unet" / "model.onnx")


def to_halves(file: Path) -> None:
    """As Olive does: PyTorch's export of these encoders in halves is no valid graph."""
    onnx.save(convert_float_to_float16(onnx.load(file), keep_io_types=False), file)


def write_tokenizer(source: Path, folder: Path) -> None:
    """The files that transformers wrote before tokenizer.json."""
    folder.mkdir()
    model = json.loads((source / "tokenizer.json").read_text())["model"]
    merges = ["#version: 0.2", *(pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(merges) + "\n")
    shutil.copyfile(source / "tokenizer_config.json", folder / "tokenizer_config.json")


def move_weights(file: Path) -> None:
    onnx.save_model(onnx.load(file), file, save_as_external_data=True, location="model.onnx_data", size_threshold=1024)


if __name__ == "__main__":
    for name in sys.argv[1:] or ("sd15", "sdxl"):
        write(name, RESOURCES / name)
