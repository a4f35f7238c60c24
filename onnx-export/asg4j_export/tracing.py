# SPDX-License-Identifier: Apache-2.0
"""One module becomes one ONNX file, which ONNX Runtime has to agree with PyTorch on."""

from __future__ import annotations

import hashlib
import io
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from . import storage
from .errors import ExportError

OPSET = 17
#: error of ONNX Runtime against PyTorch: fp32 the largest, relative to the output's largest value; fp16, where both round
#: in places of their own, the root mean square, relative to the output's
TOLERANCE = {"fp32": 2e-4, "fp16": 3e-2}


@dataclass
class Graph:
    """One module to export, with example inputs at two sizes for tracing and for the parity check."""

    file: str
    module: torch.nn.Module
    input_names: list[str]
    output_names: list[str]
    dynamic_axes: dict[str, dict[int, str]]
    examples: list[tuple[torch.Tensor, ...]]
    precision: str = "fp32"
    weights_of: str | None = None  # an earlier graph with the same weights


def write(graph: Graph, folder: Path) -> None:
    """Exports one graph; raises if ONNX Runtime disagrees with PyTorch. A large module loses its weights."""
    started = time.monotonic()
    path = folder / graph.file
    with torch.no_grad(), _in_float32(graph.module):
        expected = [graph.module(*example) for example in graph.examples]
    shared = None if graph.weights_of is None else folder / graph.weights_of
    if storage.too_large(graph.module):
        # As inputs, weights are neither folded nor written by the tracer.
        model = trace(graph, export_params=False, do_constant_folding=False)
        storage.write_beside(model, graph.input_names, graph.module.state_dict(), path, shared)
        _release(graph.module)
    else:
        model = trace(graph)
        storage.write(model, path, shared)
    del model
    error = _parity(graph, path, expected)
    size = sum(part.stat().st_size for part in folder.glob(graph.file + "*"))
    print(f"  {graph.file}: {size:,} bytes, error {error:.1e}, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def _in_float32(module: torch.nn.Module) -> Iterator[None]:
    """A network in halves computes in float32 meanwhile: PyTorch's convolutions in halves take some sixty times as long on the CPU."""
    halves = [tensor for tensor in (*module.parameters(), *module.buffers()) if tensor.dtype == torch.float16]
    for tensor in halves:
        tensor.data = tensor.data.float()
    try:
        yield
    finally:
        for tensor in halves:
            tensor.data = tensor.data.half()


def trace(graph: Graph, **options: bool) -> onnx.ModelProto:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.module,
            graph.examples[0],
            buffer,
            input_names=graph.input_names,
            output_names=graph.output_names,
            dynamic_axes=graph.dynamic_axes,
            opset_version=OPSET,
            dynamo=False,
            **options,
        )
    model = onnx.load_from_string(buffer.getvalue())
    for node in model.graph.node:
        node.doc_string = ""
    return model


def _release(module: torch.nn.Module) -> None:
    """Frees the weights of a large module, which is of no use afterwards: ONNX Runtime is about to load them once more."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = torch.empty(0, dtype=tensor.dtype)


def _parity(graph: Graph, path: Path, expected: list) -> float:
    options = onnxruntime.SessionOptions()
    if storage.data_file(path).exists():
        # As few copies of large weights as can be: no layouts of the CPU's own, no casts done ahead.
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    if [i.name for i in session.get_inputs()] != graph.input_names:
        raise ExportError(f"{path.name}: the exported graph lost an input: {[i.name for i in session.get_inputs()]}")
    tolerance = TOLERANCE[graph.precision]
    worst = 0.0
    for example, outputs in zip(graph.examples, expected):
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        actual = session.run(graph.output_names, {n: x.numpy() for n, x in zip(graph.input_names, example)})
        for output, a, b in zip(graph.output_names, actual, outputs):
            b = b.numpy()
            if a.shape != b.shape:
                raise ExportError(f"{path.name}: {output} has shape {a.shape}, expected {b.shape}")
            error = _error(a, b, graph.precision)
            worst = max(worst, error)
            if not error <= tolerance:
                raise ExportError(f"{path.name}: {output} differs from PyTorch by {error:.1e}, allowed {tolerance:.0e}")
    return worst


def _error(actual: np.ndarray, expected: np.ndarray, precision: str) -> float:
    measure = np.max if precision == "fp32" else lambda x: np.sqrt(np.mean(np.square(x, dtype=np.float64)))
    return float(measure(np.abs(actual - expected)) / max(1e-12, measure(np.abs(expected))))


def fingerprint(path: Path) -> dict:
    digest = hashlib.sha256()
    with open(path, "rb") as content:
        while chunk := content.read(1 << 22):
            digest.update(chunk)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
