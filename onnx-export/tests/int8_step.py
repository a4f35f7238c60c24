# SPDX-License-Identifier: Apache-2.0
"""What int8 saves of a guided step (a denoiser's call of two rows) on the CPU, through ONNX Runtime's own kernels, and what it costs in error.

``python tests/int8_step.py BUNDLE [--rounds 3] [--cells 64] [--calibrate 5 64] [--without-amx] [--folder FOLDER]``: the bundle's denoiser in fp32, with the
matrix products quantised as they come (``dynamic``), with products and convolutions quantised by ranges found before (``static``), and with the products alone
quantised so (``products``); weights in int8 for each output channel, activations in uint8. One thread; all of them in turn in one process, so that other work
of the machine meets all alike. Prints one line of JSON each: processor time, error, kernels that really ran, where the time goes.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import json
import multiprocessing
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# onnxruntime is imported where it is used: it asks for AMX when it is loaded, which --without-amx has to forestall.

PRODUCTS = ("MatMul", "Gemm")
INTEGER_KERNELS = ("QLinearConv", "QLinearMatMul", "QGemm", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulInteger", "ConvInteger")
FP32_KERNELS = ("Conv", "FusedConv", "MatMul", "FusedMatMul", "Gemm", "FusedGemm")
TEXT_TOKENS = 77


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=3, help="calls of each network that count, after a first one")
    parser.add_argument("--cells", type=int, nargs="+", default=[64], help="heights (and widths) of the latents, one after the other")
    parser.add_argument("--calibrate", type=int, nargs=2, default=(5, 64), metavar=("CALLS", "CELLS"), help="what the ranges are taken from")
    parser.add_argument("--networks", default="dynamic,static", help="of these and products")
    parser.add_argument("--without-amx", action="store_true", help="as on a CPU without it (Linux): what AVX-512 or AVX-VNNI give")
    parser.add_argument("--folder", type=Path, help="where the networks are written, and used again; default: a temporary one")
    args = parser.parse_args()
    if args.without_amx:
        _refuse_amx()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        _once(folder, "fp32.onnx", _to_fp32, args.bundle / "denoiser.onnx")
        for name in args.networks.split(","):
            if name == "dynamic":
                _once(folder, "dynamic.onnx", _quantize_dynamic, folder / "fp32.onnx")
            else:
                _once(folder, "ranges.json", _calibrate, folder / "fp32.onnx", *args.calibrate)
                kinds = PRODUCTS if name == "products" else ("Conv", *PRODUCTS)
                _once(folder, f"{name}.onnx", _quantize_static, folder / "fp32.onnx", folder / "ranges.json", kinds)
        _measure(folder, ["fp32", *args.networks.split(",")], args.cells, args.rounds, args.calibrate)


def _once(folder: Path, name: str, write: Callable[..., None], *arguments: Any) -> None:
    """Writes a file, unless it is there, in a process of its own, which gives its memory back."""
    target = folder / name
    if not target.exists():
        process = multiprocessing.get_context("spawn").Process(target=write, args=(target, *arguments))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{name}: could not be written")


def _to_fp32(target: Path, source: Path) -> None:
    """A copy without casts of weights, and with plain products: what the quantisers know."""
    model = onnx.load(source)
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in stored:
            value = numpy_helper.to_array(stored[node.input[0]])
            dtype = helper.tensor_dtype_to_np_dtype(helper.get_node_attr_value(node, "to"))
            stored[node.output[0]] = numpy_helper.from_array(value.astype(dtype), node.output[0])
        else:
            nodes.append(node)
    for node in nodes:
        if node.op_type == "FusedMatMul" and node.input[1] in stored:
            options = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
            if any(options.get(name) for name in ("transA", "transBatchA", "transBatchB")):
                raise SystemExit(f"{node.output[0]}: a product that is transposed otherwise than by its weight")
            alpha = options.get("alpha", 1.0)
            if options.get("transB") or alpha != 1:
                name = f"{node.input[1]}.{'t' if options.get('transB') else 'n'}.{alpha}"
                if name not in stored:
                    value = numpy_helper.to_array(stored[node.input[1]]) * np.float32(alpha)
                    stored[name] = numpy_helper.from_array(np.ascontiguousarray(value.T if options.get("transB") else value), name)
                node.input[1] = name
            node.op_type, node.domain = "MatMul", ""
            del node.attribute[:]
    for index, node in enumerate(nodes):
        node.name = f"{node.op_type}_{index}"  # what the quantisers are told of nodes by
    used = {name for node in nodes for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for name, tensor in stored.items() if name in used)
    # The quantisers leave alone what they do not know the type of, and ONNX's inference ends at the first operator of com.microsoft.
    known = {value.name for values in (graph.value_info, graph.input, graph.output) for value in values} | set(stored)
    names = {name: None for node in nodes if node.op_type in ("Conv", *PRODUCTS) for name in (*node.input, *node.output)}
    graph.value_info.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name and name not in known)
    onnx.save(model, target, save_as_external_data=True, location=f"{target.name}.data")


def _weighted(source: Path, kinds: tuple[str, ...]) -> list[str]:
    """The nodes of these kinds that have constant weights."""
    graph = onnx.load(source, load_external_data=False).graph
    constant = {tensor.name for tensor in graph.initializer}
    return [node.name for node in graph.node if node.op_type in kinds and node.input[1] in constant]


def _quantize_dynamic(target: Path, source: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source, target, op_types_to_quantize=list(PRODUCTS), nodes_to_quantize=_weighted(source, PRODUCTS), per_channel=True, weight_type=QuantType.QInt8,
        use_external_data_format=True, extra_options={"MatMulConstBOnly": True, "DefaultTensorType": TensorProto.FLOAT},
    )


def _calibrate(target: Path, source: Path, calls: int, cells: int) -> None:
    """The least and the greatest value that each tensor to be quantised took in these calls: the quantiser's own way holds 14 GB for 860 million weights."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import TensorsData, save_tensors_data

    model = onnx.load(source, load_external_data=False)
    weighted = set(_weighted(source, ("Conv", *PRODUCTS)))
    tensors = {name: None for node in model.graph.node if node.name in weighted for name in (node.input[0], *(node.output if node.op_type == "Conv" else ()))}
    asked = {f"{name}.{kind}": (name, kind) for name in tensors for kind in ("ReduceMin", "ReduceMax")}
    for output, (name, kind) in asked.items():
        model.graph.node.append(helper.make_node(kind, [name], [output], name=output, keepdims=0))
        model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, []))
    watched = source.with_name("watched.onnx")  # beside the weights, which it shares
    onnx.save(model, watched)
    session = onnxruntime.InferenceSession(watched, providers=["CPUExecutionProvider"])
    watched.unlink()
    found = [session.run(list(asked), inputs) for inputs in _inputs(cells, range(calls), calls)]
    least = dict(zip(asked, np.min(found, axis=0)))
    greatest = dict(zip(asked, np.max(found, axis=0)))
    ranges = {name: (np.float32(least[f"{name}.ReduceMin"]), np.float32(greatest[f"{name}.ReduceMax"])) for name in tensors}
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, ranges), target)


def _quantize_static(target: Path, source: Path, ranges: Path, kinds: tuple[str, ...]) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    quantize_static(
        source, target, quant_format=QuantFormat.QDQ, op_types_to_quantize=list(kinds), nodes_to_quantize=_weighted(source, kinds),
        per_channel=True, reduce_range=False, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, use_external_data_format=True,
        calibrate_method=CalibrationMethod.MinMax, calibration_cache_path=ranges,
        # A product's result is written in fp32, which costs the kernel nothing; only convolutions have to write integers.
        extra_options={"OpTypesToExcludeOutputQuantization": list(PRODUCTS), "DefaultTensorType": TensorProto.FLOAT},
    )


def _inputs(cells: int, seeds: range, count: int) -> Iterator[dict[str, np.ndarray]]:
    """Latents and text as a denoiser with random weights has them all along, steps spread over the schedule."""
    for index, seed in enumerate(seeds):
        random = np.random.default_rng(seed)
        yield {
            "sample": random.standard_normal((2, 4, cells, cells), dtype=np.float32),
            "timestep": np.full(2, int(999 * (index + 0.5) / count), dtype=np.float32),
            "encoder_hidden_states": random.standard_normal((2, TEXT_TOKENS, 768), dtype=np.float32),
            "token_weights": np.ones((2, TEXT_TOKENS), dtype=np.float32),
        }


def _measure(folder: Path, names: list[str], sizes: list[int], rounds: int, calibrated: tuple[int, int]) -> None:
    import onnxruntime

    sessions, common = {}, {}
    for name in names:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / f"{name}-profile")
        started = time.process_time()
        sessions[name] = onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
        sessions[name].run(["noise"], next(_inputs(8, range(999, 1000), 1)))
        files = [path for path in (folder / f"{name}.onnx", folder / f"{name}.onnx.data") if path.exists()]
        common[name] = {
            "network": name, "onnxruntime": onnxruntime.__version__, "amx": _has_amx(), "calibrated": calibrated, "rounds": rounds,
            "mb": round(sum(path.stat().st_size for path in files) / 1e6), "ready_cpu_s": round(time.process_time() - started, 2),
        }
    for cells in sizes:
        seconds: dict[str, list[float]] = {name: [] for name in names}
        errors: dict[str, list[float]] = {name: [] for name in names}
        kernels: dict[str, dict[str, Any]] = {name: {} for name in names}
        for inputs in _inputs(cells, range(1000, 1000 + rounds), rounds):
            outputs = {}
            for name in names:
                started = time.process_time()
                outputs[name] = sessions[name].run(["noise"], inputs)[0]
                seconds[name].append(time.process_time() - started)
                if cells == sizes[-1] and len(seconds[name]) == 1:
                    kernels[name] = _kernels(Path(sessions[name].end_profiling()))
            exact = outputs["fp32"].astype(np.float64)
            for name in names:
                errors[name].append(float(np.sqrt(np.mean((outputs[name] - exact) ** 2)) / exact.std()))
        for name in names:
            print(json.dumps({
                **common[name], "cells": cells, "min_cpu_s": round(min(seconds[name]), 3), "cpu_s": [round(value, 3) for value in seconds[name]],
                "times": round(min(seconds["fp32"]) / min(seconds[name]), 2), "error": [round(value, 4) for value in errors[name]], **kernels[name],
            }), flush=True)


def _kernels(profile: Path) -> dict[str, Any]:
    """How many nodes of each kind ran, and the seconds of wall time that they took in the last run."""
    last = {}
    for event in json.loads(profile.read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            last[event["name"]] = event["args"]["op_name"], event["dur"] / 1e6
    profile.unlink()
    count = collections.Counter(kind for kind, _ in last.values())
    seconds: dict[str, float] = collections.defaultdict(float)
    for kind, value in last.values():
        seconds[kind] += value
    return {
        "integer_kernels": {kind: count[kind] for kind in INTEGER_KERNELS if count[kind]},
        "fp32_kernels": {kind: count[kind] for kind in FP32_KERNELS if count[kind]},
        "wall_s_by_kernel": {kind: round(seconds[kind], 3) for kind in sorted(seconds, key=lambda kind: -seconds[kind])[:12]},
    }


def _refuse_amx() -> None:
    """Makes the kernel refuse this process the registers of AMX (arch_prctl(ARCH_REQ_XCOMP_PERM), number 158 of x86-64), as where there are none."""
    load, equal, result = 0x20, 0x15, 0x06
    steps = [(load, 0, 0, 0), (equal, 0, 3, 158), (load, 0, 0, 16), (equal, 0, 1, 0x1023), (result, 0, 0, 0x50001), (result, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, filtered = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, filtered, ctypes.byref(program), 0, 0):
        raise SystemExit("--without-amx: the kernel takes no filter of system calls")


def _has_amx() -> bool:
    """Whether this process may use AMX's tiles, which ONNX Runtime asks for when it is loaded."""
    allowed = ctypes.c_uint64(0)
    ctypes.CDLL(None).syscall(158, 0x1022, ctypes.byref(allowed))
    return bool(allowed.value >> 18 & 1)


if __name__ == "__main__":
    main()
