# SPDX-License-Identifier: Apache-2.0
"""A bundle that went through the archive is a bundle still, of the same size and with random weights."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import weightless
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(0)
MATRIX = RNG.standard_normal((32, 64)).astype(np.float16)
BIAS = RNG.standard_normal(512).astype(np.float32)
TABLE = np.arange(512, dtype=np.int64)


def _graph(inline: dict, beside: dict) -> onnx.ModelProto:
    names = [*inline, *beside]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in names]
    values = {**inline, **beside}
    outputs = [helper.make_tensor_value_info(f"{n}_out", helper.np_dtype_to_tensor_dtype(values[n].dtype), values[n].shape) for n in names]
    graph = helper.make_graph(nodes, "g", [], outputs, [numpy_helper.from_array(v, n) for n, v in inline.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def _outside(name: str, value: np.ndarray, file: str, offset: int) -> TensorProto:
    tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(value.dtype), dims=value.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", file), ("offset", offset), ("length", value.nbytes)):
        tensor.external_data.add(key=key, value=str(text))
    return tensor


@pytest.fixture
def bundle(tmp_path):
    """One graph with weights in itself, one with the same weight beside it, which a third shares."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "a.onnx").write_bytes(_graph({"matrix": MATRIX, "table": TABLE, "bias": BIAS}, {}).SerializeToString())
    (folder / "b.onnx.data").write_bytes(b"\0" * 4096 + MATRIX.tobytes() + b"\1" * 100)
    for name in ("b", "c"):
        model = _graph({"table": TABLE}, {"matrix": MATRIX})
        model.graph.initializer.append(_outside("matrix", MATRIX, "b.onnx.data", 4096))
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    (folder / "words.json").write_text("{}")
    files = {p.name: {"bytes": p.stat().st_size, "sha256": "old"} for p in sorted(folder.iterdir())}
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
    return folder


def _outputs(path):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, {}), strict=True))


def test_filled_bundle_has_the_same_graphs_and_random_weights(bundle, tmp_path):
    archive, filled = tmp_path / "bundle.zip", tmp_path / "filled"
    weightless.main(["strip", str(bundle), str(archive)])
    assert archive.stat().st_size < 4096
    weightless.main(["fill", str(archive), str(filled)])
    before, after = (json.loads((f / "manifest.json").read_text())["files"] for f in (bundle, filled))
    assert {n: e["bytes"] for n, e in before.items()} == {n: e["bytes"] for n, e in after.items()}
    for name in before:
        assert (filled / name).stat().st_size == before[name]["bytes"]
        assert (filled / name).read_bytes() != b""
    for name in ("a", "b", "c"):
        out = _outputs(filled / f"{name}.onnx")
        assert np.array_equal(out["table_out"], TABLE), "integers are kept"
        matrix = out["matrix_out"]
        assert matrix.dtype == np.float16 and not np.array_equal(matrix, MATRIX)
        assert np.abs(matrix).max() <= 0.22 and matrix.std() > 0.1
    assert np.array_equal(_outputs(filled / "b.onnx")["matrix_out"], _outputs(filled / "c.onnx")["matrix_out"])
    bias = _outputs(filled / "a.onnx")["bias_out"]
    assert bias.min() >= 0 and bias.max() <= 0.1
    assert (filled / "b.onnx.data").read_bytes()[-100:] == b"\1" * 100


def test_filling_twice_gives_the_same(bundle, tmp_path):
    weightless.strip(bundle, tmp_path / "bundle.zip")
    for name in ("one", "two"):
        weightless.fill(tmp_path / "bundle.zip", tmp_path / name)
    assert (tmp_path / "one/manifest.json").read_text() == (tmp_path / "two/manifest.json").read_text()


def test_an_existing_folder_is_left(bundle, tmp_path):
    weightless.strip(bundle, tmp_path / "bundle.zip")
    with pytest.raises(SystemExit, match="exists"):
        weightless.main(["fill", str(tmp_path / "bundle.zip"), str(bundle)])
