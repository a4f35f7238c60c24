# SPDX-License-Identifier: Apache-2.0
"""A single .safetensors file in Stability's layout becomes the bundle that the checkpoint folder becomes."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from diffusers import SD3Transformer2DModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import families
from asg4j_export.__main__ import main
from asg4j_export.checkpoint import Checkpoint
from asg4j_export.single_file import SingleFile, unpacked, unpacked_vae

_RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0", "conv2": "out_layers.3",
           "conv_shortcut": "skip_connection"}
_UNET = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
         "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2", "conv_norm_out": "out.0", "conv_out": "out.2"}


def unet_name(key):
    for ours, theirs in _UNET.items():
        if key.startswith(ours + "."):
            return theirs + key.removeprefix(ours)
    match = re.match(r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.*)", key)
    if match:
        side, level, kind, layer, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
        place = 3 * level + layer
        if kind == "downsamplers":
            return f"input_blocks.{3 * level + 3}.0.{rest.replace('conv', 'op')}"
        if kind == "upsamplers":
            return f"output_blocks.{3 * level + 2}.{1 if level == 0 else 2}.{rest}"
        blocks = f"input_blocks.{place + 1}" if side == "down" else f"output_blocks.{place}"
        return f"{blocks}.{1 if kind == 'attentions' else 0}.{rest if kind == 'attentions' else resnet(rest)}"
    match = re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", key)
    return f"middle_block.{1 if match[1] == 'attentions' else 2 * int(match[2])}.{match[3] if match[1] == 'attentions' else resnet(match[3])}"


def resnet(rest):
    module, _, kind = rest.rpartition(".")
    return f"{_RESNET[module]}.{kind}"


def vae_name(key):
    key = key.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    key = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", key)
    key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", key)
    key = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{3 - int(m[1])}.block", key)
    key = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", key)
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    for ours, theirs in (("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
        key = key.replace(f"mid_block.attentions.0.{ours}", f"mid.attn_1.{theirs}")
    return key


def image_tensors(checkpoint):
    """UNet and autoencoder in the names of single files."""
    tensors = {"model.diffusion_model." + unet_name(k): v for k, v in load_file(checkpoint / "unet" / "diffusion_pytorch_model.safetensors").items()}
    for key, value in load_file(checkpoint / "vae" / "diffusion_pytorch_model.safetensors").items():
        linear = "attentions" in key and value.ndim == 2  # 1 x 1 convolutions there
        tensors["first_stage_model." + vae_name(key)] = value[:, :, None, None].contiguous() if linear else value
    return tensors


def single_file(checkpoint, path, further=None, metadata=None, vae=True):
    tensors = image_tensors(checkpoint)
    for key, value in load_file(checkpoint / "text_encoder" / "model.safetensors").items():
        tensors["cond_stage_model.transformer.text_model." + key.removeprefix("text_model.")] = value
    kept = {key: value for key, value in tensors.items() if vae or not key.startswith("first_stage_model.")}
    save_file(kept | (further or {}), path, metadata)


_OPEN_CLIP = {
    "embeddings.position_embedding.weight": "positional_embedding", "embeddings.token_embedding.weight": "token_embedding.weight",
    "final_layer_norm.weight": "ln_final.weight", "final_layer_norm.bias": "ln_final.bias",
}


def open_clip(network):
    """A text encoder in OpenCLIP's names, from those of transformers: three projections are one, that of the pooled state is transposed."""
    tensors = {}
    for key, value in network.items():
        bare = key.removeprefix("text_model.")
        match = re.match(r"encoder\.layers\.(\d+)\.(.*)\.(weight|bias)$", bare)
        if bare == "text_projection.weight":
            tensors["text_projection"] = value.T.contiguous()
        elif not match:
            tensors[_OPEN_CLIP[bare]] = value
        elif match[2] == "self_attn.q_proj":
            parts = [network[key.replace("q_proj", letter + "_proj")] for letter in "qkv"]
            tensors[f"transformer.resblocks.{match[1]}.attn.in_proj_{match[3]}"] = torch.cat(parts)
        elif match[2] not in ("self_attn.k_proj", "self_attn.v_proj"):
            layer = match[2].replace("layer_norm", "ln_").replace("mlp.fc1", "mlp.c_fc").replace("mlp.fc2", "mlp.c_proj").replace("self_attn", "attn")
            tensors[f"transformer.resblocks.{match[1]}.{layer}.{match[3]}"] = value
    return tensors


def refiner_file(checkpoint, path):
    """A checkpoint of SDXL's refiner as a single file."""
    text = open_clip(load_file(checkpoint / "text_encoder_2" / "model.safetensors"))
    save_file(image_tensors(checkpoint) | {"conditioner.embedders.0.model." + key: value for key, value in text.items()}, path)


_JOINT_ENDS = {
    "pos_embed.proj": "x_embedder.proj", "pos_embed.pos_embed": "pos_embed", "context_embedder": "context_embedder", "proj_out": "final_layer.linear",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0", "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
}
_JOINT_LAYER = {
    "attn.to_out.0": "x_block.attn.proj", "attn2.to_out.0": "x_block.attn2.proj", "attn.to_add_out": "context_block.attn.proj",
    "attn.norm_q": "x_block.attn.ln_q", "attn.norm_k": "x_block.attn.ln_k", "attn2.norm_q": "x_block.attn2.ln_q", "attn2.norm_k": "x_block.attn2.ln_k",
    "attn.norm_added_q": "context_block.attn.ln_q", "attn.norm_added_k": "context_block.attn.ln_k", "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1", "ff.net.0.proj": "x_block.mlp.fc1", "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1", "ff_context.net.2": "context_block.mlp.fc2",
}


def halves_exchanged(value):
    return torch.cat(value.chunk(2)[::-1])


def joint_tensors(network):
    """SD3's transformer in its publisher's names, from those of diffusers."""
    tensors, last = {}, max(int(key.split(".")[1]) for key in network if key.startswith("transformer_blocks."))
    for key, value in network.items():
        match = re.match(r"transformer_blocks\.(\d+)\.(.*)", key)
        stem, kind = (match[2] if match else key).rpartition(".")[::2]
        if not match:
            name = "pos_embed" if key == "pos_embed.pos_embed" else f"{_JOINT_ENDS[stem]}.{kind}"
            tensors[name] = halves_exchanged(value) if stem == "norm_out.linear" else value
            continue
        start = f"joint_blocks.{match[1]}."
        projection = re.match(r"(attn2?)\.(to|add)_q(_proj)?$", stem)
        if projection:
            parts = [network[key.replace("_q", "_" + letter)] for letter in "qkv"]
            side = "x_block" if projection[2] == "to" else "context_block"
            tensors[f"{start}{side}.{projection[1]}.qkv.{kind}"] = torch.cat(parts)
        elif stem in _JOINT_LAYER:
            # The last block has scale and shift of the text in the other order.
            swapped = stem == "norm1_context.linear" and int(match[1]) == last
            tensors[f"{start}{_JOINT_LAYER[stem]}.{kind}"] = halves_exchanged(value) if swapped else value
        else:
            assert re.match(r"attn2?\.(to|add)_[kv](_proj)?$", stem), key
    return tensors


def joint_file(checkpoint, path):
    """A checkpoint of SD3 or SD3.5 as a single file."""
    tensors = {"model.diffusion_model." + key: value for key, value in joint_tensors(
        load_file(checkpoint / "transformer" / "diffusion_pytorch_model.safetensors")).items()}
    for key, value in load_file(checkpoint / "vae" / "diffusion_pytorch_model.safetensors").items():
        linear = "attentions" in key and value.ndim == 2
        tensors["first_stage_model." + vae_name(key)] = value[:, :, None, None].contiguous() if linear else value
    for part, name in (("text_encoder", "clip_l"), ("text_encoder_2", "clip_g"), ("text_encoder_3", "t5xxl")):
        folder = checkpoint / part
        for key, value in (load_file(folder / "model.safetensors") if folder.exists() else {}).items():
            bare = key if part == "text_encoder_3" or key.startswith(("text_model.", "text_projection.")) else "text_model." + key
            tensors[f"text_encoders.{name}.transformer.{bare}"] = value
    save_file(tensors, path)


@pytest.mark.parametrize("family", ["sd3", "sd35"])
def test_diffusers_reads_the_same_transformer(checkpoints, tmp_path, family):
    """The single file that the engine's tests are made of has diffusers' own weights back."""
    joint_file(checkpoints(family), tmp_path / "model.safetensors")
    network = SD3Transformer2DModel.from_single_file(
        str(tmp_path / "model.safetensors"), config=str(checkpoints(family)), subfolder="transformer", local_files_only=True)
    expected = load_file(checkpoints(family) / "transformer" / "diffusion_pytorch_model.safetensors")
    read = network.state_dict()
    assert all(torch.equal(read[key].half(), value) for key, value in expected.items())


def test_same_bundle(tmp_path):
    checkpoint = families.write("sd15", tmp_path / "checkpoint")
    single_file(checkpoint, tmp_path / "model.safetensors")
    assert main(["model", str(checkpoint), "--out", str(tmp_path / "expected"), "--name", "same"]) == 0
    # Configurations alone, as --config asks for.
    shutil.copytree(checkpoint, tmp_path / "config", ignore=shutil.ignore_patterns("*.safetensors"))
    arguments = ["model", str(tmp_path / "model.safetensors"), "--config", str(tmp_path / "config"), "--out", str(tmp_path / "bundle"), "--name", "same"]
    assert main(arguments) == 0
    files = [json.loads((tmp_path / name / "manifest.json").read_text())["files"] for name in ("expected", "bundle")]
    assert files[0] == files[1]
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "config", "model.safetensors", "expected", "bundle"}


@pytest.mark.parametrize("further,metadata,configured,prediction", [
    ({"v_pred": torch.zeros(0)}, None, "epsilon", "v"),
    (None, {"modelspec.prediction_type": "v"}, "epsilon", "v"),
    (None, {"modelspec.prediction_type": "epsilon"}, "v_prediction", "epsilon"),
    # A file that says nothing leaves it to the configuration.
    (None, None, "v_prediction", "v"),
    (None, {"modelspec.architecture": "stable-diffusion-v1"}, "epsilon", "epsilon"),
])
def test_what_the_file_says_that_it_predicts(checkpoints, tmp_path, capsys, further, metadata, configured, prediction):
    single_file(checkpoints("sd15"), tmp_path / "model.safetensors", further, metadata)
    config = tmp_path / "config"
    shutil.copytree(checkpoints("sd15"), config, ignore=shutil.ignore_patterns("*.safetensors"))
    file = config / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"prediction_type": configured}))
    single, checkpoint = SingleFile.open(tmp_path / "model.safetensors"), Checkpoint.configured(config)
    single.require_fits(checkpoint, with_vae=True)
    with unpacked(single, checkpoint, tmp_path, with_vae=True) as folder:
        assert replace(checkpoint, folder=folder).scheduler()[0] == prediction
    assert ("the file is believed" in capsys.readouterr().err) == (configured[0] != prediction[0])
    assert not folder.exists()


@pytest.mark.parametrize("names", ["publisher", "whole model", "diffusers"])
def test_autoencoder_from_a_file(checkpoints, tmp_path, names):
    expected = load_file(checkpoints("sd15") / "vae" / "diffusion_pytorch_model.safetensors")
    if names == "diffusers":
        shutil.copy(checkpoints("sd15") / "vae" / "diffusion_pytorch_model.safetensors", tmp_path / "vae.safetensors")
    else:
        single_file(checkpoints("sd15"), tmp_path / "model.safetensors")
        prefix = "first_stage_model."
        tensors = {key: value for key, value in load_file(tmp_path / "model.safetensors").items() if names == "whole model" or key.startswith(prefix)}
        save_file({key if names == "whole model" else key.removeprefix(prefix): value for key, value in tensors.items()}, tmp_path / "vae.safetensors")
    with unpacked_vae(tmp_path / "vae.safetensors", checkpoints("sd15"), tmp_path) as folder:
        checkpoint = Checkpoint.open(checkpoints("sd15"), vae_folder=folder)
        own = checkpoint.load("vae").state_dict()
    assert own.keys() == expected.keys() and all(torch.equal(own[key], expected[key].float()) for key in own)


def test_file_without_an_autoencoder_takes_that_of_vae(checkpoints, tmp_path):
    single_file(checkpoints("sd15"), tmp_path / "model.safetensors", vae=False)
    single = SingleFile.open(tmp_path / "model.safetensors")
    checkpoint = Checkpoint.configured(checkpoints("sd15"), vae_folder=checkpoints("sd15") / "vae")
    single.require_fits(checkpoint, with_vae=False)
    with unpacked(single, checkpoint, tmp_path, with_vae=False) as folder:
        checkpoint = replace(checkpoint, folder=folder)
        checkpoint.require_weights()
        with safe_open(folder / "unet" / "diffusion_pytorch_model.safetensors", "pt") as unet:
            assert len(unet.keys()) == len(checkpoint.load("unet").state_dict())
        assert len(checkpoint.load("vae").state_dict()) > 100
