# SPDX-License-Identifier: Apache-2.0
"""Writes a denoiser for inpainting by which a test sees what each view was shown: python make_inpaint.py

Its noise is the mask and the first three latents of the masked picture.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

FLOAT = TensorProto.FLOAT
node = helper.make_node


def ints(name, *values):
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


INPUTS = [
    ("sample", ["b", 4, "h", "w"]), ("timestep", ["b"]), ("encoder_hidden_states", ["b", "t", 8]), ("text_embeds", ["b", 6]), ("time_ids", ["b", 6]),
    ("inpaint", ["b", 5, "h", "w"]), ("token_weights", ["b", "t"]),
]
OUTPUTS = [("noise", ["b", 4, "h", "w"]), ("mask_up0", ["b", "h2", "w2"]), ("mask_up1", ["b", "h", "w"])]
graph = helper.make_graph(
    [
        node("Slice", ["inpaint", "from", "end", "axis"], ["noise"]),
        node("ReduceMean", ["sample"], ["mask_up1"], axes=[1], keepdims=0),
        node("AveragePool", ["sample"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        node("ReduceMean", ["pooled"], ["mask_up0"], axes=[1], keepdims=0),
    ],
    "inpaint", [helper.make_tensor_value_info(n, FLOAT, d) for n, d in INPUTS],
    [helper.make_tensor_value_info(n, FLOAT, d) for n, d in OUTPUTS], [ints("from", 0), ints("end", 4), ints("axis", 1)])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, Path(__file__).parent / "denoiser.onnx")
