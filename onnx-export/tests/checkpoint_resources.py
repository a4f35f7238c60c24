# SPDX-License-Identifier: Apache-2.0
"""``python tests/checkpoint_resources.py [FAMILY...]``: the Java tests' small checkpoints, their templates, and a graph that gives weights back.

The checkpoints are those of family_goldens.py and checkpoint_goldens.py (seed 0), so that a filled template has to draw what bundle and pipeline draw:
single files, and sd21 and sdxl as folders of diffusers with the weights alone.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import onnx
from onnx import TensorProto, helper
from test_single_file import joint_file, refiner_file, single_file

import families
from asg4j_export.templates import make
from asg4j_export.tracing import fingerprint

RESOURCES = Path(__file__).resolve().parents[2] / "src" / "test" / "resources" / "checkpoint"

#: shapes of the values that AssembledGraphTest fills in
VALUES = {
    "plain": [2, 3], "slice": [2, 3], "half": [64, 64], "brain": [64, 64], "eight": [64, 64],
    "sum": [4], "share": [2, 3], "transposed": [3, 2], "swapped": [4], "unit": [3, 3],
}


WRITERS = {"sd15": single_file, "sd35": joint_file, "sdxl-refiner": refiner_file}


def main(names: list[str]) -> None:
    for family in names or (*WRITERS, "sd21", "sdxl"):
        template = RESOURCES / "templates" / family
        shutil.rmtree(template, ignore_errors=True)
        with tempfile.TemporaryDirectory() as scratch:
            checkpoint = families.write(family, Path(scratch) / family)
            if family in WRITERS:
                file = RESOURCES / f"{family}.safetensors"
                WRITERS[family](checkpoint, file)
                file.chmod(0o644)
            else:
                _copy_weights(checkpoint, RESOURCES / family)
            make(checkpoint, template, family)
        if family != "sd15":
            _drop_optional(template, encodes=family == "sdxl-refiner")
    nodes = [helper.make_node("Add", [name, "zero"], ["out_" + name]) for name in VALUES]
    outputs = [helper.make_tensor_value_info("out_" + name, TensorProto.FLOAT, shape) for name, shape in VALUES.items()]
    graph = helper.make_graph(nodes, "values", [helper.make_tensor_value_info("zero", TensorProto.FLOAT, [1])], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, RESOURCES / "values.onnx")


def _copy_weights(checkpoint: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for file in (checkpoint / "model_index.json", *checkpoint.glob("*/*.safetensors")):
        copy = folder / file.relative_to(checkpoint)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _drop_optional(template: Path, encodes: bool) -> None:
    """Leaves out the graphs that tests have of sd15: they would be most of the bytes."""
    encoder = () if encodes else ("vae_encoder.*",)
    for pattern in ("denoiser_dilated.*", "vae_front.*", "vae_tail.*", "vae_encoder_front.*", "vae_encoder_tail.*", *encoder):
        for file in template.glob(pattern):
            file.unlink()
    manifest = json.loads((template / "manifest.json").read_text())
    manifest["denoiser"]["dilated_file"] = None
    manifest["denoiser"].pop("dilation_groups", None)
    if not encodes:
        manifest["vae"]["encoder"] = None
    manifest["vae"].pop("tiled_decoder")
    manifest["vae"].pop("tiled_encoder")
    manifest["files"] = {file.name: fingerprint(file) for file in sorted(template.iterdir()) if file.name != "manifest.json"}
    (template / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
