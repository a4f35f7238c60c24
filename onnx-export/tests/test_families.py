# SPDX-License-Identifier: Apache-2.0
"""Small checkpoints of the four families become bundles: manifests, graphs, maps, fused operators, LoRA, refusals."""

import json
import shutil
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel, UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import CLIPTextModel

import families
from asg4j_export import export as exporter
from asg4j_export import storage, tracing, weights
from asg4j_export.__main__ import main
from asg4j_export.checkpoint import Checkpoint
from asg4j_export.errors import ExportError
from asg4j_export.weights import Weights


@pytest.fixture(scope="session")
def bundles(checkpoints, tmp_path_factory):
    made = {}

    def bundle(family):
        if family not in made:
            made[family] = tmp_path_factory.mktemp("bundles") / family
            exporter.export(checkpoints(family), made[family])
        return made[family]

    return bundle


def manifest_of(bundle):
    return json.loads((bundle / "manifest.json").read_text())


EXPECTED = {
    "sd15": dict(prediction="epsilon", scheduler="ddim", encoders=1, time_ids=False, pooled=False, zero=False, guidance=7.5,
                 masks=["up_blocks.1", "up_blocks.2", "up_blocks.3"], latent=(4, 8, 0.18215, 0.0)),
    "sd21": dict(prediction="v", scheduler="ddim", encoders=1, time_ids=False, pooled=False, zero=False, guidance=7.5,
                 masks=["up_blocks.1", "up_blocks.2", "up_blocks.3"], latent=(4, 8, 0.18215, 0.0)),
    "sdxl": dict(prediction="epsilon", scheduler="euler", encoders=2, time_ids=True, pooled=True, zero=True, guidance=5.0,
                 masks=["up_blocks.0", "up_blocks.1"], latent=(4, 4, 0.13025, 0.0)),
    "sdxl-refiner": dict(prediction="epsilon", scheduler="euler", encoders=1, time_ids=True, pooled=True, zero=False, guidance=5.0,
                         masks=["up_blocks.1", "up_blocks.2"], latent=(4, 8, 0.13025, 0.0)),
    "sd3": dict(prediction="flow", scheduler="flow_euler", encoders=3, time_ids=False, pooled=True, zero=False, guidance=7.0,
                masks=["transformer_blocks.0-1", "transformer_blocks.2-3", "transformer_blocks.4-5"], latent=(16, 2, 1.5305, 0.0609)),
}
EXPECTED["sd35"] = EXPECTED["sd3"]


@pytest.mark.parametrize("family", EXPECTED)
def test_manifest(bundles, family):
    manifest, expected = manifest_of(bundles(family)), EXPECTED[family]
    latent = manifest["latent"]
    assert (latent["channels"], latent["unet_multiple"], latent["scaling"], latent["shift"]) == expected["latent"]
    assert latent["native_size"] == [16, 16] and latent["vae_factor"] == 8
    assert manifest["denoiser"]["prediction"] == expected["prediction"]
    assert manifest["scheduler"]["type"] == expected["scheduler"]
    assert [mask["block"] for mask in manifest["denoiser"]["masks"]] == expected["masks"]
    assert len(manifest["text_encoders"]) == expected["encoders"]
    assert manifest["conditioning"] | dict(
        time_ids=expected["time_ids"], pooled=expected["pooled"], empty_negative_is_zero=expected["zero"]) == manifest["conditioning"]
    assert manifest["defaults"]["guidance_scale"] == expected["guidance"]
    if families.is_transformer(family):
        assert manifest["scheduler"] == {"type": "flow_euler", "train_steps": 1000, "shift": 3.0}
        assert manifest["conditioning"]["hidden_width"] == 64 and manifest["conditioning"]["zero_tokens"] == 0
        assert manifest["text_encoders"][2] | dict(join="tokens", length=256, pooled=None) == manifest["text_encoders"][2]
        assert latent["max_size"] == 48
        assert [mask["default"] for mask in manifest["denoiser"]["masks"]] == [False, True, False]


def test_padding_is_recorded_where_it_is_not_the_end_mark(bundles):
    pads = [json.loads((bundles("sdxl") / file).read_text()).get("padding") for file in ("tokenizer.json", "tokenizer_2.json")]
    assert pads[0] is None and pads[1]["pad_id"] == 0


def operators(path):
    return Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)


def test_tokenizers_in_the_published_layout(checkpoints, tmp_path):
    """vocab.json and merges.txt, as the hub has them, instead of one tokenizer.json."""
    folder = tmp_path / "published"
    shutil.copytree(checkpoints("sdxl"), folder)
    for name in ("tokenizer", "tokenizer_2"):
        part = folder / name
        model = json.loads((part / "tokenizer.json").read_text())["model"]
        (part / "tokenizer.json").unlink()
        (part / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
        merges = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
        (part / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    for part in ("text_encoder", "text_encoder_2"):
        (one, padding), (published, other) = (Checkpoint.open(f).tokenizer(part) for f in (checkpoints("sdxl"), folder))
        assert padding == other
        for text in ("A red ball on grass!", "two  Blue stars, (3) !!!", "café"):
            assert Tokenizer.from_str(one).encode(text).ids == Tokenizer.from_str(published).encode(text).ids


def test_sdxl_has_70_self_and_70_cross_attentions(checkpoints, tmp_path):
    """The published depth, [1, 2, 10] transformer layers a level, at small widths."""
    checkpoint = Checkpoint.open(families.write("sdxl", tmp_path / "deep", unet=dict(transformer_layers_per_block=(1, 2, 10))))
    exporter._denoiser(checkpoint, tmp_path, checkpoint.text(), "epsilon", exporter.write_graph)
    graph = onnx.load(tmp_path / "denoiser.onnx").graph
    fused = [node for node in graph.node if node.op_type == "MultiHeadAttention"]
    assert all(node.domain == "com.microsoft" for node in fused)
    producers = {output: node for node in graph.node for output in node.output}
    # Of a map the values are the tokens' weights in every channel, expanded once: both blocks are of one width here.
    maps = [node for node in fused if producers[node.input[2]].op_type == "Expand"]
    assert len(maps) == 3 * 10 + 3 * 2 and len({node.input[2] for node in maps}) == 1
    # Keys of cross-attention are projected from the text; those of self-attention from what the queries are.
    cross = [node for node in fused if node not in maps and producers[node.input[1]].input[0] == "encoder_hidden_states"]
    assert (len(fused) - len(maps) - len(cross), len(cross)) == (70, 70)
    for file in ("denoiser.onnx", "denoiser_dilated.onnx"):
        found = operators(tmp_path / file)
        # Three parts a layer; the first layer of each of the 11 transformers has nothing to add.
        assert (found["SkipLayerNormalization"], found["LayerNormalization"]) == (3 * 70 - 11, 11)
        assert (found["BiasGelu"], found["Erf"], found["Softmax"]) == (70, 0, 0)


@pytest.mark.parametrize("family,attentions,norms,gelus", [
    ("sd15", 32 + 9, (3 * 16 - 16, 16), {"BiasGelu": 16}),
    ("sd21", 32 + 9, (3 * 16 - 16, 16), {"BiasGelu": 16}),
    ("sd3", 6 + 6, (0, 24), {"FastGelu": 11}),
])
def test_fused_operators(bundles, family, attentions, norms, gelus):
    """Attention and maps; LayerNorms that add, and others; activations that add a bias."""
    found = operators(bundles(family) / "denoiser.onnx")
    assert (found["MultiHeadAttention"], found["Softmax"]) == (attentions, 0)
    assert (found["SkipLayerNormalization"], found["LayerNormalization"]) == norms
    assert {name: found[name] for name in ("BiasGelu", "FastGelu", "Erf", "Tanh") if found[name]} == gelus


def feed(bundle, batch, height, width, seed=0):
    manifest = manifest_of(bundle)
    session = onnxruntime.InferenceSession(str(bundle / "denoiser.onnx"), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    tokens = 333 if manifest["denoiser"]["prediction"] == "flow" else 77
    widths = {i.name: i.shape[-1] for i in session.get_inputs()}
    inputs = {
        "sample": rng.standard_normal((batch, manifest["latent"]["channels"], height, width), np.float32),
        "timestep": np.full(batch, 500, np.float32),
        "encoder_hidden_states": rng.standard_normal((batch, tokens, widths["encoder_hidden_states"]), np.float32),
        "token_weights": np.ones((batch, tokens), np.float32),
    }
    if "text_embeds" in widths:
        inputs["text_embeds"] = rng.standard_normal((batch, widths["text_embeds"]), np.float32)
    if "time_ids" in widths:
        inputs["time_ids"] = np.full((batch, widths["time_ids"]), 128, np.float32)
    return session, inputs


@pytest.mark.parametrize("family", EXPECTED)
@pytest.mark.parametrize("batch,height,width", [(1, 16, 16), (3, 8, 24)])
def test_maps(bundles, family, batch, height, width):
    """All tokens together take the whole attention, wherever one looks."""
    session, inputs = feed(bundles(family), batch, height, width)
    noise, *maps = session.run(None, inputs)
    assert noise.shape == inputs["sample"].shape
    for mask, entry in zip(maps, manifest_of(bundles(family))["denoiser"]["masks"]):
        assert mask.shape == (batch, height // entry["scale"], width // entry["scale"])
        assert np.allclose(mask, 1, atol=1e-5)


@pytest.mark.parametrize("family", ["sd3", "sd35"])
def test_joint_map_is_image_rows_against_text_columns(bundles, checkpoints, family):
    """Against diffusers' own transformer: its velocity, and of its scores the softmax over the text columns of the image's rows."""
    session, inputs = feed(bundles(family), 1, 8, 12)
    inputs["token_weights"][:] = 0
    inputs["token_weights"][:, [2, 80]] = 1
    velocity, ours = session.run(["noise", "mask_joint1"], inputs)
    network = SD3Transformer2DModel.from_pretrained(checkpoints(family) / "transformer", torch_dtype=torch.float32).eval()
    seen = []

    def spy(module: Attention, arguments, keywords):
        image, text = keywords["hidden_states"], keywords["encoder_hidden_states"]
        query, key = (x.unflatten(2, (module.heads, -1)) for x in (module.to_q(image), module.add_k_proj(text)))
        if module.norm_q is not None:
            query, key = module.norm_q(query), module.norm_added_k(key)
        scores = torch.einsum("bqhd,bkhd->bhqk", query, key) / query.shape[3] ** 0.5
        seen.append(scores.softmax(3)[0, :, :, [2, 80]].sum(2).mean(0))

    for block in network.transformer_blocks[2:4]:
        block.attn.register_forward_pre_hook(spy, with_kwargs=True)
    t = {name: torch.from_numpy(value) for name, value in inputs.items()}
    with torch.no_grad():
        expected = network(t["sample"], t["encoder_hidden_states"], t["text_embeds"], t["timestep"]).sample.numpy()
    assert np.abs(velocity - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.allclose(ours.reshape(-1), torch.stack(seen).mean(0).numpy(), atol=1e-5)


@pytest.mark.parametrize("family", ["sdxl", "sd3"])
def test_halves(bundles, checkpoints, tmp_path, family):
    """fp16 graphs keep float32 inputs and outputs and say nearly the same."""
    exporter.export(Checkpoint.open(checkpoints(family), "fp16"), tmp_path / "halves")
    assert manifest_of(tmp_path / "halves")["denoiser"]["precision"] == "fp16"
    session, inputs = feed(tmp_path / "halves", 1, 16, 16)
    assert {i.type for i in session.get_inputs()} == {o.type for o in session.get_outputs()} == {"tensor(float)"}
    expected, halves = (feed(b, 1, 16, 16)[0].run(["noise"], inputs)[0] for b in (bundles(family), tmp_path / "halves"))
    assert np.linalg.norm(halves - expected) < 2e-2 * np.linalg.norm(expected)
    if family == "sdxl":
        dilated = onnxruntime.InferenceSession(str(tmp_path / "halves" / "denoiser_dilated.onnx"), providers=["CPUExecutionProvider"])
        groups = len(manifest_of(tmp_path / "halves")["denoiser"]["dilation_groups"])
        same = dilated.run(["noise"], inputs | {"dilation": np.ones(groups, np.float32)})[0]
        assert np.linalg.norm(same - expected) < 2e-2 * np.linalg.norm(expected)
        stored = onnx.load(tmp_path / "halves" / "denoiser_dilated.onnx", load_external_data=False).graph.initializer
        assert {e.value for t in stored for e in t.external_data if e.key == "location"} == {"denoiser.onnx"}
    kinds = {t.data_type for t in onnx.load(tmp_path / "halves" / "denoiser.onnx").graph.initializer if np.prod(t.dims) >= 256}
    assert kinds == {onnx.TensorProto.FLOAT16}


def test_vae_in_halves(checkpoints, tmp_path):
    """The decoder in fp16, whole and in parts, with the fp32 one beside it for what overflows."""
    assert main(["model", str(checkpoints("sdxl")), "--out", str(tmp_path / "halves"), "--vae-precision", "fp16"]) == 0
    vae = manifest_of(tmp_path / "halves")["vae"]
    assert vae["precision"] == "fp16" and vae["fallback"]["precision"] == "fp32"
    front = onnx.load(tmp_path / "halves" / vae["tiled_decoder"]["front"])
    assert vae["width"] == front.graph.output[0].type.tensor_type.shape.dim[1].dim_value and vae["attention"] == "fused"
    latents = np.random.default_rng(0).standard_normal((1, 4, 8, 12), np.float32)
    pictures = []
    for decoder in (vae, vae["fallback"]):
        pictures.append([])
        for file in (decoder["decoder"], decoder["tiled_decoder"]["front"]):
            pictures[-1].append(onnxruntime.InferenceSession(str(tmp_path / "halves" / file)).run(None, {"latents": latents})[0])
        model = onnx.load(tmp_path / "halves" / decoder["tiled_decoder"]["tail"])
        assert {i.type.tensor_type.elem_type for i in model.graph.input} == {onnx.TensorProto.FLOAT}
    for halves, exact in zip(*pictures):
        assert halves.dtype == np.float32 and 0 < np.linalg.norm(halves - exact) < 2e-2 * np.linalg.norm(exact)


def test_autoencoder_keeps_no_scores(bundles, checkpoints):
    """Its attention is one operator, and the graphs say what diffusers' own autoencoder does."""
    bundle, vae = bundles("sdxl"), AutoencoderKL.from_pretrained(checkpoints("sdxl") / "vae", torch_dtype=torch.float32).eval()
    whole = ("vae_decoder", "vae_front", "vae_encoder", "vae_encoder_tail")
    for file in (*whole, "vae_tail", "vae_encoder_front"):
        found = operators(bundle / f"{file}.onnx")
        assert (found["MultiHeadAttention"], found["Softmax"]) == (1 if file in whole else 0, 0)
    latents, image = torch.randn(2, 4, 12, 20), torch.rand(2, 3, 96, 160) * 2 - 1
    with torch.no_grad():
        expected = {"decoder": vae.decode(latents).sample, "encoder": vae.encode(image).latent_dist.mean}
    for part, given in {"decoder": {"latents": latents}, "encoder": {"image": image}}.items():
        session = onnxruntime.InferenceSession(str(bundle / f"vae_{part}.onnx"), providers=["CPUExecutionProvider"])
        actual = session.run(None, {name: x.numpy() for name, x in given.items()})[0]
        assert np.allclose(actual, expected[part].numpy(), rtol=0, atol=1e-5 * expected[part].abs().max().item())


@pytest.mark.parametrize("family", ["sdxl", "sd35"])
def test_encoder_in_parts_is_the_whole(bundles, family):
    """One tile that is the picture: as many passes as norms give the statistics of each, then the tail gives the whole encoder's latents."""
    bundle = bundles(family)
    entry = manifest_of(bundle)["vae"]["tiled_encoder"]
    whole, front, tail = (onnxruntime.InferenceSession(str(bundle / file)) for file in ("vae_encoder.onnx", entry["front"], entry["tail"]))
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, 64, 96)).astype(np.float32)
    statistics = np.stack([np.zeros(front.get_inputs()[1].shape[::2]), np.ones(front.get_inputs()[1].shape[::2])], 1).astype(np.float32)
    cores = {"core_y": np.ones(32, np.float32), "core_x": np.ones(48, np.float32)}
    for norm in range(len(statistics)):
        statistics[norm] = front.run(["moments"], {"image": image, "norm_stats": statistics, **cores})[0][norm]
    features = front.run(["features"], {"image": image, "norm_stats": statistics, **cores})[0]
    assert features.shape[2:] == (32, 48) and entry["scale"] == 4 and features.shape[1] <= entry["channels"]
    expected = whole.run(None, {"image": image})[0]
    assert np.allclose(tail.run(None, {"features": features})[0], expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_sd3_without_t5(tmp_path):
    families.write("sd3", tmp_path / "checkpoint", t5=False)
    exporter.export(tmp_path / "checkpoint", tmp_path / "bundle")
    manifest = manifest_of(tmp_path / "bundle")
    assert len(manifest["text_encoders"]) == 2 and manifest["conditioning"]["zero_tokens"] == 256


def test_weights_beside_the_graph(bundles, checkpoints, tmp_path, monkeypatch):
    """Above the limit all weights lie in one file, on pages, and the graph computes the same."""
    monkeypatch.setattr(storage, "INLINE_BYTES", 100_000)
    exporter.export(checkpoints("sdxl"), tmp_path / "beside")
    data = tmp_path / "beside" / "denoiser.onnx.data"
    assert data.name in manifest_of(tmp_path / "beside")["files"]
    graph = onnx.load(tmp_path / "beside" / "denoiser.onnx", load_external_data=False).graph
    places = [{e.key: e.value for e in t.external_data} for t in graph.initializer if t.external_data]
    assert {place["location"] for place in places} == {data.name}
    assert all(int(place["offset"]) % 4096 == 0 for place in places)
    # The dilated graph takes its weights from there too.
    assert not (tmp_path / "beside" / "denoiser_dilated.onnx.data").exists()
    dilated = onnx.load(tmp_path / "beside" / "denoiser_dilated.onnx", load_external_data=False).graph
    assert {e.value for t in dilated.initializer for e in t.external_data if e.key == "location"} == {data.name}
    session, inputs = feed(tmp_path / "beside", 1, 16, 16)
    for ours, inline in zip(session.run(None, inputs), feed(bundles("sdxl"), 1, 16, 16)[0].run(None, inputs)):
        assert np.allclose(ours, inline, rtol=0, atol=1e-6 * np.abs(inline).max())


def written_denoiser(folder, **unet):
    """A small SD 1.5 with another UNet: its checkpoint, the dilated graph's inputs, the manifest's entry, the exported graph and the network itself."""
    written = []
    checkpoint = Checkpoint.configured(families.write("sd15", folder / "checkpoint", unet=unet))
    entry = exporter._denoiser(checkpoint, folder, checkpoint.text(), "epsilon", lambda graph, _: written.append(graph))
    exporter.write_graph(written[0], folder)
    session = onnxruntime.InferenceSession(str(folder / "denoiser.onnx"), providers=["CPUExecutionProvider"])
    network = UNet2DConditionModel.from_pretrained(folder / "checkpoint" / "unet", torch_dtype=torch.float32).eval()
    return checkpoint, written[1].input_names, entry, session, network


def test_lcm_takes_the_guidance_scale(tmp_path):
    """The graph has the input, and the manifest says its role and width, as the engine's InputRole.GUIDANCE has it."""
    checkpoint, dilated_inputs, entry, session, network = written_denoiser(tmp_path, time_cond_proj_dim=12)
    assert dilated_inputs == ["sample", "timestep", "encoder_hidden_states", "timestep_cond", "token_weights", "dilation"]
    assert entry["inputs"] == ["sample", "timestep", "encoder_hidden_states", {"name": "timestep_cond", "role": "guidance", "width": 12}, "token_weights"]
    assert checkpoint.family.defaults == {"steps": 8, "guidance_scale": 8.5, "method": "relay"}
    rng = np.random.default_rng(0)
    inputs = {
        "sample": rng.standard_normal((1, 4, 16, 16), np.float32), "timestep": np.full(1, 500, np.float32),
        "encoder_hidden_states": rng.standard_normal((1, 77, 32), np.float32), "timestep_cond": rng.standard_normal((1, 12), np.float32),
        "token_weights": np.ones((1, 77), np.float32),
    }
    with torch.no_grad():
        expected = network(
            torch.from_numpy(inputs["sample"]), torch.tensor([500.0]), torch.from_numpy(inputs["encoder_hidden_states"]),
            timestep_cond=torch.from_numpy(inputs["timestep_cond"])).sample.numpy()
    assert np.allclose(session.run(["noise"], inputs)[0], expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_inpainting_has_its_mask_as_an_input(tmp_path):
    """The channels beside the latents are an input of their own, as the engine's InputRole.INPAINT has it; the noise is the whole network's."""
    _, dilated_inputs, entry, session, network = written_denoiser(tmp_path, in_channels=9)
    assert dilated_inputs == ["sample", "timestep", "encoder_hidden_states", "inpaint", "token_weights", "dilation"]
    assert entry["inputs"] == ["sample", "timestep", "encoder_hidden_states", "inpaint", "token_weights"]
    torch.manual_seed(2)
    sample, shown, text = torch.randn(2, 4, 16, 24), torch.randn(2, 5, 16, 24), torch.randn(2, 77, 32)
    given = {"sample": sample, "timestep": torch.full((2,), 401.0), "encoder_hidden_states": text, "inpaint": shown, "token_weights": torch.zeros(2, 77)}
    noise = session.run(["noise"], {name: value.numpy() for name, value in given.items()})[0]
    with torch.no_grad():
        expected = network(torch.cat([sample, shown], 1), given["timestep"], text).sample.numpy()
    assert np.allclose(noise, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


# --------------------------------------------------------------------------------------------------- bad input


def fails(arguments, capsys):
    assert main(["model", *map(str, arguments)]) == 1
    return capsys.readouterr().err


def test_not_a_checkpoint(tmp_path, capsys):
    assert "model_index.json is missing: not a diffusers checkpoint" in fails([tmp_path, "--out", tmp_path / "b"], capsys)
    assert not (tmp_path / "b").exists()


def copy(checkpoint, folder, **index):
    folder.mkdir()
    for path in checkpoint.iterdir():
        if path.name != "model_index.json":
            (folder / path.name).symlink_to(path)
    content = json.loads((checkpoint / "model_index.json").read_text()) | index
    (folder / "model_index.json").write_text(json.dumps(content))
    return folder


def test_unknown_family(checkpoints, tmp_path, capsys):
    folder = copy(checkpoints("sd15"), tmp_path / "other", _class_name="FluxPipeline")
    assert "is a FluxPipeline; known are StableDiffusionPipeline" in fails([folder, "--out", tmp_path / "b"], capsys)


def test_missing_part(checkpoints, tmp_path, capsys):
    folder = copy(checkpoints("sdxl"), tmp_path / "part")
    (folder / "text_encoder_2").unlink()
    assert "text_encoder_2 is missing" in fails([folder, "--out", tmp_path / "b"], capsys)


def test_parts_are_looked_at_before_the_work(checkpoints, tmp_path, capsys):
    """Text encoders come first and take minutes at full size; what the last part lacks is said at once."""
    for lacks in ("vae/config.json", "tokenizer_2", "unet/diffusion_pytorch_model.safetensors"):
        folder = tmp_path / lacks.replace("/", "_")
        shutil.copytree(checkpoints("sdxl"), folder)
        path = folder / lacks
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        error = fails([folder, "--out", tmp_path / "b"], capsys)
        assert str(folder / Path(lacks).parts[0]) in error and "text_encoder\n" not in error


def damaged(checkpoint, folder, part, damage):
    shutil.copytree(checkpoint, folder)
    file = next((folder / part).glob("*.safetensors"))
    damage(file)
    return folder


def test_damaged_weights(checkpoints, tmp_path, capsys):
    def cut(file):
        file.write_bytes(file.read_bytes()[:-100])

    def noise(file):
        file.write_bytes(np.random.default_rng(0).bytes(5000))

    def empty(file):
        file.write_bytes(b"")

    for damage, said in ((cut, "copied to the end"), (noise, "damaged or no safetensors file"), (empty, "damaged or no safetensors file")):
        folder = damaged(checkpoints("sdxl"), tmp_path / damage.__name__, "unet", damage)
        error = fails([folder, "--out", tmp_path / "b"], capsys)
        assert str(folder / "unet" / "diffusion_pytorch_model.safetensors") in error and said in error


@pytest.mark.parametrize("part", ["unet", "text_encoder_2"])
def test_weights_that_lack_a_tensor(checkpoints, tmp_path, capsys, part):
    """diffusers would leave it without memory, transformers would draw it at random."""
    def drop(file):
        tensors = load_file(file)
        save_file({name: value for name, value in tensors.items() if not name.endswith("fc1.bias") and "mid_block" not in name}, file)

    folder = damaged(checkpoints("sdxl"), tmp_path / "lacks", part, drop)
    error = fails([folder, "--out", tmp_path / "b"], capsys)
    assert f"{folder / part} has no weights for " in error and "which its config.json asks for" in error


def test_split_weights(checkpoints, bundles, tmp_path, capsys):
    folder = tmp_path / "sd15"
    shutil.copytree(checkpoints("sd15"), folder)
    shutil.rmtree(folder / "unet")
    unet = UNet2DConditionModel.from_pretrained(checkpoints("sd15") / "unet", torch_dtype=torch.float16)
    unet.save_pretrained(folder / "unet", max_shard_size="100KB")
    files = sorted((folder / "unet").glob("*.safetensors"))
    assert len(files) > 2
    manifest = exporter.export(folder, tmp_path / "b")
    assert manifest["files"] == manifest_of(bundles("sd15"))["files"]
    files[1].unlink()
    assert f"has {len(files) - 1} of the" in fails([folder, "--out", tmp_path / "c"], capsys)


def test_published_folders_hold_several_versions(checkpoints, tmp_path, capsys):
    folder = tmp_path / "unet"
    shutil.copytree(checkpoints("sd15") / "unet", folder)
    whole = folder / "diffusion_pytorch_model.safetensors"
    half, brain, other = (folder / f"diffusion_pytorch_model.{name}.safetensors" for name in ("fp16", "bf16", "non_ema"))
    for file in (half, brain, other):
        shutil.copy(whole, file)
    for precision, order in {"fp32": (whole, half, brain, other), "fp16": (half, whole, brain, other)}.items():
        kept = {file: file.read_bytes() for file in order}
        for file in order:
            assert Weights.of(folder, precision).files == (file,)
            Weights.of(folder, precision).require_whole()
            assert ("has no averaged weights" in capsys.readouterr().err) == (file == other)
            file.unlink()
        (folder / "diffusion_pytorch_model.bin").write_bytes(b"")
        with pytest.raises(ExportError, match="pickles as .bin"):
            Weights.of(folder, precision)
        for file, content in kept.items():
            file.write_bytes(content)


@pytest.mark.parametrize("names", ["{stem}.fp16-0000{i}-of-00002.safetensors", "{stem}-0000{i}-of-00002.fp16.safetensors"])
def test_shards_of_variants_by_new_and_old_names(checkpoints, tmp_path, names):
    """diffusers itself reads old ones only where no folder's name has a dot."""
    folder = tmp_path / "stable-diffusion-v1.5" / "text_encoder"
    folder.mkdir(parents=True)
    shutil.copy(checkpoints("sd15") / "text_encoder" / "config.json", folder)
    tensors = load_file(checkpoints("sd15") / "text_encoder" / "model.safetensors")
    for i in (1, 2):
        save_file(dict(list(tensors.items())[i - 1 :: 2]), folder / names.format(stem="model", i=i), {"format": "pt"})
    shards = Weights.of(folder, "fp32")
    shards.require_whole()
    with shards.linked() as place:
        model = CLIPTextModel.from_pretrained(place, torch_dtype=torch.float16).state_dict()
    own = {name.removeprefix("text_model."): value for name, value in tensors.items()}
    assert len(model) == len(own) and all(torch.equal(value, own[name.removeprefix("text_model.")]) for name, value in model.items())
    shards.files[1].unlink()
    with pytest.raises(ExportError, match="has 1 of the 2 files of its weights"):
        Weights.of(folder, "fp32").require_whole()


def test_autoencoder_of_another_family(checkpoints, tmp_path, capsys):
    error = fails([checkpoints("sdxl"), "--out", tmp_path / "b", "--vae", checkpoints("sd15") / "vae"], capsys)
    assert "has scaling_factor 0.18215, the checkpoint's own autoencoder 0.13025" in error
    error = fails([checkpoints("sdxl"), "--out", tmp_path / "b", "--vae", checkpoints("sd3")], capsys)
    assert "has latent_channels 16, the checkpoint's own autoencoder 4" in error


def test_disk_and_memory(checkpoints, tmp_path, capsys, monkeypatch):
    with monkeypatch.context() as less:
        less.setattr(weights, "_HELD", 1e9)
        assert "of memory" in fails([checkpoints("sd15"), "--out", tmp_path / "b"], capsys)
    monkeypatch.setattr(exporter.shutil, "disk_usage", lambda path: type("usage", (), {"free": 1000}))
    assert "are needed: choose another --out" in fails([checkpoints("sd15"), "--out", tmp_path / "b"], capsys)


def test_full_disk_while_writing(checkpoints, tmp_path, capsys, monkeypatch):
    def write(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "write", write)
    assert "is full: choose another --out" in fails([checkpoints("sd15"), "--out", tmp_path / "b"], capsys)
    assert list(tmp_path.iterdir()) == []


def test_interruption_writes_nothing(checkpoints, tmp_path, capsys, monkeypatch):
    def stop(*arguments):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(storage, "write", stop)
    assert main(["model", str(checkpoints("sd15")), "--out", str(tmp_path / "b")]) == 130
    assert "stopped" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_disagreement_writes_nothing(checkpoints, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(tracing.TOLERANCE, "fp32", 1e-12)
    assert "differs from PyTorch by" in fails([checkpoints("sd15"), "--out", tmp_path / "b"], capsys)
    assert list(tmp_path.iterdir()) == []


def test_single_file_needs_configurations(tmp_path, capsys):
    save_file({"input_blocks.0.0.weight": torch.zeros(8, 4, 3, 3)}, tmp_path / "model.safetensors")
    assert "give --config FOLDER" in fails([tmp_path / "model.safetensors", "--out", tmp_path / "b"], capsys)
