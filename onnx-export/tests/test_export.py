# SPDX-License-Identifier: Apache-2.0
"""A tiny checkpoint with random weights becomes a bundle that keeps the contract."""

import hashlib
import json

import numpy as np
import onnxruntime
import pytest
import torch
from diffusers import AutoencoderKL

from asg4j_demo import tokenizer
from asg4j_demo.model import build_scheduler, build_text_encoder, build_unet
from asg4j_export.export import ExportError, export
from asg4j_export.networks import Denoiser

MANIFEST_KEYS = {"format_version", "name", "licence", "made_by", "latent", "text_encoders", "denoiser", "vae", "scheduler",
                 "conditioning", "defaults", "flops", "files"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    torch.manual_seed(0)
    build_unet(widths=(16, 16, 16), heads=(2, 2, 2)).half().save_pretrained(folder / "unet")
    words = tokenizer.build()
    bos, eos = words.token_to_id(tokenizer.BOS), words.token_to_id(tokenizer.EOS)
    build_text_encoder(words.get_vocab_size(), bos, eos).half().save_pretrained(folder / "text_encoder")
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, block_out_channels=(8, 8, 8, 8),
        layers_per_block=1, norm_num_groups=4, mid_block_add_attention=False, scaling_factor=0.5,
    )
    vae.half().save_pretrained(folder / "vae")
    build_scheduler().save_pretrained(folder / "scheduler")
    tokenizer.save(words, folder / "tokenizer")
    index = {"force_zeros_for_empty_prompt": True, "licence": "Apache-2.0",
             "text_encoder": ["transformers", "CLIPTextModelWithProjection"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="module")
def bundle(checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundle") / "tiny"
    export(checkpoint, out)
    return out


def test_manifest(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert set(manifest) == MANIFEST_KEYS
    assert manifest["latent"] == {"channels": 4, "native_size": [16, 16], "vae_factor": 8, "scaling": 0.5, "shift": 0.0, "unet_multiple": 4}
    assert manifest["denoiser"]["masks"] == [
        {"output": "mask_up1", "block": "up_blocks.1", "scale": 2}, {"output": "mask_up2", "block": "up_blocks.2", "scale": 1}]
    assert (manifest["denoiser"]["width"], manifest["denoiser"]["heads"]) == (16, 2)
    assert (manifest["vae"]["width"], manifest["vae"]["attention"]) == (8, "none")
    assert manifest["denoiser"]["dilated_file"] == "denoiser_dilated.onnx"
    assert manifest["denoiser"]["dilation_groups"][-4:] == ["mid_block", "up_blocks.0", "up_blocks.1", "up_blocks.2"]
    assert set(manifest["files"]) == {path.name for path in bundle.iterdir()} - {"manifest.json"}
    for name, entry in manifest["files"].items():
        content = (bundle / name).read_bytes()
        assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_exports_are_deterministic(checkpoint, bundle, tmp_path):
    export(checkpoint, tmp_path / "again", name="tiny")
    for path in bundle.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def feed(batch: int, height: int, width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "sample": rng.standard_normal((batch, 4, height, width), np.float32),
        "timestep": np.full(batch, 500, np.float32),
        "encoder_hidden_states": rng.standard_normal((batch, 32, 128), np.float32),
        "text_embeds": rng.standard_normal((batch, 128), np.float32),
        "time_ids": np.full((batch, 6), 128, np.float32),
        "token_weights": np.zeros((batch, 32), np.float32),
    }


@pytest.mark.parametrize("batch,height,width", [(1, 16, 16), (2, 16, 16), (5, 12, 20), (1, 32, 32)])
def test_denoiser_contract(bundle, batch, height, width):
    session = onnxruntime.InferenceSession(str(bundle / "denoiser.onnx"))
    inputs = feed(batch, height, width)
    inputs["token_weights"][:] = 1.0
    noise, up1, up2 = session.run(["noise", "mask_up1", "mask_up2"], inputs)
    assert noise.shape == (batch, 4, height, width)
    assert up1.shape == (batch, height // 2, width // 2) and up2.shape == (batch, height, width)
    # All tokens together take the whole attention, wherever one looks.
    assert np.allclose(up1, 1, atol=1e-5) and np.allclose(up2, 1, atol=1e-5)


def test_maps_are_linear_in_the_token_weights_and_leave_the_noise_alone(bundle):
    session = onnxruntime.InferenceSession(str(bundle / "denoiser.onnx"))
    inputs = feed(2, 16, 16)
    silent = session.run(None, inputs)
    maps = []
    for tokens in ([2], [3], [2, 3]):
        inputs["token_weights"][:] = 0
        inputs["token_weights"][:, tokens] = 1
        noise, *rest = session.run(None, inputs)
        assert np.allclose(noise, silent[0], atol=1e-6)
        maps.append(rest)
    for one, two, both in zip(*maps):
        assert np.allclose(one + two, both, atol=1e-6) and one.min() > 0


def test_map_is_the_mean_of_the_block_s_attention(checkpoint):
    """Against diffusers' own attention scores."""
    from diffusers import UNet2DConditionModel

    inputs = {name: torch.from_numpy(value) for name, value in feed(1, 16, 16).items()}
    inputs["token_weights"][:, 2] = 1.0
    unet = UNet2DConditionModel.from_pretrained(checkpoint / "unet", torch_dtype=torch.float32).eval()
    seen = []

    class Spy:
        def __call__(self, attn, hidden_states, encoder_hidden_states=None, **kwargs):
            context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
            query, key, value = (attn.head_to_batch_dim(x) for x in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context)))
            scores = attn.get_attention_scores(query, key)
            seen.append(scores[:, :, 2].mean(0))
            return attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(scores @ value)))

    reference = UNet2DConditionModel.from_pretrained(checkpoint / "unet", torch_dtype=torch.float32).eval()
    processors = {n: Spy() if n.startswith("up_blocks.2") and "attn2" in n else p for n, p in reference.attn_processors.items()}
    reference.set_attn_processor(processors)
    arguments = (inputs["sample"], inputs["timestep"], inputs["encoder_hidden_states"])
    with torch.no_grad():
        noise = reference(*arguments, added_cond_kwargs={k: inputs[k] for k in ("text_embeds", "time_ids")}).sample
        ours, _, up2 = Denoiser(unet)(*inputs.values())
    assert torch.allclose(noise, ours, atol=1e-4)
    assert torch.allclose(up2.flatten(), torch.stack(seen).mean(0), atol=1e-5)


def test_text_and_vae_graphs(bundle):
    text = onnxruntime.InferenceSession(str(bundle / "text_encoder.onnx"))
    hidden, pooled = text.run(["last_hidden_state", "text_embeds"], {"input_ids": np.full((3, 32), 593, np.int64)})
    assert hidden.shape == (3, 32, 128) and pooled.shape == (3, 128)
    decoder = onnxruntime.InferenceSession(str(bundle / "vae_decoder.onnx"))
    encoder = onnxruntime.InferenceSession(str(bundle / "vae_encoder.onnx"))
    image = decoder.run(["image"], {"latents": np.zeros((2, 4, 12, 20), np.float32)})[0]
    assert image.shape == (2, 3, 96, 160)
    assert encoder.run(["latents"], {"image": image})[0].shape == (2, 4, 12, 20)


def test_half_storage_keeps_every_bit(bundle, checkpoint):
    import onnx
    from onnx import TensorProto
    from safetensors.numpy import load_file

    model = onnx.load(bundle / "denoiser.onnx")
    kinds = {t.data_type for t in model.graph.initializer if np.prod(t.dims) >= 256}
    assert kinds == {TensorProto.FLOAT16}
    stored = sum(int(np.prod(t.dims)) for t in model.graph.initializer)
    assert stored >= sum(v.size for v in load_file(checkpoint / "unet" / "diffusion_pytorch_model.safetensors").values()) * 0.99


def test_refusals(checkpoint, tmp_path):
    with pytest.raises(ExportError, match="model_index.json is missing"):
        export(tmp_path, tmp_path / "out")
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "letter.txt").write_text("keep me")
    with pytest.raises(ExportError, match="not empty"):
        export(checkpoint, tmp_path / "busy")
    assert (tmp_path / "busy" / "letter.txt").read_text() == "keep me"
