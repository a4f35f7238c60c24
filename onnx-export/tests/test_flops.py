# SPDX-License-Identifier: Apache-2.0
"""Operations that are counted in graphs, against what PyTorch counts while diffusers' own networks run."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from onnx import TensorProto, helper
from torch.utils.flop_counter import FlopCounterMode

from asg4j_export import export, flops
from asg4j_export.__main__ import main
from asg4j_export.errors import ExportError

ROOT = Path(__file__).parents[2]
FAMILIES = ROOT / "src/test/resources/families"
TEMPLATES = ROOT / "src/main/resources/io/github/asg4j/templates"
DEMO = ROOT / "src/main/resources/io/github/asg4j/demo"

#: none of which a polynomial is put through; multiples of 8, as UNets of four levels take
SIZES = [(16, 24), (8, 56), (40, 40)]


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def of(count, cells):
    return count[0] + count[1] * cells + count[2] * cells**2


def counted(run):
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def own(kind, config):
    with torch.device("meta"):
        model = kind.from_config(json.loads(config.read_text(encoding="utf-8")))
    model.set_attn_processor(AttnProcessor())
    return model.eval()


@pytest.mark.parametrize("family", ["sdxl", "sd21"])
@pytest.mark.parametrize("height, width", SIZES)
def test_small_unets(family, height, width, checkpoints):
    unet = own(UNet2DConditionModel, checkpoints(family) / "unet/config.json")
    tokens = manifest_of(FAMILIES / family)["text_encoders"][0]["length"]
    expected = counted(lambda: unet(torch.zeros(1, 4, height, width), 0, torch.zeros(1, tokens, unet.config.cross_attention_dim), **added(unet)))
    assert of(manifest_of(FAMILIES / family)["flops"]["denoiser"], height * width) == expected


def added(unet):
    if unet.config.addition_embed_type is None:
        return {}
    numbers = 6 * unet.config.addition_time_embed_dim
    pooled = unet.config.projection_class_embeddings_input_dim - numbers
    return {"added_cond_kwargs": {"text_embeds": torch.zeros(1, pooled), "time_ids": torch.zeros(1, 6)}}


@pytest.mark.parametrize("height, width", SIZES)
def test_small_autoencoders(height, width, checkpoints):
    vae = own(AutoencoderKL, checkpoints("sdxl") / "vae/config.json")
    count = manifest_of(FAMILIES / "sdxl")["flops"]
    assert of(count["decoder"], height * width) == counted(lambda: vae.decode(torch.zeros(1, 4, height, width)))
    assert of(count["encoder"], height * width) == counted(lambda: vae.encode(torch.zeros(1, 3, 8 * height, 8 * width)))


@pytest.mark.parametrize("folder", [FAMILIES / "sd15-inpaint", FAMILIES / "sd3", DEMO], ids=lambda folder: folder.name)
def test_committed_bundles_say_what_is_counted(folder):
    manifest = manifest_of(folder)
    assert flops.of_bundle(manifest, folder.joinpath) == manifest["flops"]


def test_templates_say_what_is_counted():
    """Of graphs whose weights are nowhere; those that it shares are SD 1's."""
    manifest = manifest_of(TEMPLATES / "sdxl")
    found = flops.of_bundle(manifest, lambda file: next(p for p in (TEMPLATES / "sdxl" / file, TEMPLATES / "sd1" / file) if p.exists()))
    assert found == manifest["flops"]


def test_parts_of_the_autoencoder_add_up():
    """The front and the tail are the whole decoder, but that what leads to the tail's first norm is done twice: a convolution."""
    count = manifest_of(TEMPLATES / "sdxl")["flops"]
    convolution = 2 * 3 * 3 * 64  # over the 64 pixels of a latent cell
    for part, whole, channels in (("tiled_decoder", "decoder", 256 * 256), ("tiled_encoder", "encoder", 3 * 128)):
        constant, linear, quadratic = (w + t for w, t in zip(count[part]["whole"], count[part]["tile"]))
        assert [constant, linear - convolution * channels, quadratic] == count[whole]
    anew, tile = (count["tiled_decoder"][key][1] for key in ("anew", "tile"))
    assert anew == 8 * (tile - convolution * 256 * 256)  # for each of seven norms, and once more


def test_a_bundle_without_gets_them(tmp_path, capsys):
    folder = tmp_path / "bundle"
    folder.mkdir()
    for file in (FAMILIES / "sdxl").iterdir():
        (folder / file.name).symlink_to(file)
    manifest = manifest_of(folder)
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").write_text(json.dumps({key: value for key, value in manifest.items() if key != "flops"}), encoding="utf-8")
    assert main(["flops", str(folder)]) == 0
    assert manifest_of(folder) == manifest
    assert main(["flops", str(tmp_path / "none")]) != 0
    assert "is missing" in capsys.readouterr().err


def graph_of(node, shapes, **constants):
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_model(helper.make_graph([node], "graph", inputs, [output], initializers))


def test_what_cannot_be_counted_is_refused(tmp_path):
    path = tmp_path / "graph.onnx"
    onnx.save(graph_of(helper.make_node("LSTM", ["x", "w", "w"], ["y"]), {"x": [1, 1, "height"], "w": [1, 4, 4]}), path)
    with pytest.raises(ExportError, match="operator LSTM"):
        flops.polynomial(flops.Graph.read(path), {"height": (1, 0)})


def test_a_bundle_that_cannot_be_counted_is_kept(tmp_path, capsys):
    """Without ``flops``, told in a line: what is left of them is what a bundle of before has."""
    path = tmp_path / "graph.onnx"
    onnx.save(graph_of(helper.make_node("LSTM", ["x", "w", "w"], ["noise"]), {"x": [1, 1, "height"], "w": [1, 4, 4]}), path)
    manifest = manifest_of(FAMILIES / "sdxl")
    manifest["denoiser"]["file"] = "graph.onnx"
    assert export._operations(manifest, tmp_path) == {}
    assert "operator LSTM are not known" in capsys.readouterr().err


def test_same_values_under_another_name_cost_nothing(tmp_path):
    path = tmp_path / "graph.onnx"
    onnx.save(graph_of(helper.make_node("Identity", ["x"], ["y"]), {"x": [1, 1, "height"]}), path)
    assert flops.polynomial(flops.Graph.read(path), {"height": (1, 0)}) == [0, 0, 0]


def test_what_is_no_polynomial_is_refused(tmp_path):
    """A product whose work grows with height and width apart."""
    path = tmp_path / "graph.onnx"
    onnx.save(graph_of(helper.make_node("MatMul", ["x", "w"], ["y"]), {"x": ["height", 3]}, w=np.zeros((3, 100), np.float32)), path)
    with pytest.raises(ExportError, match="no polynomial"):
        flops.polynomial(flops.Graph.read(path), {"height": (1, 0)})
