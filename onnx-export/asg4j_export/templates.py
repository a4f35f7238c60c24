# SPDX-License-Identifier: Apache-2.0
"""Graphs without weights: the engine fills them from a user's checkpoint, where each weight stays as it lies.

``asg4j-export template CONFIGS --out TEMPLATE --name NAME`` takes a diffusers folder of which only the configurations, the tokenizers and the
scheduler are needed. The folder it writes is a bundle whose graphs lack their weights, which are ONNX graph inputs no more but values without a
source; beside each GRAPH.onnx, GRAPH.weights.json says what each of them is made of:

    {"part": "unet", "weights": {VALUE: {"of": WEIGHT, "at": ELEMENTS, "shape": [...], "type": "F32"} | {"sum": [WEIGHT, ...], ...}}}

WEIGHT is the name of a parameter in diffusers (or transformers), ``at`` where in it the value begins.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper

from .checkpoint import Checkpoint, read_json
from .errors import ExportError
from .export import build, whole_folder, write_manifest
from .tracing import Graph, trace

_TYPES = {TensorProto.FLOAT: "F32", TensorProto.FLOAT16: "F16"}

#: biases that the exporter adds to others (fusion.py): the pattern of the sum's name, and the two it is made of
_SUMS = (
    (re.compile(r"(.*)\.time_emb_proj\.bias$"), "conv1"),
    (re.compile(r"(.*)\.conv2\.bias$"), "conv_shortcut"),
)


@dataclass(frozen=True)
class _Original:
    """A parameter as the checkpoint names it, by where its memory begins."""

    name: str
    start: int
    bytes: int
    width: int


@dataclass(frozen=True)
class _Loaded:
    """The network that was loaded last: its part, and where its parameters lay before the exporter changed it."""

    part: str
    originals: tuple[_Original, ...]
    tensors: dict[str, torch.Tensor]  # keep the memory, and so the addresses


@dataclass(frozen=True)
class _Weightless(Checkpoint):
    """A checkpoint of which only configurations, tokenizers and scheduler are there: its networks have memory that nothing was written to."""

    loaded: list[_Loaded] = field(default_factory=list)

    def load(self, part: str, precision: str | None = None) -> torch.nn.Module:
        cls = self._class(part)
        with _no_initialisation():
            if part in self.encoders:
                config = cls.config_class.from_pretrained(self.path(part))
                config._attn_implementation, config.dtype = "eager", torch.float32
                model = cls(config)
            else:
                model = cls.from_config(self.config(part))
        model = model.eval().requires_grad_(False)
        tensors = model.state_dict()
        originals = tuple(
            _Original(name, t.data_ptr(), t.numel() * t.element_size(), t.element_size()) for name, t in tensors.items() if t.numel()
        )
        self.loaded[:] = [_Loaded(part, originals, tensors)]
        return model


@contextmanager
def _no_initialisation() -> Iterator[None]:
    """Random numbers for billions of weights would take minutes and all of the memory."""
    names = [n for n in dir(torch.nn.init) if n.endswith("_") and not n.startswith("_") and callable(getattr(torch.nn.init, n))]
    saved = {n: getattr(torch.nn.init, n) for n in names}
    normal = torch.Tensor.normal_
    for n in names:
        setattr(torch.nn.init, n, lambda tensor, *args, **kwargs: tensor)
    torch.Tensor.normal_ = lambda tensor, *args, **kwargs: tensor
    try:
        yield
    finally:
        torch.Tensor.normal_ = normal
        for n, function in saved.items():
            setattr(torch.nn.init, n, function)


def make(configs: Path, out: Path, name: str) -> dict[str, Any]:
    """Writes a template and returns its manifest. The folder ``out`` appears whole or not at all."""
    if out.exists():
        raise ExportError(f"{out} exists: give a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = _Weightless(configs, read_json(configs / "model_index.json"), "fp32")
    with whole_folder(out) as folder:
        manifest = build(checkpoint, folder, "fp32", lambda graph, place: _write(graph, place, checkpoint.loaded[-1]))
        manifest["name"] = name
        manifest["licence"] = "that of the checkpoint"
        write_manifest(manifest, folder, "manifest.json")
    return manifest


def _write(graph: Graph, folder: Path, loaded: _Loaded) -> None:
    state = graph.module.state_dict()
    # The tracer merges weights that are equal: those of memory that nothing was written to are.
    for i, value in enumerate(state.values()):
        if value.is_floating_point() and value.numel() > 1:
            value.view(-1)[:2] = torch.tensor([i // 1000, i % 1000], dtype=value.dtype)
    model = trace(graph, export_params=False, do_constant_folding=False)
    names = [value.name for value in model.graph.input if value.name not in graph.input_names]
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    kept = [value for value in model.graph.input if value.name in graph.input_names]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    _multiply_transposed(model, set(names))
    weights = {}
    for name in names:
        origin = _origin(name, state[name], loaded)
        weights[name] = origin | {"shape": list(state[name].shape), "type": _TYPES[types[name]]}
    shorten(model, set(names))
    (folder / graph.file).write_bytes(model.SerializeToString(deterministic=True))
    recipe = {"part": loaded.part, "weights": weights}
    text = json.dumps(recipe, indent=0, sort_keys=True) + "\n"
    (folder / graph.file).with_suffix(".weights.json").write_text(text, encoding="utf-8")
    print(f"  {graph.file}: {(folder / graph.file).stat().st_size:,} bytes, {len(weights)} weights", file=sys.stderr, flush=True)


def shorten(model: onnx.ModelProto, kept: set[str]) -> None:
    """Numbers in place of the tracer's names, which are most of a graph's bytes; ``kept`` and the graph's ends keep theirs."""
    graph = model.graph
    kept = kept | {value.name for value in (*graph.input, *graph.output)}
    names = {"": ""}

    def short(name: str) -> str:
        return name if name in kept else names.setdefault(name, f"{len(names):x}")

    for tensor in graph.initializer:
        tensor.name = short(tensor.name)
    for node in graph.node:
        node.name = ""
        for values in (node.input, node.output):
            values[:] = [short(name) for name in values]
    del graph.value_info[:]


def _multiply_transposed(model: onnx.ModelProto, names: set[str]) -> None:
    """Linear layers take their weights as checkpoints have them, [out, in]: the product reads them transposed."""
    graph = model.graph
    transposes = {n.output[0]: n for n in graph.node if n.op_type == "Transpose" and n.input[0] in names and list(n.attribute[0].ints) == [1, 0]}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in transposes:
            node.op_type, node.domain = "FusedMatMul", "com.microsoft"
            node.input[1] = transposes[node.input[1]].input[0]
            node.attribute.append(helper.make_attribute("transB", 1))
    used = {value for node in graph.node for value in node.input}
    for output, node in transposes.items():
        if output not in used:
            graph.node.remove(node)
    if not any(opset.domain == "com.microsoft" for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _origin(name: str, value: torch.Tensor, loaded: _Loaded) -> dict[str, Any]:
    """What a value of the graph is made of: a run of a parameter, or the sum of two."""
    start, size = value.data_ptr(), value.numel() * value.element_size()
    for original in loaded.originals:
        inside = original.start <= start and start + size <= original.start + original.bytes
        if inside and value.is_contiguous():
            return {"of": original.name, "at": (start - original.start) // original.width}
    known = {original.name for original in loaded.originals}
    bare = next((name[i:] for i in range(len(name)) if name[i:] in known), None)
    for pattern, other in _SUMS:
        match = bare and pattern.match(bare)
        if match:
            second = f"{match[1]}.{other}.bias"
            if second in known:
                return {"sum": [bare, second]}
    raise ExportError(f"{name} is no weight of the checkpoint: nothing says what it is made of")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("configs", type=Path, help="diffusers folder; weights are not needed")
    parser.add_argument("--out", type=Path, required=True, metavar="TEMPLATE", help="a new folder")
    parser.add_argument("--name", required=True, help="what the template is called")


def run(args: argparse.Namespace) -> None:
    make(args.configs, args.out, args.name)
