# SPDX-License-Identifier: Apache-2.0
"""Writes a denoiser and a control network by which a test sees what each view was shown: python make_controls.py

The denoiser's noise is the sum of its skip connection and of what comes from below, which are zeros but for the residuals that it takes. The control
network's outer residual is the mean of its picture over each latent cell, with zeros in the fourth channel; that of the middle is zeros.
"""

import hashlib
import json
from pathlib import Path

import onnx
from onnx import TensorProto, helper

HERE = Path(__file__).parent
FLOAT = TensorProto.FLOAT
node = helper.make_node


def constant(name, values, kind=TensorProto.INT64):
    return helper.make_tensor(name, kind, [len(values)] if isinstance(values, list) else [], values if isinstance(values, list) else [values])


def save(file, nodes, inputs, outputs, constants):
    graph = helper.make_graph(
        nodes, file.stem, [helper.make_tensor_value_info(n, FLOAT, d) for n, d in inputs],
        [helper.make_tensor_value_info(n, FLOAT, d) for n, d in outputs], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, file)


SHARED = [("sample", ["b", 4, "h", "w"]), ("timestep", ["b"]), ("encoder_hidden_states", ["b", "t", 8])]
PLACED = [("text_embeds", ["b", 6]), ("time_ids", ["b", 6])]
constants = [constant("zero", 0.0, FLOAT), constant("from", [0]), constant("middle", [4]), constant("end", [8]), constant("one", [1])]
save(
    HERE / "denoiser.onnx",
    [
        node("Mul", ["sample", "zero"], ["nothing"]),
        node("Identity", ["nothing"], ["below"]),
        node("Identity", ["nothing"], ["skip"]),
        node("Concat", ["below", "skip"], ["joined"], axis=1),
        node("Slice", ["joined", "from", "middle", "one"], ["first"]),
        node("Slice", ["joined", "middle", "end", "one"], ["second"]),
        node("Add", ["first", "second"], ["noise"]),
        node("ReduceMean", ["nothing"], ["mask_up1"], axes=[1], keepdims=0),
        node("AveragePool", ["nothing"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        node("ReduceMean", ["pooled"], ["mask_up0"], axes=[1], keepdims=0),
    ],
    SHARED + PLACED + [("token_weights", ["b", "t"])],
    [("noise", ["b", 4, "h", "w"]), ("mask_up0", ["b", "h2", "w2"]), ("mask_up1", ["b", "h", "w"])],
    constants,
)
network = HERE / "networks" / "where" / "control.onnx"
save(
    network,
    [
        node("AveragePool", ["condition"], ["means"], kernel_shape=[8, 8], strides=[8, 8]),
        node("Slice", ["means", "from", "one", "axis"], ["last"]),
        node("Mul", ["last", "zero"], ["none"]),
        node("Concat", ["means", "none"], ["all"], axis=1),
        node("Mul", ["all", "scale"], ["down_0"]),
        node("Mul", ["down_0", "zero"], ["mid"]),
    ],
    SHARED + [("condition", ["b", 3, "h8", "w8"]), ("scale", [1])],
    [("down_0", ["b", 4, "h", "w"]), ("mid", ["b", 4, "h", "w"])],
    [constant("zero", 0.0, FLOAT), constant("from", [0]), constant("one", [1]), constant("axis", [1])],
)
content = network.read_bytes()
manifest = {
    "format_version": 1, "licence": "Apache-2.0", "made_by": "make_controls.py", "file": "control.onnx", "precision": "fp32",
    "latent_channels": 4, "vae_factor": 8, "text_width": 8, "pooled_width": 0, "width": 1,
    "residuals": [{"output": "down_0", "channels": 4, "scale": 1}, {"output": "mid", "channels": 4, "scale": 1}],
    "files": {"control.onnx": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}},
}
(network.parent / "control.json").write_text(json.dumps(manifest, indent=2) + "\n")
