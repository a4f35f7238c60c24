# SPDX-License-Identifier: Apache-2.0
"""``python tests/lora_fixtures.py [FAMILY...]``: LoRA files of every form for the Java tests, and the weights that they make.

The files change the small checkpoints of checkpoint_resources.py. What is right is what others make of them: diffusers' ``fuse_lora``
where it reads the form, or the same change in a form that it reads, else LyCORIS's own modules (``pip install peft lycoris-lora`` beside the
exporter's requirements).
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from checkpoint_resources import RESOURCES
from diffusers import StableDiffusion3Pipeline, StableDiffusionPipeline
from family_goldens import PROMPT, STEPS
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file

import families

OUT = RESOURCES / "lora"
UNET_LAYERS = (
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0", "down_blocks.0.attentions.0.proj_in",
    "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj", "down_blocks.0.resnets.0.conv1",
)
ATTENTION = UNET_LAYERS[:3]
TEXT_LAYERS = ("text_model.encoder.layers.0.self_attn.q_proj", "text_model.encoder.layers.0.mlp.fc1")
RANK = 3


#: of SD3.5's build, by what its publisher calls them: the layers in diffusers, one above the other; adaLN's have shift and scale exchanged there
JOINT_LAYERS = {
    "x_embedder.proj": ("pos_embed.proj",),
    "context_embedder": ("context_embedder",),
    "t_embedder.mlp.0": ("time_text_embed.timestep_embedder.linear_1",),
    "y_embedder.mlp.2": ("time_text_embed.text_embedder.linear_2",),
    "joint_blocks.0.x_block.attn.qkv": tuple(f"transformer_blocks.0.attn.to_{x}" for x in "qkv"),
    "joint_blocks.0.x_block.attn2.qkv": tuple(f"transformer_blocks.0.attn2.to_{x}" for x in "qkv"),
    "joint_blocks.1.context_block.attn.qkv": tuple(f"transformer_blocks.1.attn.add_{x}_proj" for x in "qkv"),
    "joint_blocks.0.x_block.attn.proj": ("transformer_blocks.0.attn.to_out.0",),
    "joint_blocks.1.context_block.attn.proj": ("transformer_blocks.1.attn.to_add_out",),
    "joint_blocks.0.x_block.mlp.fc1": ("transformer_blocks.0.ff.net.0.proj",),
    "joint_blocks.1.context_block.mlp.fc2": ("transformer_blocks.1.ff_context.net.2",),
    "joint_blocks.0.x_block.adaLN_modulation.1": ("transformer_blocks.0.norm1.linear",),
    "joint_blocks.0.context_block.adaLN_modulation.1": ("transformer_blocks.0.norm1_context.linear",),
    "joint_blocks.5.context_block.adaLN_modulation.1": ("transformer_blocks.5.norm1_context.linear",),
    "final_layer.adaLN_modulation.1": ("norm_out.linear",),
    "final_layer.linear": ("proj_out",),
}
EXCHANGED = ("joint_blocks.5.context_block.adaLN_modulation.1", "final_layer.adaLN_modulation.1")
T5_LAYERS = ("encoder.block.0.layer.0.SelfAttention.q", "encoder.block.1.layer.1.DenseReluDense.wo")


def main(names: list[str]) -> None:
    makers = {"sd15": (OUT, [_with_diffusers, _with_lycoris]), "sd35": (OUT / "sd35", [_joint])}
    for family in names or makers:
        out, made = makers[family]
        _make(family, out, made)


def _make(family: str, out: Path, makers: list[Callable[[Path, dict[str, torch.Tensor]], None]]) -> None:
    torch.manual_seed(0)
    out.mkdir(parents=True, exist_ok=True)
    for file in out.glob("*.safetensors"):
        file.unlink()
    expected: dict[str, torch.Tensor] = {}
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = families.write(family, Path(scratch) / family)
        for make in makers:
            make(checkpoint, expected)
    save_file(expected, out / "expected.safetensors")
    for file in out.iterdir():
        if file.is_file():
            file.chmod(0o644)
    print(f"{len(expected)} weights in {out}")


def _pipeline(checkpoint: Path) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(checkpoint, safety_checker=None, requires_safety_checker=False)
    # Single files hold halves.
    return pipeline.to(torch.float16).to(torch.float32)


def _matrices(module: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    out, inside = module.weight.shape[0], module.weight.shape[1:]
    kernel = (1, 1) if len(inside) == 3 else ()
    return torch.randn(RANK, *inside) / 4, torch.randn(out, RANK, *kernel) / 4


def _layers(pipeline: StableDiffusionPipeline, unet: tuple[str, ...], text: tuple[str, ...]) -> dict[tuple[str, str], torch.nn.Module]:
    found = {("unet", name): pipeline.unet.get_submodule(name) for name in unet}
    return found | {("text_encoder", name): _text(pipeline).get_submodule(name.removeprefix("text_model.")) for name in text}


def _text(pipeline: StableDiffusionPipeline) -> torch.nn.Module:
    return getattr(pipeline.text_encoder, "text_model", pipeline.text_encoder)


def _with_diffusers(checkpoint: Path, expected: dict[str, torch.Tensor]) -> None:
    base = _pipeline(checkpoint)
    every = _layers(base, UNET_LAYERS, TEXT_LAYERS)
    attention = _layers(base, ATTENTION, ())

    kohya = {}
    for (part, name), module in every.items():
        down, up = _matrices(module)
        stem = ("lora_unet_" if part == "unet" else "lora_te_") + name.replace(".", "_")
        kohya |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(2.0)}
    peft, dora, older = {}, {}, {}
    for (part, name), module in every.items():
        down, up = _matrices(module)
        peft |= {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up}
    for (part, name), module in attention.items():
        down, up = _matrices(module)
        length = module.weight.detach().norm(dim=1) * (1 + torch.rand(module.weight.shape[0]))
        dora |= {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up, f"{part}.{name}.lora_magnitude_vector": length}
        block, _, layer = name.removesuffix(".0").rpartition(".")
        down, up = _matrices(module)
        older |= {f"unet.{block}.processor.{layer}_lora.down.weight": down, f"unet.{block}.processor.{layer}_lora.up.weight": up}
    config = {"unet.r": RANK, "unet.lora_alpha": 6, "unet.target_modules": ["to_q", "to_k", "to_out.0"]}
    settings = {
        "peft_rslora": config | {"unet.use_rslora": True},
        "peft_alpha_pattern": config | {"unet.alpha_pattern": {ATTENTION[0]: 1}},
    }
    unet_peft = {key: value for key, value in peft.items() if any(layer in key for layer in ATTENTION)}
    files = {"kohya": (kohya, None), "peft": (peft, None), "dora": (dora, None), "older": (older, None)}
    files |= {name: (unet_peft, {"lora_adapter_metadata": json.dumps(value)}) for name, value in settings.items()}
    for name, (tensors, metadata) in files.items():
        save_file({key: value.half().contiguous() for key, value in tensors.items()}, OUT / f"{name}.safetensors", metadata)
        for weight in (1.0, 0.5):
            _fuse(checkpoint, {name: weight}, f"{name}@{weight}", every, expected)
    _fuse(checkpoint, {"kohya": 0.75, "peft": -0.5}, "both", every, expected)


def _fuse(checkpoint: Path, loras: dict[str, float], label: str, layers: dict, expected: dict[str, torch.Tensor]) -> None:
    pipeline = _pipeline(checkpoint)
    for name in loras:
        pipeline.load_lora_weights(str(OUT), weight_name=f"{name}.safetensors", adapter_name=name)
    pipeline.set_adapters(list(loras), list(loras.values()))
    # With two files diffusers makes the text encoder's first changes anew, at random.
    text = len(loras) == 1 and set(loras) & {"kohya", "peft"}
    pipeline.fuse_lora(components=["unet", "text_encoder"] if text else ["unet"], adapter_names=list(loras))
    plain = _pipeline(checkpoint)
    for part, name in layers:
        model, before = (pipeline.unet, plain.unet) if part == "unet" else (_text(pipeline), _text(plain))
        module = model.get_submodule(name.removeprefix("text_model."))
        weight = getattr(module, "base_layer", module).weight.detach()
        if not torch.equal(weight, before.get_submodule(name.removeprefix("text_model.")).weight):
            expected[f"{label}/{part}/{name.removeprefix('text_model.')}"] = weight.contiguous()


def _with_lycoris(checkpoint: Path, expected: dict[str, torch.Tensor]) -> None:
    base = _pipeline(checkpoint)
    linear, convolution = UNET_LAYERS[4], UNET_LAYERS[5]
    forms = {
        "locon_tucker": (LoConModule, convolution, dict(use_tucker=True)),
        "loha": (LohaModule, linear, {}),
        "loha_conv": (LohaModule, convolution, {}),
        "loha_tucker": (LohaModule, convolution, dict(use_tucker=True)),
        "lokr": (LokrModule, linear, dict(factor=4)),
        "lokr_both": (LokrModule, linear, dict(factor=4, lora_dim=1, decompose_both=True)),
        "lokr_full": (LokrModule, linear, dict(factor=4, full_matrix=True)),
        "lokr_conv": (LokrModule, convolution, dict(factor=2, lora_dim=1)),
        "lokr_tucker": (LokrModule, convolution, dict(factor=2, lora_dim=1, use_tucker=True)),
        "dora_rows": (LoConModule, linear, dict(weight_decompose=True, wd_on_out=True)),
        "dora_columns": (LoConModule, linear, dict(weight_decompose=True, wd_on_out=False)),
        "dora_conv": (LoConModule, convolution, dict(weight_decompose=True, wd_on_out=False)),
        "dora_loha": (LohaModule, linear, dict(weight_decompose=True, wd_on_out=True)),
    }
    for name, (form, layer, settings) in forms.items():
        lora = form("lora_unet_" + layer.replace(".", "_"), base.unet.get_submodule(layer), **(dict(lora_dim=RANK, alpha=2) | settings))
        with torch.no_grad():
            for key, value in lora.named_parameters():
                scale = value.abs() * (0.5 + torch.rand_like(value)) if "dora" in key else torch.randn_like(value) / 2
                value.copy_(scale.half())
        stem = lora.lora_name
        tensors = {f"{stem}.{key}": value.detach().half().contiguous() for key, value in lora.custom_state_dict().items()}
        save_file(tensors, OUT / f"{name}.safetensors")
        for weight in (1.0,) if "dora" in name else (1.0, 0.5):
            merged = lora.org_weight + weight * _change(lora)
            if settings.get("weight_decompose"):
                merged = lora.apply_weight_decompose(merged, 1)
            expected[f"{name}@{weight}/unet/{layer}"] = merged.detach().contiguous()


def _change(lora: torch.nn.Module) -> torch.Tensor:
    """As its forward pass adds it: LyCORIS 4.1.3's get_diff_weight scales LoHa and LoKr twice."""
    shape = lora.org_weight.shape
    return lora.get_diff_weight(shape=shape)[0] if isinstance(lora, LoConModule) else lora.get_weight(shape)


def _joint(checkpoint: Path, expected: dict[str, torch.Tensor]) -> None:
    """The same change of a transformer and two text encoders in four forms, and one of T5, which diffusers does not change."""
    base = StableDiffusion3Pipeline.from_pretrained(checkpoint, torch_dtype=torch.float32)
    published: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    plain: dict[str, torch.Tensor] = {}
    halves: dict[str, torch.Tensor] = {}
    alpha = 2.0
    for layer, parts in JOINT_LAYERS.items():
        modules = [base.transformer.get_submodule(name) for name in parts]
        down, up = (value.half().float() for value in _matrices(modules[0]))
        up = torch.cat([up] + [_matrices(module)[1].half().float() for module in modules[1:]])
        published[layer] = down, up
        ordered = torch.cat(up.chunk(2)[::-1]) if layer in EXCHANGED else up
        for name, share in zip(parts, ordered.chunk(len(parts)), strict=True):
            plain[f"transformer.{name}.lora_A.weight"] = down
            plain[f"transformer.{name}.lora_B.weight"] = share * (alpha / RANK)
            halves |= {f"transformer.{name}.lora_A.weight": down.half(), f"transformer.{name}.lora_B.weight": share.half()}
    text = {}
    for part, encoder in (("text_encoder", base.text_encoder), ("text_encoder_2", base.text_encoder_2)):
        for name in TEXT_LAYERS:
            down, up = (value.half().float() for value in _matrices(encoder.get_submodule(name)))
            text[part, name] = down, up
            plain |= {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up * (alpha / RANK)}
            halves |= {f"{part}.{name}.lora_A.weight": down.half(), f"{part}.{name}.lora_B.weight": up.half()}
    out = OUT / "sd35"
    save_file({key: value.clone() for key, value in halves.items()}, out / "peft.safetensors")

    kohya, comfy, trainer = {}, {}, {}
    for layer, (down, up) in published.items():
        stem = "lora_unet_" + layer.replace(".", "_")
        kohya |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(alpha)}
        stem = "diffusion_model." + layer
        comfy |= {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up, f"{stem}.alpha": torch.tensor(alpha)}
    for (part, name), (down, up) in text.items():
        stem = f"lora_te{1 if part == 'text_encoder' else 2}_" + name.replace(".", "_")
        entry = {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(alpha)}
        kohya |= entry
        trainer |= entry
        stem = f"text_encoders.clip_{'l' if part == 'text_encoder' else 'g'}.transformer.{name}"
        comfy |= {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up, f"{stem}.alpha": torch.tensor(alpha)}
    for key, value in halves.items():
        match = re.fullmatch(r"transformer\.(.*)\.lora_([AB])\.weight", key)
        if match:
            stem = "lora_transformer_" + match[1].replace(".", "_")
            trainer |= {f"{stem}.lora_{'down' if match[2] == 'A' else 'up'}.weight": value, f"{stem}.alpha": torch.tensor(alpha)}
    expected |= _t5_changed(base.text_encoder_3)
    for name, tensors in {"kohya": kohya, "comfy": comfy, "onetrainer": trainer}.items():
        save_file({key: value.half().contiguous() for key, value in tensors.items()}, out / f"{name}.safetensors")

    scratch = checkpoint.parent
    save_file({key: value.clone() for key, value in plain.items()}, scratch / "plain.safetensors")
    for weight in (1.0, 0.5):
        fused = _joint_fused(checkpoint, scratch / "plain.safetensors", weight)
        for label in ("kohya", "comfy", "onetrainer"):
            expected |= {f"{label}@{weight}/{key}": value.clone() for key, value in fused.items()}
        expected |= {f"peft@{weight}/{key}": value for key, value in _joint_fused(checkpoint, out / "peft.safetensors", weight).items()}
    pipeline = _joint_loaded(checkpoint, scratch / "plain.safetensors", 1.0)
    _picture(pipeline)


def _t5_changed(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    """PEFT's own merging."""
    files: dict[str, torch.Tensor] = {}
    for name in T5_LAYERS:
        down, up = (value.half().float() for value in _matrices(encoder.get_submodule(name)))
        stem = "lora_te3_" + name.replace(".", "_")
        files |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(6.0)}
    save_file({key: value.half().contiguous() for key, value in files.items()}, OUT / "sd35" / "t5.safetensors")
    model = inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=6, target_modules=list(T5_LAYERS)), encoder)
    found = {}
    with torch.no_grad():
        for name in T5_LAYERS:
            layer = model.get_submodule(name)
            assert isinstance(layer, LoraLayer)
            stem = "lora_te3_" + name.replace(".", "_")
            layer.lora_A["default"].weight.copy_(files[f"{stem}.lora_down.weight"])
            layer.lora_B["default"].weight.copy_(files[f"{stem}.lora_up.weight"])
            layer.merge()
            found[f"t5@1.0/text_encoder_3/{name}"] = layer.base_layer.weight.detach().clone()
    return found


def _joint_loaded(checkpoint: Path, file: Path, weight: float) -> StableDiffusion3Pipeline:
    pipeline = StableDiffusion3Pipeline.from_pretrained(checkpoint, torch_dtype=torch.float32)
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="one")
    pipeline.set_adapters(["one"], [weight])
    pipeline.fuse_lora(components=["transformer", "text_encoder", "text_encoder_2"])
    return pipeline


def _joint_fused(checkpoint: Path, file: Path, weight: float) -> dict[str, torch.Tensor]:
    pipeline = _joint_loaded(checkpoint, file, weight)
    found = {}
    for part, names in (
        ("transformer", [name for parts in JOINT_LAYERS.values() for name in parts]), ("text_encoder", TEXT_LAYERS), ("text_encoder_2", TEXT_LAYERS),
    ):
        for name in names:
            module = getattr(pipeline, part).get_submodule(name)
            assert isinstance(module, LoraLayer), name
            found[f"{part}/{name}"] = module.base_layer.weight.detach().contiguous()
    return found


@torch.no_grad()
def _picture(pipeline: StableDiffusion3Pipeline) -> None:
    """What the changed model draws from the noise of the family's golden picture."""
    golden = RESOURCES.parent / "families" / "goldens"
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.from_numpy(np.load(golden / "sd35" / "noise.npy"))
    latents = pipeline(
        PROMPT, height=128, width=128, num_inference_steps=STEPS, guidance_scale=7.0, latents=noise, output_type="latent").images
    (golden / "sd35-lora").mkdir(exist_ok=True)
    np.save(golden / "sd35-lora" / "latents.npy", latents.numpy())
    print(f"latents up to {latents.abs().max():.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
