# SPDX-License-Identifier: Apache-2.0
"""LoRA files: merged at the right strength by every trainer's names, or refused by their headers."""

import json

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

import families
from asg4j_export.__main__ import main
from asg4j_export.checkpoint import Checkpoint
from asg4j_export.errors import ExportError
from asg4j_export.lora import Lora, layers_of
from asg4j_export.lora_names import candidates, from_original

QUERY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
NAMES = [QUERY, "up_blocks.1.attentions.1.transformer_blocks.0.attn2.to_out.0", "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj"]


def lora_tensors(names, shapes, layout, alpha=3.0):
    """The same random low-rank changes under each layout's names: {module: (down, up)} and the file's tensors."""
    torch.manual_seed(1)
    matrices = {name: (torch.randn(2, shapes[name][1]), torch.randn(shapes[name][0], 2)) for name in names}
    tensors = {}
    for name, (down, up) in matrices.items():
        if layout == "kohya":
            flat = "lora_unet_" + name.replace(".", "_")
            tensors |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up, f"{flat}.alpha": torch.tensor(alpha)}
        else:
            down_key, up_key = {"peft": ("lora_A", "lora_B"), "diffusers": ("lora.down", "lora.up")}[layout]
            tensors |= {f"unet.{name}.{down_key}.weight": down, f"unet.{name}.{up_key}.weight": up}
    return matrices, tensors


@pytest.mark.parametrize("layout,scale", [("kohya", 1.5), ("peft", 1.0), ("diffusers", 1.0)])
def test_merged_lora_is_the_side_path(checkpoints, tmp_path, layout, scale):
    """Against LoRA's own form, y = W x + weight * alpha/rank * up(down(x)), computed beside every layer."""
    plain, merged = (UNet2DConditionModel.from_pretrained(checkpoints("sd15") / "unet", torch_dtype=torch.float32).eval() for _ in range(2))
    shapes = {name: plain.get_submodule(name).weight.shape for name in NAMES}
    matrices, tensors = lora_tensors(NAMES, shapes, layout)
    save_file(tensors, tmp_path / "style.safetensors")
    Lora.read(f"{tmp_path / 'style.safetensors'}:0.5").merge("denoiser", merged)
    for name, (down, up) in matrices.items():
        plain.get_submodule(name).register_forward_hook(
            lambda module, x, y, down=down, up=up: y + 0.5 * scale * (x[0] @ down.T @ up.T))
    inputs = (torch.randn(1, 4, 16, 16), torch.tensor([500.0]), torch.randn(1, 77, 32))
    with torch.no_grad():
        expected, actual = plain(*inputs).sample, merged(*inputs).sample
    assert torch.allclose(expected, actual, atol=1e-4 * expected.abs().max().item())
    assert not torch.allclose(expected, UNet2DConditionModel.from_pretrained(checkpoints("sd15") / "unet", torch_dtype=torch.float32)(*inputs).sample, atol=1e-2)


def written(tmp_path, tensors, metadata=None, name="x.safetensors"):
    save_file({key: torch.as_tensor(value).clone() for key, value in tensors.items()}, tmp_path / name, metadata)
    return tmp_path / name


class Small(torch.nn.Module):
    """A network with one layer of the small checkpoint's name and of any size."""

    def __init__(self, name, rows, columns):
        super().__init__()
        module = self
        *parents, last = name.split(".")
        for parent in parents:
            module.add_module(parent, torch.nn.Module())
            module = module.get_submodule(parent)
        module.add_module(last, torch.nn.Linear(columns, rows, bias=False))
        self.requires_grad_(False).get_submodule(name).weight.zero_()


def change_of(file, name=QUERY, rows=8, columns=8, part="denoiser"):
    """What a file adds to a layer of zeros."""
    model = Small(name, rows, columns)
    Lora.read(str(file)).merge(part, model)
    return model.get_submodule(name).weight


UP, DOWN = torch.arange(32.0).reshape(8, 4), torch.eye(4, 8)


@pytest.mark.parametrize("metadata,factor", [
    (None, 1.0),
    ({"unet.r": 4, "unet.lora_alpha": 8}, 2.0),
    ({"unet.r": 4, "unet.lora_alpha": 8, "unet.use_rslora": True}, 4.0),
    ({"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {QUERY: 1}}, 0.25),
    ({"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {"attn1.to_q": 1}, "unet.use_rslora": True}, 0.5),
    ({"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {"attn2.to_q": 1}}, 2.0),
    # The rank is that of the matrices, whatever r says for the other layers.
    ({"unet.r": 16, "unet.lora_alpha": 8, "unet.rank_pattern": {QUERY: 4}}, 2.0),
    ({"text_encoder.lora_alpha": 8}, 1.0),
])
def test_strength_is_that_of_peft_s_settings(tmp_path, metadata, factor):
    file = written(tmp_path, {f"unet.{QUERY}.lora_A.weight": DOWN, f"unet.{QUERY}.lora_B.weight": UP},
                   None if metadata is None else {"lora_adapter_metadata": json.dumps(metadata)})
    assert torch.equal(change_of(file), factor * UP @ DOWN)


def test_settings_beside_a_file_of_peft_s_own(tmp_path):
    file = written(tmp_path, {f"base_model.model.{QUERY}.lora_A.weight": DOWN, f"base_model.model.{QUERY}.lora_B.weight": UP})
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 16, "r": 4, "use_rslora": True}))
    assert torch.equal(change_of(file), 8 * UP @ DOWN)


@pytest.mark.parametrize("down,up,name,part", [
    (f"{QUERY}.lora_A.weight", f"{QUERY}.lora_B.weight", QUERY, "denoiser"),
    (f"base_model.model.{QUERY}.lora_A.weight", f"base_model.model.{QUERY}.lora_B.weight", QUERY, "denoiser"),
    (f"unet.{QUERY}.lora_A.default.weight", f"unet.{QUERY}.lora_B.default.weight", QUERY, "denoiser"),
    (f"diffusion_model.{QUERY}.lora_A.weight", f"diffusion_model.{QUERY}.lora_B.weight", QUERY, "denoiser"),
    (f"unet.{QUERY}.lora_linear_layer.down.weight", f"unet.{QUERY}.lora_linear_layer.up.weight", QUERY, "denoiser"),
    (f"lycoris_{QUERY.replace('.', '_')}.lora_down.weight", f"lycoris_{QUERY.replace('.', '_')}.lora_up.weight", QUERY, "denoiser"),
    (f"lora_unet_unet_{QUERY.replace('.', '_')}_lora_down.weight", f"lora_unet_unet_{QUERY.replace('.', '_')}_lora_up.weight", QUERY, "denoiser"),
    ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.down.weight",
     "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.up.weight",
     "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0", "denoiser"),
    ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight",
     "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.up.weight", "encoder.layers.0.self_attn.q_proj", "text_encoder"),
    ("text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.down.weight",
     "text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.up.weight", "text_model.encoder.layers.0.self_attn.q_proj", "text_encoder"),
    ("text_model.encoder.layers.0.mlp.fc1.lora_A.weight", "text_model.encoder.layers.0.mlp.fc1.lora_B.weight", "encoder.layers.0.mlp.fc1", "text_encoder"),
    ("lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight",
     "encoder.layers.0.mlp.fc1", "text_encoder_2"),
    ("lora_unet_input_blocks_0_0.lora_down.weight", "lora_unet_input_blocks_0_0.lora_up.weight", "conv_in", "denoiser"),
    ("lora_unet_time_embed_2.lora_down.weight", "lora_unet_time_embed_2.lora_up.weight", "time_embedding.linear_2", "denoiser"),
    ("lora_unet_label_emb_0_0.lora_down.weight", "lora_unet_label_emb_0_0.lora_up.weight", "add_embedding.linear_1", "denoiser"),
    ("lora_unet_out_2.lora_down.weight", "lora_unet_out_2.lora_up.weight", "conv_out", "denoiser"),
    ("lora_unet_joint_blocks_3_context_block_mlp_fc1.lora_down.weight", "lora_unet_joint_blocks_3_context_block_mlp_fc1.lora_up.weight",
     "transformer_blocks.3.ff_context.net.0.proj", "denoiser"),
])
def test_names_of_every_trainer(tmp_path, down, up, name, part):
    assert torch.equal(change_of(written(tmp_path, {down: DOWN, up: UP}), name, part=part), UP @ DOWN)


def test_queries_keys_and_values_of_sd3_in_one(checkpoints, tmp_path):
    """kohya's files for SD3 change the three layers of the original as one."""
    with torch.device("meta"):
        layers = layers_of(families.denoiser("sd3"))
    up, down = torch.randn(3 * 32, 2), torch.randn(2, 32)
    name = "lora_unet_joint_blocks_0_x_block_attn_qkv"
    lora = Lora.read(str(written(tmp_path, {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up})))
    lora.require_fits("denoiser", layers, "it")
    network = Checkpoint.open(checkpoints("sd3")).load("transformer")
    before = {n: m.weight.clone() for n, m in network.named_modules() if n.startswith("transformer_blocks.0.attn.to_") and hasattr(m, "weight")}
    lora.merge("denoiser", network)
    for share, layer in enumerate(("to_q", "to_k", "to_v")):
        added = network.get_submodule(f"transformer_blocks.0.attn.{layer}").weight - before[f"transformer_blocks.0.attn.{layer}"]
        assert torch.allclose(added, (up @ down)[32 * share : 32 * (share + 1)], atol=1e-5)


@pytest.mark.parametrize("name,layer,swapped", [
    ("lora_unet_joint_blocks_5_context_block_adaLN_modulation_1", "transformer_blocks.5.norm1_context.linear", True),
    ("lora_unet_final_layer_adaLN_modulation_1", "norm_out.linear", True),
    ("lora_transformer_norm_out_linear", "norm_out.linear", False),
    ("lora_unet_joint_blocks_0_context_block_adaLN_modulation_1", "transformer_blocks.0.norm1_context.linear", False),
])
def test_norms_of_sd3(tmp_path, name, layer, swapped):
    """The original has shift before scale where diffusers has scale before shift (swap_scale_shift of its conversion)."""
    network = families.denoiser("sd3")
    weight = network.get_submodule(layer).weight
    up, down = torch.randn(weight.shape[0], 2), torch.randn(2, 32)
    before = weight.clone()
    Lora.read(str(written(tmp_path, {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}))).merge("denoiser", network)
    shift_first = up @ down
    expected = torch.cat(shift_first.chunk(2)[::-1]) if swapped else shift_first
    assert torch.allclose(weight - before, expected, atol=1e-5)


def test_original_block_names_of_sdxl():
    """kohya's files for SDXL name the blocks as Stability does; diffusers' own conversion is the oracle."""
    from diffusers.loaders.lora_conversion_utils import _maybe_map_sgm_blocks_to_diffusers

    unet = families.denoiser("sdxl")
    names = ["input_blocks_4_1_transformer_blocks_0_attn1_to_q", "input_blocks_8_1_proj_in", "middle_block_1_transformer_blocks_1_ff_net_2",
             "output_blocks_0_1_transformer_blocks_1_attn2_to_k", "output_blocks_5_1_proj_out"]
    theirs = _maybe_map_sgm_blocks_to_diffusers({f"lora_unet_{name}.lora_down.weight": torch.zeros(1) for name in names}, unet.config)
    renamed = {key.replace("input_blocks", "down_blocks").replace("middle_block", "mid_block").replace("output_blocks", "up_blocks") for key in theirs}
    assert {f"lora_unet_{from_original(name)}.lora_down.weight" for name in names} == renamed
    modules = {name.replace(".", "_") for name, _ in unet.named_modules()}
    resnets = ["input_blocks_1_0_in_layers_2", "input_blocks_3_0_op", "middle_block_2_out_layers_3", "output_blocks_2_2_conv",
               "output_blocks_8_0_skip_connection", "input_blocks_7_0_emb_layers_1"]
    assert {from_original(name) for name in names + resnets} <= modules
    outside = ["input_blocks_0_0", "time_embed_0", "time_embed_2", "label_emb_0_0", "label_emb_0_2", "out_2"]
    assert all(any(set(layers) <= modules for layers in candidates(name)) for name in outside)


def test_text_encoder_lora(checkpoints, tmp_path):
    down, up = torch.randn(2, 48), torch.randn(48, 2)
    file = written(tmp_path, {"lora_te2_text_model_encoder_layers_1_self_attn_q_proj.lora_down.weight": down,
                              "lora_te2_text_model_encoder_layers_1_self_attn_q_proj.lora_up.weight": up})
    before = Checkpoint.open(checkpoints("sdxl")).load("text_encoder_2").state_dict()
    after = Checkpoint.open(checkpoints("sdxl"), loras=(Lora.read(str(file)),)).load("text_encoder_2").state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(changed) == 1 and changed[0].endswith("encoder.layers.1.self_attn.q_proj.weight")
    assert torch.allclose(after[changed[0]] - before[changed[0]], up @ down, atol=1e-5)


# ---------------------------------------------------------------------------------------------------- refusals


PLAIN = {f"unet.{QUERY}.lora_A.weight": DOWN, f"unet.{QUERY}.lora_B.weight": UP}


@pytest.mark.parametrize("tensors,metadata,said", [
    ({"lora_unet_x.hada_w1_a": DOWN}, None, "holds lora_unet_x.hada_w1_a: LoHa. The exporter merges plain LoRA alone; the engine merges this one when it draws:"
     " asg generate --model FILE.safetensors --lora"),
    ({"lora_unet_x.lokr_w1": DOWN}, None, "LoKr. The exporter merges plain LoRA alone"),
    (PLAIN | {f"unet.{QUERY}.lora_magnitude_vector": UP[:, 0]}, None, "DoRA. The exporter merges plain LoRA alone"),
    (PLAIN | {"lora_unet_x.dora_scale": UP[:, :1]}, None, "DoRA. The exporter merges plain LoRA alone"),
    ({"lora_unet_x.lora_mid.weight": DOWN}, None, "LoCon in Tucker's form. The exporter merges plain LoRA alone"),
    (PLAIN, {"unet.use_dora": True}, "says that it is DoRA (use_dora), but has no lora_magnitude_vector for"),
    (PLAIN, "{x", "lora_adapter_metadata of its header cannot be read, so that its strength is not known"),
    (PLAIN, {"unet.alpha_pattern": {".*to_q": 1}}, "alpha_pattern .*to_q is not the name of a layer"),
    (PLAIN | {f"{QUERY}.lora_A.weight": DOWN}, None, "are the same change of one layer"),
    ({f"unet.{QUERY}.lora_A.weight": DOWN}, None, "has only one of its two matrices"),
    (PLAIN | {f"unet.{QUERY}.lora_B.weight": UP[:, :2]}, None, "[8, 2] and unet." + QUERY + ".lora_A.weight [4, 8] are not of one rank"),
    ({"unet:0:up": UP}, None, "the first form of LoRA files"),
    ({"emb_params": UP}, None, "a textual-inversion embedding"),
    ({"model.diffusion_model.input_blocks.0.0.weight": UP}, None, "a weight of a whole model: give the file as CHECKPOINT"),
    ({"something": UP}, None, "no tensor of a LoRA"),
    ({}, None, "holds no weights"),
])
def test_files_that_are_refused(tmp_path, tensors, metadata, said):
    text = metadata if isinstance(metadata, str) or metadata is None else json.dumps(metadata)
    file = written(tmp_path, tensors, None if text is None else {"lora_adapter_metadata": text})
    with pytest.raises(ExportError) as refused:
        Lora.read(str(file))
    assert str(refused.value).startswith(f"LoRA {file}") and said in str(refused.value)


@pytest.mark.parametrize("content,said", [
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a Git LFS pointer, not the file itself: run git lfs pull"),
    (b"<html>", "is damaged or no safetensors file"),
    (b"", "is damaged or no safetensors file"),
])
def test_files_that_are_none(tmp_path, content, said):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ExportError, match=said):
        Lora.read(str(tmp_path / "x.safetensors"))
    with pytest.raises(ExportError, match="is no file; give --lora"):
        Lora.read(str(tmp_path / "none.safetensors"))
    with pytest.raises(ExportError, match="the weight is nan"):
        Lora.read(f"{tmp_path / 'x.safetensors'}:nan")


@pytest.mark.parametrize("name,shape,said", [
    (QUERY, (12, 8), "changes a weight of 12 x 8, but that of {folder} is 8 x 8"),
    (QUERY, (8, 16), "changes a weight of 8 x 16, but that of {folder} is 8 x 8"),
    ("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", (8, 2048),
     "changes a weight of 8 x 2048, but that of {folder} is 8 x 32: it was made for Stable Diffusion XL"),
    ("no_such_block", (8, 8), "changes 1 of 1 layers that the denoiser of {folder} does not have, as unet.no_such_block.lora_A.weight"),
])
def test_another_width_is_refused_before_anything_is_loaded(checkpoints, tmp_path, capsys, monkeypatch, name, shape, said):
    monkeypatch.setattr(Checkpoint, "load", lambda *arguments: pytest.fail("loaded"))
    file = written(tmp_path, {f"unet.{name}.lora_A.weight": torch.zeros(2, shape[1]), f"unet.{name}.lora_B.weight": torch.zeros(shape[0], 2)})
    assert main(["model", str(checkpoints("sd15")), "--out", str(tmp_path / "b"), "--lora", f"{file}:0.5"]) == 1
    assert said.format(folder=checkpoints("sd15")) in capsys.readouterr().err


def test_a_part_that_the_checkpoint_lacks(checkpoints, tmp_path, capsys):
    file = written(tmp_path, {"lora_te2_x.lora_down.weight": torch.zeros(1, 4), "lora_te2_x.lora_up.weight": torch.zeros(4, 1)})
    assert main(["model", str(checkpoints("sd15")), "--out", str(tmp_path / "b"), "--lora", str(file)]) == 1
    assert f"LoRA {file} changes text_encoder_2, which {checkpoints('sd15')} does not have" in capsys.readouterr().err


def test_files_of_the_engine_s_tests(checkpoints):
    """What diffusers' fuse_lora and LyCORIS made of the same files (lora_fixtures.py)."""
    folder = families.RESOURCES / "checkpoint" / "lora"
    expected = load_file(folder / "expected.safetensors")
    merged = 0
    for name in ("kohya", "peft", "older", "peft_rslora", "peft_alpha_pattern"):
        for weight in (1.0, 0.5):
            checkpoint = Checkpoint.open(checkpoints("sd15"), loras=(Lora.read(f"{folder / (name + '.safetensors')}:{weight}"),))
            networks = {"unet": checkpoint.load("unet"), "text_encoder": checkpoint.load("text_encoder")}
            for key, value in expected.items():
                label, part, layer = key.split("/")
                if label == f"{name}@{weight}":
                    own = networks[part].state_dict()
                    weight_name = next(n for n in own if n.removeprefix("text_model.") == layer + ".weight")
                    assert torch.allclose(own[weight_name], value, rtol=0, atol=1e-5 * value.abs().max().item()), key
                    merged += 1
    assert merged == 2 * (7 + 8 + 3 + 3 + 3)
