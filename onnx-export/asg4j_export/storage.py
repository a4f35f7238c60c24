# SPDX-License-Identifier: Apache-2.0
"""How the weights of a graph lie on disk."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Protobuf ends at 2 GB: beyond this a graph's weights lie in one file beside it.
INLINE_BYTES = 1_900_000_000

_SMALLEST = 256  # values; what is smaller stays in the graph as it is
_PAGE = 4096  # ONNX Runtime maps weights that begin on a page


def write(model: onnx.ModelProto, source: Path, path: Path, inline_bytes: int = INLINE_BYTES) -> None:
    """Writes the graph, whose weights may lie in files of the folder ``source``, and its weights.

    Weights go into the graph, or tensor by tensor into ``path`` + ".data" if they would be more than ``inline_bytes``; one tensor
    is held in memory at a time. Files of ``source`` are deleted as they are read.
    """
    total = sum(onnx.helper.tensor_dtype_to_np_dtype(t.data_type).itemsize * int(np.prod(t.dims)) for t in model.graph.initializer)
    if total <= inline_bytes:
        _halve_all(model, source, None)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString(deterministic=True))
        return
    with open(path.with_name(path.name + ".data"), "wb") as data:
        _halve_all(model, source, data)
    path.write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path))


def _halve_all(model: onnx.ModelProto, source: Path, data: BinaryIO | None) -> None:
    """Stores every weight that half precision holds exactly as fp16 behind a Cast, which loading folds away.

    Nothing is rounded: a checkpoint in fp16 gives bit-equal fp32 weights at half the size.
    """
    casts = []
    for tensor in model.graph.initializer:
        file = _file(tensor, source)
        value = numpy_helper.to_array(tensor, str(source))
        name = tensor.name
        half = _half(value) if tensor.data_type == TensorProto.FLOAT else None
        if half is not None:
            tensor.CopyFrom(numpy_helper.from_array(half, name + ".fp16"))
            casts.append(helper.make_node("Cast", [name + ".fp16"], [name], name=name + ".cast", to=TensorProto.FLOAT))
        elif file is not None:
            tensor.CopyFrom(numpy_helper.from_array(value, name))
        if data is not None and value.size >= _SMALLEST:
            _move(tensor, data)
        if file is not None:
            file.unlink()
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)


def _half(value: np.ndarray) -> np.ndarray | None:
    if value.size < _SMALLEST:
        return None
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), value) else None


def _file(tensor: TensorProto, source: Path) -> Path | None:
    if tensor.data_location != TensorProto.EXTERNAL:
        return None
    return source / next(entry.value for entry in tensor.external_data if entry.key == "location")


def _move(tensor: TensorProto, data: BinaryIO) -> None:
    """Appends the tensor's bytes to the open file and leaves a reference in the graph."""
    data.write(b"\0" * (-data.tell() % _PAGE))
    offset = data.tell()
    data.write(tensor.raw_data)
    length = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, text in (("location", Path(data.name).name), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=text)
