# SPDX-License-Identifier: Apache-2.0
"""Writes the few-node models beside this file: python make_models.py"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

HERE = Path(__file__).parent
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def save(name, nodes, inputs, outputs, opset=17, weights=()):
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs],
        weights,
    )
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid(d, 1) for d in {n.domain for n in nodes} - {""}]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    onnx.save(model, HERE / f"{name}.onnx")


node = helper.make_node

# a = 2x, b = x + id: two inputs, two outputs, one of them an integer.
save(
    "two",
    [
        node("Add", ["x", "x"], ["a"]),
        node("Cast", ["id"], ["f"], to=FLOAT),
        node("Add", ["x", "f"], ["b"]),
    ],
    [("x", FLOAT, ["batch", 3]), ("id", INT64, ["batch", 1])],
    [("a", FLOAT, ["batch", 3]), ("b", FLOAT, ["batch", 3])],
)

# Fails only when it runs: x [n] + y [m] with n != m.
save(
    "sum",
    [node("Add", ["x", "y"], ["s"])],
    [("x", FLOAT, ["n"]), ("y", FLOAT, ["m"])],
    [("s", FLOAT, ["k"])],
)

# y = x + w, and w [3] lies in another file from its byte 3 on, where no float is aligned.
weight = TensorProto(name="w", data_type=FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
for key, value in {"location": "folder/w.bin", "offset": "3", "length": "12"}.items():
    weight.external_data.add(key=key, value=value)
save(
    "external",
    [node("Add", ["x", "w"], ["y"])],
    [("x", FLOAT, [3])],
    [("y", FLOAT, [3])],
    weights=[weight],
)

# Long enough to be interrupted: 400 products of [n, n] matrices.
chain = []
for i in range(400):
    chain.append(node("MatMul", ["x" if i == 0 else f"t{i - 1}", "x"], [f"m{i}"]))
    chain.append(node("Tanh", [f"m{i}"], ["y" if i == 399 else f"t{i}"]))
save("chain", chain, [("x", FLOAT, ["n", "n"])], [("y", FLOAT, ["n", "n"])])

# What ONNX Runtime must refuse at load.
save(
    "opset999",
    [node("Add", ["x", "x"], ["y"])],
    [("x", FLOAT, ["n"])],
    [("y", FLOAT, ["n"])],
    opset=999,
)
save(
    "unknown_op",
    [node("NoSuchOperator", ["x"], ["y"])],
    [("x", FLOAT, ["n"])],
    [("y", FLOAT, ["n"])],
)

# A denoiser of an inpainting model: latents, a mask and a masked picture's latents in, noise of the latents out.
save(
    "inpainting",
    [node("Slice", ["sample", "start", "end", "axis"], ["noise"])],
    [("sample", FLOAT, ["batch", 9, "height", "width"])],
    [("noise", FLOAT, ["batch", 4, "height", "width"])],
    weights=[helper.make_tensor(n, INT64, [1], [v]) for n, v in (("start", 0), ("end", 4), ("axis", 1))],
)

# As in an autoencoder: one head of 512 channels, whose kernel on CUDA takes more shared memory than it has without asking.
save(
    "attention512",
    [helper.make_node("MultiHeadAttention", ["x", "x", "x"], ["y"], domain="com.microsoft", num_heads=1)],
    [("x", FLOAT, [1, "n", 512])],
    [("y", FLOAT, [1, "n", 512])],
)
