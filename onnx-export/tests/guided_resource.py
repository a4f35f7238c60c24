# SPDX-License-Identifier: Apache-2.0
"""Writes src/test/resources/guided/denoiser.onnx: the tiny bundle's denoiser with one more input.

The mean of "guidance" [B, 8] is added to the noise, so that a picture shows what the engine fed to it.
Run from onnx-export: python tests/guided_resource.py
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

RESOURCES = Path(__file__).parents[2] / "src" / "test" / "resources"
WIDTH = 8


def guided(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its output "noise" shifted by the mean of the new input."""
    graph = model.graph
    for node in graph.node:
        for i, name in enumerate(node.output):
            if name == "noise":
                node.output[i] = "unshifted_noise"
    graph.input.append(helper.make_tensor_value_info("guidance", TensorProto.FLOAT, ["batch", WIDTH]))
    graph.initializer.append(helper.make_tensor("guidance_shape", TensorProto.INT64, [4], [-1, 1, 1, 1]))
    graph.node.extend(
        [
            helper.make_node("ReduceMean", ["guidance"], ["guidance_mean"], axes=[1], keepdims=1),
            helper.make_node("Reshape", ["guidance_mean", "guidance_shape"], ["guidance_shift"]),
            helper.make_node("Add", ["unshifted_noise", "guidance_shift"], ["noise"]),
        ]
    )
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    out = RESOURCES / "guided"
    out.mkdir(exist_ok=True)
    onnx.save(guided(onnx.load(RESOURCES / "tiny" / "denoiser.onnx")), out / "denoiser.onnx")
