# SPDX-License-Identifier: Apache-2.0
"""Networks that pictures of real models are measured by: Inception-v3 for KID, FID and IS, CLIP for the CLIP score.

``asg4j-export metrics inception WEIGHTS --out inception.onnx``, for ``asg eval --features inception.onnx``;
``asg4j-export metrics clip CHECKPOINT --out FOLDER``, for ``asg eval --clip FOLDER`` (and, as features,
``--features FOLDER/clip_image.onnx``). Weights are not part of this package: give their files.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import CLIPModel, CLIPTokenizer

from .errors import ExportError
from .inception import FEATURES, SIDE, Inception
from .tracing import Graph, write

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_BATCH = {0: "batch"}


def _weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the file's format makes of it
        raise ExportError(f"{path} cannot be read as weights ({error}): give a .pth or .safetensors file") from error


def load_inception(weights: dict[str, torch.Tensor], name: str) -> Inception:
    """The network that the weights are of; 1008 classes are those of FID's own."""
    fc = weights.get("fc.weight")
    if fc is None or fc.shape[1] != FEATURES:
        raise ExportError(f"{name} holds no Inception-v3: fc.weight is {None if fc is None else tuple(fc.shape)}, expected (classes, {FEATURES})")
    network = Inception(fc.shape[0], fid=fc.shape[0] == 1008)
    ours = {key: value.float() for key, value in weights.items() if not key.startswith("AuxLogits.")}
    missing, unexpected = network.load_state_dict(ours, strict=False)
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ExportError(f"{name} is no Inception-v3 of torchvision's names: missing {missing[:3]}, unknown {unexpected[:3]}")
    return network.eval().requires_grad_(False)


def export_inception(weights: Path, out: Path) -> None:
    network = load_inception(_weights(weights), str(weights))
    examples = [(torch.rand(n, 3, SIDE, SIDE),) for n in (1, 2)]
    axes = {"image": _BATCH, "features": _BATCH, "probabilities": _BATCH}
    write(Graph(out.name, network, ["image"], ["features", "probabilities"], axes, examples), out.parent)


class _ClipImage(torch.nn.Module):
    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(_CLIP_MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(_CLIP_DEVIATION)[:, None, None])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        pooled = self.model.vision_model((image - self.mean) / self.deviation).pooler_output
        return self.model.visual_projection(pooled)


class _ClipText(torch.nn.Module):
    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.model.text_projection(self.model.text_model(input_ids).pooler_output)


def export_clip(checkpoint: Path, out: Path) -> None:
    if not (checkpoint / "config.json").is_file():
        raise ExportError(f"{checkpoint} is no CLIP checkpoint folder: config.json is missing")
    kind = json.loads((checkpoint / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind != "clip":
        raise ExportError(f"{checkpoint} is a model of type {kind!r}, expected 'clip'")
    out.mkdir(parents=True, exist_ok=True)
    options = {"torch_dtype": torch.float32, "attn_implementation": "eager"}
    model = CLIPModel.from_pretrained(checkpoint, **options).eval().requires_grad_(False)
    text = model.config.text_config
    side, length = model.config.vision_config.image_size, text.max_position_embeddings
    pictures = [(torch.rand(n, 3, side, side),) for n in (2, 1)]
    words = [(torch.randint(0, text.vocab_size, (n, length)),) for n in (2, 1)]
    for (ids,) in words:
        ids[:, length // 2 :] = text.eos_token_id
    write(Graph("clip_image.onnx", _ClipImage(model), ["image"], ["features"], {"image": _BATCH, "features": _BATCH}, pictures), out)
    write(Graph("clip_text.onnx", _ClipText(model), ["input_ids"], ["features"], {"input_ids": _BATCH, "features": _BATCH}, words), out)
    own = checkpoint / "tokenizer.json"
    if own.is_file():
        words_file = own.read_text(encoding="utf-8")
    else:
        words_file = CLIPTokenizer.from_pretrained(checkpoint).backend_tokenizer.to_str()
    (out / "tokenizer.json").write_text(words_file, encoding="utf-8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    networks = parser.add_subparsers(dest="network", required=True)
    inception = networks.add_parser("inception", help="KID, FID, IS")
    inception.add_argument("weights", type=Path, help="torchvision's inception_v3 or FID's own, .pth or .safetensors")
    inception.add_argument("--out", type=Path, required=True, metavar="FILE.onnx")
    clip = networks.add_parser("clip", help="CLIP score")
    clip.add_argument("checkpoint", type=Path, help="a folder of transformers' CLIPModel")
    clip.add_argument("--out", type=Path, required=True, metavar="FOLDER")


def run(args: argparse.Namespace) -> None:
    if args.network == "inception":
        export_inception(args.weights, args.out)
    else:
        export_clip(args.checkpoint, args.out)
