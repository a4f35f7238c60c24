# SPDX-License-Identifier: Apache-2.0
"""Where the time of a bundle's network goes on the CPU, operator by operator, against what this machine's core can do at best.

``python tests/operators.py BUNDLE [--graph denoiser|decoder|encoder] [--side N] [--threads N] [--runs N]``: one session of ONNX Runtime with the
optimisations that the engine has, random input, its profiler. The floor of a product, convolution or attention is its operations at the rate of
the best of them in the same run, of everything else its bytes at the rate of a copy; whichever takes longer. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime

_BYTES = {"float": 4, "float16": 2, "double": 8, "int64": 8, "int32": 4, "bool": 1, "uint8": 1, "int8": 1}
_PRODUCTS = ("MatMul", "Gemm", "FusedMatMul", "FusedGemm")
_ATTENTION = ("MultiHeadAttention", "Attention")
_VIEWS = ("Reshape", "Squeeze", "Unsqueeze", "Shape", "Identity", "Flatten")  # that move nothing

Shape = tuple[str, list[int]]


@dataclass(frozen=True)
class Call:
    """One evaluation of an operator.

    seconds: that it took; operations: multiplications and additions, 0 of one that is bound by memory; moved: bytes, if each tensor is
    touched once.
    """

    kind: str
    seconds: float
    operations: float
    moved: int

    @staticmethod
    def of(event: dict[str, Any]) -> Call:
        """What the profiler says of it."""
        given = event["args"]
        inputs, outputs = shapes(given["input_type_shape"]), shapes(given["output_type_shape"])
        return Call(given["op_name"], event["dur"] / 1e6, operations(given["op_name"], inputs, outputs), moved(inputs, outputs))


def shapes(entries: list[dict[str, list[int]]]) -> list[Shape]:
    """(type, dimensions) of the profiler's inputs or outputs."""
    return [next(iter(entry.items())) for entry in entries if entry]


def operations(kind: str, inputs: list[Shape], outputs: list[Shape]) -> float:
    """Multiplications and additions; 0 of an operator that is bound by memory."""
    if kind.endswith("Conv") or kind == "FusedConv":
        return 2.0 * math.prod(outputs[0][1]) * math.prod(inputs[1][1][1:])
    if kind in _PRODUCTS:
        return 2.0 * math.prod(inputs[0][1]) * outputs[0][1][-1]  # also of a transposed left side
    if kind in _ATTENTION:
        batch, queries, width = inputs[0][1]
        keys = inputs[1][1][1] if len(inputs) > 1 and len(inputs[1][1]) == 3 else queries
        return 4.0 * batch * queries * keys * width
    return 0.0


def moved(inputs: list[Shape], outputs: list[Shape]) -> int:
    """Bytes, if each tensor is touched once."""
    return sum(_BYTES.get(kind, 4) * math.prod(shape) for kind, shape in inputs + outputs)


def peak(threads: int) -> tuple[float, float]:
    """Operations and bytes a second, the best of several: a product of 1536 x 1536 matrices in ONNX Runtime, and a copy of 256 MB."""
    from onnx import TensorProto, helper

    side = 1536
    square = [side, side]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])], "product",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, square) for name in "ab"],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, square)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options(threads), providers=["CPUExecutionProvider"])
    feed = {name: np.random.default_rng(0).standard_normal(square, dtype=np.float32) for name in "ab"}
    source = np.ones(64 << 20, np.float32)
    target = np.empty_like(source)
    products, copies = [], []
    for _ in range(20):
        start = time.perf_counter()
        session.run(None, feed)
        products.append(time.perf_counter() - start)
        start = time.perf_counter()
        np.copyto(target, source)
        copies.append(time.perf_counter() - start)
    return 2.0 * side**3 / min(products), 2.0 * source.nbytes / min(copies)


def options(threads: int) -> onnxruntime.SessionOptions:
    result = onnxruntime.SessionOptions()
    result.intra_op_num_threads = threads
    result.add_session_config_entry("session.set_denormal_as_zero", "1")
    return result


def feed(session: onnxruntime.InferenceSession, side: int, width: int) -> dict[str, np.ndarray]:
    """Random input: two rows of latents, or one picture; names of dynamic dimensions tell which are which."""
    rng = np.random.default_rng(1)
    given = {}
    for value in session.get_inputs():
        dims = []
        for place, dim in enumerate(value.shape):
            if isinstance(dim, int):
                dims.append(dim)
            elif place == 0:
                dims.append(2 if width else 1)
            else:
                dims.append(side if len(value.shape) == 4 else 77)
        if value.name == "timestep":
            given[value.name] = np.full(dims, 500, np.float32)
        elif value.type == "tensor(int64)":
            given[value.name] = np.ones(dims, np.int64)
        else:
            given[value.name] = rng.standard_normal(dims, dtype=np.float32)
    return given


def profile(graph: Path, threads: int, runs: int, side: int, rows: int) -> tuple[list[Call], float]:
    """The operators of the runs after the first, and the processor seconds of one run."""
    with TemporaryDirectory() as folder:
        settings = options(threads)
        settings.enable_profiling = True
        settings.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(graph), settings, providers=["CPUExecutionProvider"])
        given = feed(session, side, rows)
        session.run(None, given)
        start = time.process_time()
        for _ in range(runs):
            session.run(None, given)
        seconds = (time.process_time() - start) / runs
        events = json.loads(Path(session.end_profiling()).read_text())
    starts = [e["ts"] for e in events if e.get("name") == "model_run"]
    first = sorted(starts)[1]
    return [Call.of(e) for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time") and e["ts"] >= first], seconds


def fastest(calls: list[Call]) -> list[float]:
    """Operations a second of each kind of operator: one may outdo the product that was measured alone."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 1e-6])
    for call in calls:
        sums[call.kind][0] += call.operations
        sums[call.kind][1] += call.seconds
    return [work / seconds for work, seconds in sums.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--graph", default="denoiser", choices=("denoiser", "decoder", "encoder"))
    parser.add_argument("--side", type=int, help="of the latents, or of the encoder's picture (default: native)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=2)
    args = parser.parse_args()
    manifest = json.loads((args.bundle / "manifest.json").read_text())
    file = manifest["denoiser"]["file"] if args.graph == "denoiser" else manifest["vae"][args.graph]
    latent = manifest["latent"]
    side = args.side or latent["native_size"][0] * (latent["vae_factor"] if args.graph == "encoder" else 1)
    rate, bandwidth = peak(args.threads)
    calls, seconds = profile(args.bundle / file, args.threads, args.runs, side, int(args.graph == "denoiser"))
    again, _ = peak(args.threads)
    product = max(rate, again)
    rate = max(product, *fastest(calls))
    total = sum(call.seconds for call in calls) / args.runs
    rows: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0, 0.0])
    for call in calls:
        row = rows[call.kind]
        row[0] += 1 / args.runs
        row[1] += call.seconds / args.runs
        row[2] += 0 if call.kind in _VIEWS else max(call.operations / rate, call.moved / bandwidth) / args.runs
        row[3] += call.operations / args.runs
    print(f"{args.bundle.name} {args.graph}, side {side}, {args.threads} thread(s), ONNX Runtime {onnxruntime.__version__}: {total:.2f} s in operators, "
          f"{seconds:.2f} s of processors; best product {product / 1e9:.0f} GFLOP/s, best operator {rate / 1e9:.0f}, copy {bandwidth / 1e9:.1f} GB/s")
    print("| operator | calls | s | share, % | TFLOP | floor, s | time / floor |")
    print("|---|---|---|---|---|---|---|")
    floor = 0.0
    for kind, (count, took, least, work) in sorted(rows.items(), key=lambda item: -item[1][1]):
        floor += least
        if took >= 0.002 * total:
            print(f"| {kind} | {count:.0f} | {took:.3f} | {100 * took / total:.1f} | {work / 1e12:.3f} | {least:.3f} | {took / least if least else math.inf:.2f} |")
    print(f"| all | {sum(row[0] for row in rows.values()):.0f} | {total:.3f} | 100 | {sum(row[3] for row in rows.values()) / 1e12:.3f} | {floor:.3f} | {total / floor:.2f} |")


if __name__ == "__main__":
    main()
