# SPDX-License-Identifier: Apache-2.0
"""``python tests/checkpoint_resources.py``: the Java tests' small single file, its template, and a graph that gives its weights back.

The checkpoint is that of family_goldens.py (sd15, seed 0), so that the filled template has to draw what its bundle draws.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import onnx
from onnx import TensorProto, helper
from test_single_file import single_file

import families
from asg4j_export.templates import make
from asg4j_export.tracing import fingerprint

RESOURCES = Path(__file__).resolve().parents[2] / "src" / "test" / "resources" / "checkpoint"

#: shapes of the values that AssembledGraphTest fills in
VALUES = {
    "plain": [2, 3], "slice": [2, 3], "half": [64, 64], "brain": [64, 64], "eight": [64, 64],
    "sum": [4], "share": [2, 3], "transposed": [3, 2], "swapped": [4], "unit": [3, 3],
}


def main() -> None:
    shutil.rmtree(RESOURCES, ignore_errors=True)
    RESOURCES.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = families.write("sd15", Path(scratch) / "sd15")
        single_file(checkpoint, RESOURCES / "sd15.safetensors")
        (RESOURCES / "sd15.safetensors").chmod(0o644)
        make(checkpoint, RESOURCES / "templates" / "sd15", "sd15")
    _drop_optional(RESOURCES / "templates" / "sd15")
    nodes = [helper.make_node("Add", [name, "zero"], ["out_" + name]) for name in VALUES]
    outputs = [helper.make_tensor_value_info("out_" + name, TensorProto.FLOAT, shape) for name, shape in VALUES.items()]
    graph = helper.make_graph(nodes, "values", [helper.make_tensor_value_info("zero", TensorProto.FLOAT, [1])], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, RESOURCES / "values.onnx")


def _drop_optional(template: Path) -> None:
    """Leaves out the graphs that the test does without: they would be most of its bytes."""
    for pattern in ("denoiser_dilated.*", "vae_front.*", "vae_tail.*", "vae_encoder.*"):
        for file in template.glob(pattern):
            file.unlink()
    manifest = json.loads((template / "manifest.json").read_text())
    manifest["denoiser"]["dilated_file"] = None
    manifest["denoiser"].pop("dilation_groups")
    manifest["vae"]["encoder"] = None
    manifest["vae"].pop("tiled_decoder")
    manifest["files"] = {file.name: fingerprint(file) for file in sorted(template.iterdir()) if file.name != "manifest.json"}
    (template / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
