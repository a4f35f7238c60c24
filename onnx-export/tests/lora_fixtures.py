# SPDX-License-Identifier: Apache-2.0
"""``python tests/lora_fixtures.py``: LoRA files of every form for the Java tests, and the weights that they make.

The files change the small checkpoint of checkpoint_resources.py. What is right is what others make of them: diffusers' ``fuse_lora``
where it reads the form, else LyCORIS's own modules (``pip install peft lycoris-lora`` beside the exporter's requirements).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import torch
from checkpoint_resources import RESOURCES
from diffusers import StableDiffusionPipeline
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from safetensors.torch import load_file, save_file

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


def main() -> None:
    torch.manual_seed(0)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    expected: dict[str, torch.Tensor] = {}
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = families.write("sd15", Path(scratch) / "sd15")
        _with_diffusers(checkpoint, expected)
        _with_lycoris(checkpoint, expected)
    save_file(expected, OUT / "expected.safetensors")
    for file in OUT.iterdir():
        file.chmod(0o644)


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


if __name__ == "__main__":
    main()
    print(f"{len(load_file(OUT / 'expected.safetensors'))} weights in {OUT}")
