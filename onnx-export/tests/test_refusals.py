# SPDX-License-Identifier: Apache-2.0
"""What the exporter cannot do is refused by configurations and headers, with the reason, before anything is loaded."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from asg4j_export.__main__ import main
from asg4j_export.checkpoint import Checkpoint


@pytest.fixture
def fails(tmp_path, capsys, monkeypatch):
    """Runs an export that has to be refused; what it says. A network that is loaded is a failure."""
    monkeypatch.setattr(Checkpoint, "load", lambda *arguments: pytest.fail("loaded"))

    def run(checkpoint, *arguments):
        assert main(["model", str(checkpoint), "--out", str(tmp_path / "bundle"), *map(str, arguments)]) == 1
        assert not (tmp_path / "bundle").exists()
        return capsys.readouterr().err

    return run


@pytest.fixture
def changed(checkpoints, tmp_path):
    """A checkpoint's folder with other values in one of its JSON files; the rest of it are links."""

    def change(family, file, **values):
        folder = tmp_path / "changed"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(checkpoints(family), folder, copy_function=lambda source, target: (folder / target).symlink_to(source))
        path = folder / file
        content = json.loads(path.read_text()) | values
        path.unlink()
        path.write_text(json.dumps(content))
        return folder

    return change


INDEX, UNET, VAE, SCHEDULER, TRANSFORMER = (
    "model_index.json", "unet/config.json", "vae/config.json", "scheduler/scheduler_config.json", "transformer/config.json")


@pytest.mark.parametrize("family,file,values,said", [
    ("sd15", UNET, dict(in_channels=8), "it is a model that edits pictures, whose further inputs the engine does not have"),
    ("sd15", UNET, dict(in_channels=7, num_class_embeds=1000), "it is an upscaler or a depth-guided model"),
    ("sd15", UNET, dict(num_class_embeds=10), "the UNet has num_class_embeds = 10: it takes a class or noise level as an input"),
    ("sd15", UNET, dict(class_embed_type="timestep"), "the UNet has class_embed_type = timestep"),
    ("sd15", UNET, dict(encoder_hid_dim=32), "the UNet has encoder_hid_dim = 32: it projects the text, or takes a picture"),
    ("sd15", UNET, dict(addition_embed_type="text"), "addition_embed_type = text; only text_time (SDXL) is known"),
    ("sd15", UNET, dict(cross_attention_dim=64), "text encoders give 32 channels, the UNet takes 64"),
    ("sd15", SCHEDULER, dict(beta_schedule="squaredcos_cap_v2"), "beta_schedule is squaredcos_cap_v2, supported is scaled_linear or linear"),
    ("sd15", SCHEDULER, dict(steps_offset=None), "steps_offset is null, supported is a whole number from 0 to 999"),
    ("sd15", SCHEDULER, dict(rescale_betas_zero_snr=True), "rescale_betas_zero_snr is true, supported is false"),
    ("sdxl", VAE, dict(latents_mean=[0.0] * 4), "vae has latents_mean: latents with a mean or a spread for each channel are not supported"),
    ("sdxl", VAE, dict(latents_std=[1.0] * 4), "vae has latents_std"),
    ("sd15", INDEX, dict(text_encoder=None), "has no text encoder: model_index.json names none under text_encoder"),
    ("sd15", INDEX, dict(text_encoder=[None, None]), "has no text encoder: model_index.json names none under text_encoder"),
    ("sd15", INDEX, dict(text_encoder="CLIPTextModel"), "model_index.json: text_encoder is CLIPTextModel, expected is its library and its class"),
    ("sdxl", INDEX, dict(text_encoder_2=None), "text encoders give 32 channels, the UNet takes 80"),
    ("sd3", INDEX, dict(text_encoder=None, text_encoder_2=None), "Stable Diffusion 3 needs its CLIP text encoders"),
    ("sd3", TRANSFORMER, dict(qk_norm="layer_norm"), "the transformer has qk_norm = layer_norm; known are rms_norm (SD3.5) and none (SD3)"),
    ("sd15", INDEX, dict(_class_name="StableCascadePipeline"), "is a StableCascadePipeline; known are StableDiffusionPipeline"),
    # Of the folder for another task, what is said is what its UNet takes.
    ("sd15", INDEX, dict(_class_name="StableDiffusionInpaintPipeline", text_encoder=None), "has no text encoder"),
])
def test_configurations(fails, changed, family, file, values, said):
    assert said in fails(changed(family, file, **values))


def test_refiner_that_does_not_say_so(fails, changed):
    """Its UNet is told an aesthetic score: five numbers beside the pooled text."""
    folder = changed("sdxl-refiner", INDEX, requires_aesthetics_score=False)
    assert "takes 40 values beside the pooled text: SDXL's base has 48, and its refiner" in fails(folder)


def test_weights_that_git_has_not_fetched(fails, checkpoints, tmp_path):
    folder = tmp_path / "sd15"
    shutil.copytree(checkpoints("sd15"), folder)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 3438167540\n"
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_text(pointer)
    assert f"{weights} is a Git LFS pointer, not the file itself: run git lfs pull in its folder" in fails(folder)
    (folder / SCHEDULER).write_text(pointer)
    assert f"{folder / SCHEDULER} is a Git LFS pointer" in fails(folder)
    (tmp_path / "model.safetensors").write_text(pointer)
    assert "model.safetensors is a Git LFS pointer" in fails(tmp_path / "model.safetensors", "--config", checkpoints("sd15"))


@pytest.mark.parametrize(("tensors", "said"), [
    (["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"], "is an IP-Adapter: it adds keys and values"),
    (["adapter.body.0.resnets.0.block1.weight"], "is a T2I-Adapter: it adds to the states between"),
    (["body.0.block1.weight", "conv_in.weight"], "is a T2I-Adapter: it adds to the states between"),
    (["unet.weight"], "holds no ControlNet in the names of its publisher"),
])
def test_adapters_are_no_control_networks(tensors, said, tmp_path, capsys):
    file = tmp_path / "adapter.safetensors"
    save_file({name: torch.zeros(1) for name in tensors}, file)
    assert main(["controlnet", str(file), "--out", str(tmp_path / "control")]) == 1
    assert f"{file} {said}" in capsys.readouterr().err


def test_adapters_of_diffusers_are_no_control_networks(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "T2IAdapter"}))
    assert main(["controlnet", str(tmp_path), "--out", str(tmp_path / "control")]) == 1
    assert f"{tmp_path} is a T2I-Adapter" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------- places


def test_places_that_the_bundle_could_not_be_put(checkpoints, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Checkpoint, "configured", lambda *arguments: pytest.fail("looked at"))
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    (tmp_path / "closed").mkdir(mode=0o555)
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "letter.txt").write_text("keep me")
    monkeypatch.chdir(tmp_path / "target")
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path / "closed")  # root may write everywhere
    for out, said in {
        ".": "is the folder that this runs in, which cannot be replaced: give a folder of its own",
        str(tmp_path / "target"): "is the folder that this runs in",
        "..": "has no name of its own",
        "/": "has no name of its own",
        str(tmp_path / "link"): f"is a link, which a bundle cannot replace: give the folder that it leads to, {tmp_path / 'target'}",
        str(tmp_path / "dangling"): "is a link, which a bundle cannot replace",
        str(tmp_path / "file"): "is a file: give a folder",
        str(tmp_path / "file" / "bundle"): f"cannot be made: {tmp_path / 'file'} is a file; choose another place",
        str(tmp_path / "closed" / "a" / "b"): f"cannot be made: {tmp_path / 'closed'} is not writable; choose another place",
        str(tmp_path / "busy"): "is not empty and holds no bundle; choose another folder",
    }.items():
        assert main(["model", str(checkpoints("sd15")), "--out", out]) == 1
        assert said in capsys.readouterr().err, out
    assert (tmp_path / "busy" / "letter.txt").read_text() == "keep me" and not list((tmp_path / "target").iterdir())


# ------------------------------------------------------------------------------------------- single files

LDM = "model.diffusion_model."
#: what tells a single file's parts, of Stable Diffusion 1, as far as headers go
SD1 = {
    LDM + "input_blocks.0.0.weight": (8, 4, 3, 3),
    LDM + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (8, 32),
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (5, 32),
    "first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3),
}


def header(tmp_path, shapes, metadata=None, name="model.safetensors"):
    save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, tmp_path / name, metadata)
    return tmp_path / name


def without(*keys):
    return {key: shape for key, shape in SD1.items() if not key.startswith(keys)}


@pytest.mark.parametrize("shapes,metadata,said", [
    ({"lora_unet_x.lora_down.weight": (1,)}, None, "is a LoRA: give it with --lora; CHECKPOINT is a model that draws"),
    ({"unet.x.lora_A.weight": (1,)}, None, "is a LoRA: give it with --lora"),
    ({"lora_unet_x.hada_w1_a": (1,)}, None, "is a LoRA: give it with --lora"),
    ({"x.hada_w1_a": (1,)}, None, "is a LoHa, which the engine merges: asg generate --lora"),
    ({"x.lokr_w1": (1,)}, None, "is a LoKr, which the engine merges"),
    ({"emb_params": (1,)}, None, "is a textual-inversion embedding"),
    ({"double_blocks.0.x": (1,)}, None, "is a FLUX model, which is not supported"),
    ({"conv_body.weight": (1,)}, None, "is an upscaler: add it with asg4j-export upscaler"),
    ({"decoder.conv_in.weight": (8, 4, 3, 3)}, None, "holds an autoencoder alone: give it with --vae, beside a model"),
    ({"down_blocks.0.resnets.0.conv1.weight": (1,)}, None, "holds a denoiser alone, in the names of diffusers"),
    ({"text_model.embeddings.token_embedding.weight": (1,)}, None, "holds a text encoder alone"),
    ({"x": (1,)}, None, "holds no denoiser that is known; its first tensors are x"),
    (without("cond_stage_model"), None, "holds no text_encoder, which --config"),
    (without("first_stage_model"), None, "holds no autoencoder: give one with --vae"),
    (SD1 | {"ztsnr": ()}, None, "was trained with a noise schedule of zero terminal SNR (its tensor ztsnr says so), which is not supported"),
    (SD1 | {"edm_vpred.sigma_max": ()}, None, "was trained on the noise levels of EDM"),
    (SD1, {"modelspec.prediction_type": "sample"}, "modelspec.prediction_type is sample, supported is epsilon or v"),
    (SD1 | {LDM + "input_blocks.0.0.weight": (8, 9, 3, 3)}, None, "the UNet takes 9 channels, that of --config"),
    (SD1 | {LDM + "time_embed.cond_proj.weight": (8, 256)}, None, "takes the guidance scale as an input (LCM), that of --config"),
    (SD1 | {LDM + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (8, 1280)}, None, "it is of the SDXL refiner"),
    ({LDM + "joint_blocks.0.x_block.attn.qkv.weight": (96, 32)}, None, "holds a transformer, --config"),
])
def test_single_files(fails, checkpoints, tmp_path, shapes, metadata, said):
    error = fails(header(tmp_path, shapes, metadata), "--config", checkpoints("sd15"))
    assert str(tmp_path / "model.safetensors") in error and said in error


def test_single_files_that_are_none(fails, checkpoints, tmp_path):
    for name, said in {"a.ckpt": "is a pickle, which can run code when it is loaded", "a.safetensors": "is damaged or no safetensors file"}.items():
        (tmp_path / name).write_bytes(b"PK\x03\x04 and so on")
        assert said in fails(tmp_path / name, "--config", checkpoints("sd15"))


def test_autoencoder_files(fails, checkpoints, tmp_path):
    for shapes, said in (
        ({"x": (1,)}, "holds no autoencoder; its first tensors are x"),
        ({"decoder.conv_in.weight": (8, 16, 3, 3)}, "decodes latents of 16 channels, the checkpoint's own autoencoder 4: it is for those of another family"),
        ({"decoder.conv_in.weight": (8, 4, 3, 3)}, "cannot be read as the autoencoder that"),
    ):
        assert said in fails(checkpoints("sd15"), "--vae", header(tmp_path, shapes))
