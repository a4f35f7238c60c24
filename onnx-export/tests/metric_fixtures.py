# SPDX-License-Identifier: Apache-2.0
"""Networks of a few numbers for the engine's tests of asg eval --features and --clip.

``python tests/metric_fixtures.py ../src/test/resources/io/github/asg4j/evaluate/networks``
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, LENGTH, VOCABULARY = 8, 32, 594


def write(path: Path, nodes: list, inputs: list, outputs: list, constants: dict[str, np.ndarray]) -> None:
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, [numpy_helper.from_array(v, n) for n, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", LENGTH])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 3])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])
    mean = helper.make_node("ReduceMean", ["image"], ["features"], axes=[2, 3], keepdims=0)
    softmax = helper.make_node("Softmax", ["features"], ["probabilities"], axis=1)
    write(folder / "classifier.onnx", [mean, softmax], [image], [features, probabilities], {})
    write(folder / "clip_image.onnx", [mean], [image], [features], {})
    # Means over the tokens of their numbers and of the squares over 1000, and 1.
    index = np.arange(VOCABULARY, dtype=np.float32)
    table = np.stack([index, index**2 / 1000, np.ones_like(index)], 1)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["features"], axes=[1], keepdims=0),
    ]
    write(folder / "clip_text.onnx", nodes, [ids], [features], {"table": table})
    shutil.copy(Path(__file__).parents[1] / "checkpoint" / "demo" / "tokenizer" / "tokenizer.json", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
