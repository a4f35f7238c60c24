# SPDX-License-Identifier: Apache-2.0
"""How the weights of a graph lie on disk."""

from __future__ import annotations

import hashlib
import mmap
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

#: Protobuf ends at 2 GB: with more than this, a graph's weights lie in one file beside it.
INLINE_BYTES = 1_900_000_000

_SMALLEST = 256  # values; what is smaller stays in the graph as it is
_PAGE = 4096  # ONNX Runtime maps weights that begin on a page


def data_file(path: Path) -> Path:
    """Where the weights of a graph lie that does not hold them itself."""
    return path.with_name(path.name + ".data")


def too_large(module: torch.nn.Module) -> bool:
    """Whether the module's weights have to lie beside its graph."""
    return sum(x.numel() * x.element_size() for x in module.state_dict().values()) > INLINE_BYTES


def write(model: onnx.ModelProto, path: Path, shared: Path | None = None) -> None:
    """Writes a graph that holds its weights; those that the earlier graph ``shared`` holds are taken from there.

    ONNX's external data is any run of bytes of any file beside the graph: here that of the weight inside ``shared``.
    """
    tensors = [(t.name, numpy_helper.to_array(t), t) for t in model.graph.initializer]
    casts = []
    for name, value, tensor in tensors:
        half = _half(value)
        if half is not None:
            tensor.CopyFrom(numpy_helper.from_array(half, name + ".fp16"))
            casts.append(_cast(name))
    _prepend(model, casts)
    onnx.checker.check_model(model)
    if shared is not None:
        share(model, shared)
    path.write_bytes(model.SerializeToString(deterministic=True))


def share(model: onnx.ModelProto, other: Path) -> None:
    """Takes every weight that the graph ``other`` holds, itself or beside itself, from there."""
    places = _weights(other)
    for tensor in model.graph.initializer:
        place = places.get(_digest(tensor.raw_data))
        if place is not None and len(tensor.raw_data) >= _SMALLEST:
            _refer(tensor, *place)


def write_beside(model: onnx.ModelProto, inputs: list[str], weights: Mapping[str, torch.Tensor], path: Path, shared: Path | None = None) -> None:
    """Writes a graph whose weights are graph inputs, and its weights into ``path`` + ".data", one after the other.

    Every graph input that is not in ``inputs`` is a weight of that name in ``weights``. No more than one of them is copied at a time.
    Weights of the earlier graph ``shared`` are taken from its file; if those are all, there is no file of this graph's own.
    """
    places = {} if shared is None else _weights(shared)
    graph = model.graph
    names = [value.name for value in graph.input if value.name not in inputs]
    kept = [value for value in graph.input if value.name in inputs]
    del graph.input[:]
    graph.input.extend(kept)
    transposed = _take_transposes(graph, set(names))
    casts = []
    with open(data_file(path), "wb") as data:
        for name in names:
            value = weights[name].detach().numpy()
            if name in transposed:
                name, value = transposed[name], np.ascontiguousarray(value.T)
            half = _half(value)
            if half is not None:
                casts.append(_cast(name))
                name, value = name + ".fp16", half
            tensor = numpy_helper.from_array(value, name)
            if value.size >= _SMALLEST:
                place = places.get(_digest(tensor.raw_data))
                _refer(tensor, *(place or _append(tensor, data)))
            graph.initializer.append(tensor)
    if data_file(path).stat().st_size == 0:
        data_file(path).unlink()
    _prepend(model, casts)
    path.write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path))


def _take_transposes(graph: onnx.GraphProto, names: set[str]) -> dict[str, str]:
    """Removes the transposes of matrices that are weights used nowhere else; the weight's name -> that of its transpose."""
    uses = Counter(value for node in graph.node for value in node.input)
    taken = [n for n in graph.node if n.op_type == "Transpose" and n.input[0] in names and uses[n.input[0]] == 1
             and list(n.attribute[0].ints) == [1, 0]]
    for node in taken:
        graph.node.remove(node)
    return {node.input[0]: node.output[0] for node in taken}


def _half(value: np.ndarray) -> np.ndarray | None:
    """The same values in half precision, where it holds them exactly: a checkpoint in fp16 gives bit-equal fp32 weights at half the size."""
    if value.dtype != np.float32 or value.size < _SMALLEST:
        return None
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), value) else None


def _cast(name: str) -> onnx.NodeProto:
    """Back to fp32; ONNX Runtime folds it when it loads."""
    return helper.make_node("Cast", [name + ".fp16"], [name], name=name + ".cast", to=TensorProto.FLOAT)


def _prepend(model: onnx.ModelProto, casts: list[onnx.NodeProto]) -> None:
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)


def _append(tensor: TensorProto, data: BinaryIO) -> tuple[str, int, int]:
    """Appends the tensor's bytes to the open file; file, offset and length."""
    data.write(b"\0" * (-data.tell() % _PAGE))
    offset = data.tell()
    data.write(tensor.raw_data)
    return Path(data.name).name, offset, len(tensor.raw_data)


def _refer(tensor: TensorProto, location: str, offset: int, length: int) -> None:
    """Leaves a reference in the graph instead of the tensor's bytes."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def _weights(path: Path) -> dict[bytes, tuple[str, int, int]]:
    """Where the weights of a graph lie: by the SHA-256 of their bytes the file, and offset and length in it."""
    beside = data_file(path)
    file = beside if beside.exists() else path
    places: dict[bytes, tuple[str, int, int]] = {}
    with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = 0
        for tensor in onnx.load(path, load_external_data=False).graph.initializer:
            if file == beside and tensor.data_location == TensorProto.EXTERNAL:
                entry = {e.key: e.value for e in tensor.external_data}
                offset, length = int(entry["offset"]), int(entry["length"])
                places.setdefault(_digest(content[offset : offset + length]), (file.name, offset, length))
            elif file == path and tensor.raw_data:
                offset = content.find(tensor.raw_data, end)  # tensors are written one after the other
                end = offset + len(tensor.raw_data)
                places.setdefault(_digest(tensor.raw_data), (file.name, offset, len(tensor.raw_data)))
    return places
