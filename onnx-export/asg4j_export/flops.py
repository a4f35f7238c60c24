# SPDX-License-Identifier: Apache-2.0
"""Floating-point operations of a bundle's graphs, counted in the graphs themselves.

``asg4j-export flops BUNDLE`` adds them to the manifest of a bundle that was exported without. A multiplication and an addition are two.
Convolutions, matrix products and attention's two products count; what runs over a tensor element by element does not. A graph's count is a
polynomial of the latent cells n = h*w that it is run over, [constant, linear, quadratic]: convolutions and linear layers grow with n,
attention of all cells with all of them with n^2.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from .errors import ExportError
from .manifests import read_manifest, replace_manifest

#: what a value is while a graph is walked: a small tensor that is known, as extents are, or one of which the shape is
Value: TypeAlias = np.ndarray | torch.Tensor

#: latent height and width in multiples of what a graph takes: three that the polynomial is put through, and one that it has to meet
_SIZES = ((4, 4), (4, 8), (8, 8), (5, 9))

#: constants up to so many values are known; larger ones are weights
_KNOWN = 64

_SAME = {
    "BiasGelu", "Cast", "Cos", "Erf", "FastGelu", "Gelu", "Identity", "InstanceNormalization", "LayerNormalization", "QuickGelu", "Sigmoid", "SkipLayerNormalization",
    "Sin", "Softmax", "Sqrt",
}  # fmt: skip
_ELEMENTWISE = {"Add", "Div", "Equal", "Mul", "Pow", "Sub", "Where"}


def of_bundle(manifest: Mapping[str, Any], find: Callable[[str], Path]) -> dict[str, Any]:
    """The manifest's ``flops``; ``find`` gives the path of a graph."""
    latent, vae = manifest["latent"], manifest["vae"]
    multiple, factor = latent["unet_multiple"], latent["vae_factor"]
    # Without the attention maps: 0.3 % of it, which only masks read, and published counts have none.
    denoiser = Graph.read(find(manifest["denoiser"]["file"])).leading_to("noise")
    axes = {"batch": (1, 0), "tokens": (_tokens(manifest), 0)}
    cells = {"height": (1, 0), "width": (1, 1)}
    counts: dict[str, Any] = {"denoiser": polynomial(denoiser, axes | cells, multiple)}
    shallow = denoiser.outermost()
    if shallow is not None:
        counts["shallow"] = polynomial(shallow, axes | cells, multiple)
    for part in ("decoder", "encoder"):
        if vae.get(part):
            pixels = {f"{axis}*{factor}": (factor, i) for i, axis in enumerate(("height", "width"))}
            counts[part] = polynomial(Graph.read(find(vae[part])), {"batch": (1, 0)} | cells | pixels)
    for part, whole, tile in (("tiled_decoder", "front", "tail"), ("tiled_encoder", "tail", "front")):
        if vae.get(part):
            scale = vae[part]["scale"]
            sides = {"": 1, "feature_": scale, "image_": factor}
            axes = {f"{name}{axis}": (each, i) for name, each in sides.items() for i, axis in enumerate(("height", "width"))}
            tiled = Graph.read(find(vae[part][tile]))
            counts[part] = {
                "whole": polynomial(Graph.read(find(vae[part][whole])), axes),
                "tile": _sum(polynomial(graph, axes) for graph in (tiled, tiled.norms()[0])),
                "anew": _sum([polynomial(tiled, axes)] * (1 + len(tiled.norms()))),
            }
    return counts


def _sum(counts: Iterable[list[int | float]]) -> list[int | float]:
    return [sum(each) for each in zip(*counts, strict=True)]


def _tokens(manifest: Mapping[str, Any]) -> int:
    """Tokens that a row attends to, of a prompt of one chunk."""
    first, *others = manifest["text_encoders"]
    return first["length"] + sum(e["length"] for e in others if e.get("join") == "tokens") + manifest["conditioning"].get("zero_tokens", 0)


def polynomial(graph: Graph, axes: Mapping[str, tuple[int, int]], multiple: int = 1) -> list[int | float]:
    """[c0, c1, c2]: the operations of a graph over n cells are c0 + c1*n + c2*n^2.

    ``axes`` says for each extent of the graph's inputs that is not fixed what it is: so many times the latents' height (0) or width (1), or,
    for "batch" and "tokens", so many. ``multiple``: latent extents are multiples of it.
    """
    counted = []
    for rows, columns in _SIZES:
        size = rows * multiple, columns * multiple
        extents = {name: each if name in ("batch", "tokens") else each * size[axis] for name, (each, axis) in axes.items()}
        counted.append((size[0] * size[1], graph.flops(extents)))
    *through, (cells, check) = counted
    coefficients = _coefficients(through)
    if sum(c * cells**i for i, c in enumerate(coefficients)) != check:
        raise ExportError(f"{graph.name}: its operations are no polynomial of the latent cells: {counted}")
    return [int(c) if c.denominator == 1 else float(c) for c in coefficients]


def _coefficients(points: list[tuple[int, int]]) -> list[Fraction]:
    """Of the parabola through three points."""
    (x0, y0), (x1, y1), (x2, y2) = points
    first, second = Fraction(y1 - y0, x1 - x0), Fraction(y2 - y1, x2 - x1)
    quadratic = (second - first) / (x2 - x0)
    linear = first - quadratic * (x0 + x1)
    return [y0 - linear * x0 - quadratic * x0**2, linear, quadratic]


class Graph:
    """A graph of which shapes are followed from its inputs to its outputs."""

    def __init__(
        self,
        name: str,
        nodes: list[onnx.NodeProto],
        inputs: Mapping[str, list[int | str]],
        constants: Mapping[str, Value],
        outputs: frozenset[str] | None = None,
    ):
        self.name = name
        self._nodes = nodes
        self._inputs = inputs
        self._constants = constants
        self._counted = outputs  # of the nodes whose operations count; None: all do

    @staticmethod
    def read(path: Path) -> Graph:
        """Of a file, whose weights may lie in other files or, a template's, nowhere."""
        graph = onnx.load(path, load_external_data=False).graph
        constants: dict[str, Value] = {}
        for tensor in graph.initializer:
            known = math.prod(tensor.dims) <= _KNOWN and not tensor.external_data
            constants[tensor.name] = numpy_helper.to_array(tensor) if known else _of(tensor.dims)
        recipe = path.with_suffix(".weights.json")
        if recipe.exists():
            weights = json.loads(recipe.read_text(encoding="utf-8"))["weights"]
            constants |= {name: _of(weight["shape"]) for name, weight in weights.items()}
        inputs = {value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.input}
        return Graph(path.name, list(graph.node), inputs, constants)

    def norms(self) -> list[Graph]:
        """Of a part that runs in tiles: what leads to the moments of each norm (model/PassCut.java)."""
        gathered = next(node for node in self._nodes if "moments" in node.output)
        return [self.leading_to(name) for name in gathered.input]

    def outermost(self) -> Graph | None:
        """What a UNet computes anew where its last join keeps what it reads from below (DeepCache); None: there is no such join.

        The join and the cut are those of the engine (model/FeatureCut.java).
        """
        leading = self._nodes_leading_to("noise")
        joins = [n for n in leading if n.op_type == "Concat" and len(n.input) == 2 and "sample" not in n.input and _attributes(n)["axis"] == 1]
        if not joins or not any(n.op_type == "Conv" and joins[-1].input[1] in n.output for n in leading):
            return None
        return self.leading_to("noise", joins[-1].input[0])

    def leading_to(self, name: str, given: str | None = None) -> Graph:
        """The graph of which only those operations count that a value is computed by, where ``given`` is."""
        outputs = frozenset(output for node in self._nodes_leading_to(name, given) for output in node.output)
        return Graph(self.name, self._nodes, self._inputs, self._constants, outputs)

    def _nodes_leading_to(self, name: str, given: str | None = None) -> list[onnx.NodeProto]:
        read, leading = {name}, []
        for node in reversed(self._nodes):
            if read & set(node.output):
                leading.append(node)
                read |= set(node.input) - {given}
        return leading[::-1]

    def flops(self, extents: Mapping[str, int]) -> int:
        """Operations where the inputs' extents that are not fixed are these."""
        values = dict(self._constants)
        for name, dims in self._inputs.items():
            values[name] = _of([d if isinstance(d, int) else extents[d] for d in dims])
        total = 0
        for node in self._nodes:
            inputs = [values[name] if name else None for name in node.input]
            outputs, count = _walk(node, inputs)
            if self._counted is None or node.output[0] in self._counted:
                total += count
            values |= {name: value for name, value in zip(node.output, outputs) if name}
        return total


def _of(shape: Any) -> torch.Tensor:
    """A tensor of which only the shape is there."""
    return torch.empty(tuple(int(extent) for extent in shape), device="meta")


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _ints(value: Any) -> list[int]:
    return [int(each) for each in np.asarray(value).reshape(-1)]


def _walk(node: onnx.NodeProto, inputs: list[Any]) -> tuple[list[Value], int]:
    """The outputs of a node, and its operations."""
    kind, options = node.op_type, _attributes(node)
    if kind == "Shape":
        whole = inputs[0].shape
        return [np.array(whole[slice(options.get("start"), options.get("end"))], dtype=np.int64)], 0
    if kind == "ConstantOfShape" and math.prod(_ints(inputs[0])) > _KNOWN:
        return [_of(_ints(inputs[0]))], 0
    if all(value is None or isinstance(value, np.ndarray) for value in inputs):
        names = {name: value for name, value in zip(node.input, inputs) if name}
        return list(ReferenceEvaluator(node).run(None, names)), 0
    if kind in ("Conv", "MatMul", "FusedMatMul", "Gemm", "MultiHeadAttention"):
        return _product(kind, options, inputs)
    return _moved(node, options, inputs), 0


def _product(kind: str, options: dict[str, Any], inputs: list[Any]) -> tuple[list[Value], int]:
    a, b = _of(inputs[0].shape), _of(inputs[1].shape)
    if kind == "Conv":
        top, left, bottom, right = options.get("pads", [0, 0, 0, 0])
        y = F.conv2d(F.pad(a, (left, right, top, bottom)), b, None, options.get("strides", 1), 0, options.get("dilations", 1), options.get("group", 1))
        return [y], 2 * y.numel() * math.prod(b.shape[1:])
    if kind == "MultiHeadAttention":
        value = inputs[2]
        y = _of((*a.shape[:2], value.shape[2]))
        return [y], 2 * a.shape[0] * a.shape[1] * b.shape[1] * (a.shape[2] + value.shape[2])
    a, b = (x.transpose(-1, -2) if options.get(f"trans{side}") else x for x, side in ((a, "A"), (b, "B")))
    y = a @ b
    return [y], 2 * y.numel() * a.shape[-1]


def _moved(node: onnx.NodeProto, options: dict[str, Any], inputs: list[Any]) -> list[Value]:
    """Of operators that compute no sums of products."""
    kind, x = node.op_type, inputs[0]
    if kind in _SAME:
        return [_of(x.shape) for _ in node.output]
    if kind in _ELEMENTWISE:
        return [_of(np.broadcast_shapes(*(value.shape for value in inputs)))]
    if kind == "Transpose":
        return [x.permute(*options["perm"])]
    if kind == "Concat":
        return [torch.cat([_of(value.shape) for value in inputs], options["axis"])]
    if kind == "Reshape":
        kept = [x.shape[i] if extent == 0 else extent for i, extent in enumerate(_ints(inputs[1]))]
        return [_of(x.shape).reshape(kept)]
    if kind == "Expand":
        return [_of(np.broadcast_shapes(x.shape, _ints(inputs[1])))]
    if kind == "Tile":
        return [_of(np.multiply(x.shape, _ints(inputs[1])))]
    if kind in ("Squeeze", "Unsqueeze"):
        shape = list(x.shape)
        axes = _ints(inputs[1])
        if kind == "Squeeze":
            return [_of([n for i, n in enumerate(shape) if i not in {axis % len(shape) for axis in axes}])]
        for axis in sorted(axis % (len(shape) + len(axes)) for axis in axes):
            shape.insert(axis, 1)
        return [_of(shape)]
    if kind == "Slice":
        starts, ends = _ints(inputs[1]), _ints(inputs[2])
        axes = _ints(inputs[3]) if len(inputs) > 3 else list(range(len(starts)))
        steps = _ints(inputs[4]) if len(inputs) > 4 else [1] * len(starts)
        shape = list(x.shape)
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            shape[axis] = len(range(x.shape[axis])[start:end:step])
        return [_of(shape)]
    if kind == "Split":
        axis = options.get("axis", 0)
        sizes = _ints(inputs[1]) if len(inputs) > 1 else [x.shape[axis] // len(node.output)] * len(node.output)
        return list(torch.split(_of(x.shape), sizes, axis))
    if kind == "Gather":
        axis = options.get("axis", 0) % len(x.shape)
        return [_of((*x.shape[:axis], *inputs[1].shape, *x.shape[axis + 1 :]))]
    if kind == "Pad":
        pads = _ints(inputs[1])
        return [_of([n + pads[i] + pads[i + len(x.shape)] for i, n in enumerate(x.shape)])]
    if kind == "Resize":
        given = len(inputs) > 3 and inputs[3] is not None
        return [_of(_ints(inputs[3]) if given else np.floor(np.multiply(x.shape, inputs[2])))]
    if kind in ("ReduceMean", "ReduceSum"):
        over = _ints(inputs[1]) if len(inputs) > 1 else list(options.get("axes", range(len(x.shape))))
        return [_of(x.shape).sum(over, keepdim=bool(options.get("keepdims", 1)))]
    if kind == "Einsum" and len(inputs) == 1:  # an order of axes; of two operands it would be a product
        return [torch.einsum(options["equation"].decode(), _of(x.shape))]
    raise ExportError(f"operations of the operator {kind} are not known: they cannot be counted")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="folder of a bundle; its manifest is written anew")


def run(args: argparse.Namespace) -> None:
    manifest = read_manifest(args.bundle)
    replace_manifest(args.bundle, manifest | {"flops": of_bundle(manifest, args.bundle.joinpath)})
