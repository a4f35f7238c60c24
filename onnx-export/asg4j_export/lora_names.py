# SPDX-License-Identifier: Apache-2.0
"""What LoRA files call tensors and layers, as LoraName.java and LoraTargets.java have it.

Trainers name the same thing in many ways: kohya's (``lora_unet_down_blocks_0_..._to_q.lora_down.weight``, also with the blocks' original
names), that of diffusers and PEFT (``unet.down_blocks.0....to_q.lora_A.weight``), of older diffusers
(``...attn1.processor.to_q_lora.down.weight``), LyCORIS's and others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: what a tensor is of a plain change, by the ends of its name
_ROLES = {
    "down": (".lora_down.weight", ".lora_A.weight", ".lora.down.weight", "_lora.down.weight", "_lora_down.weight", ".lora_linear_layer.down.weight"),
    "up": (".lora_up.weight", ".lora_B.weight", ".lora.up.weight", "_lora.up.weight", "_lora_up.weight", ".lora_linear_layer.up.weight"),
    "alpha": (".alpha",),
}
#: PEFT writes the adapter's name into that of a tensor, mostly "default"
_ADAPTER = re.compile(r"\.(lora_[AB])\.[^.]+\.weight$")
_WRAPPER = re.compile(r"^(base_model\.model\.|module\.)+")
_PREFIXES = {
    "lora_unet_": "denoiser", "lora_transformer_": "denoiser", "lora_te_": "text_encoder", "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2", "lora_te3_": "text_encoder_3", "lycoris_": "denoiser", "model.diffusion_model.": "denoiser",
    "diffusion_model.": "denoiser", "unet.": "denoiser", "transformer.": "denoiser", "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2", "text_encoder_3.": "text_encoder_3", "text_encoders.clip_l.transformer.": "text_encoder",
    "text_encoders.clip_g.transformer.": "text_encoder_2", "text_encoders.t5xxl.transformer.": "text_encoder_3",
}
#: forms that the engine merges and the exporter does not
_ENGINES_OWN = (
    (re.compile(r"\.hada_[wt]\d(_[ab])?$"), "LoHa"),
    (re.compile(r"\.lokr_[wt]\d(_[ab])?$"), "LoKr"),
    (re.compile(r"\.dora_scale$|\.lora_magnitude_vector(\.|$)"), "DoRA"),
    (re.compile(r"\.lora_mid\.weight$"), "LoCon in Tucker's form"),
    (re.compile(r"\.(diff|diff_b|w_norm|b_norm)$"), "the whole change of a weight"),
)
#: forms that nothing here reads
_OTHERS = (
    (re.compile(r"^(model\.diffusion_model|first_stage_model|cond_stage_model|conditioner)\."), "a weight of a whole model: give the file as CHECKPOINT"),
    (re.compile(r"^(unet|text_encoder):\d+:(up|down)$"), "the first form of LoRA files, which numbers the layers: use a file of another trainer"),
    (re.compile(r"^<.*>$|^bundle_emb\.|^emb_params$|^clip_[lg]$"), "a textual-inversion embedding, which is not supported in a LoRA file"),
    (re.compile(r"\.oft_(blocks|diag)$|\.oft_R\."), "OFT, which is not supported"),
    (re.compile(r"\.on_input$|\.ia3_l"), "IA3, which is not supported"),
    (re.compile(r"\.[ab][12]\.weight$"), "GLoRA, which is not supported"),
    (re.compile(r"\.lora_B\.(.+\.)?bias$"), "a bias of a LoRA (lora_bias), which is not supported"),
)


@dataclass(frozen=True)
class Name:
    """A tensor's name taken apart: the part that it changes, the layer with _ for every dot, and what it is: down, up or alpha."""

    part: str
    module: str
    role: str


def parse(key: str) -> Name | None:
    """None: it is not one of a plain LoRA's."""
    name = _ADAPTER.sub(r".\1.weight", key)
    found = next(((role, end) for role, ends in _ROLES.items() for end in ends if name.endswith(end)), None)
    if found is None:
        return None
    role, end = found
    path = _WRAPPER.sub("", name.removesuffix(end))
    prefix = next((prefix for prefix in _PREFIXES if path.startswith(prefix)), "")
    part = _PREFIXES.get(prefix, "denoiser")
    module = path.removeprefix(prefix).replace(".processor.", ".").replace(".", "_").removeprefix("unet_")
    if module.startswith("text_model_"):
        module = module.removeprefix("text_model_")
        part = "text_encoder" if part == "denoiser" else part
    return Name(part, module, role)


def engines_form(key: str) -> str | None:
    """What a tensor is of a form that the engine merges and the exporter does not; None: it is none."""
    return next((form for pattern, form in _ENGINES_OWN if pattern.search(key)), None)


def other_form(key: str) -> str:
    """What a tensor is that neither reads."""
    return next((form for pattern, form in _OTHERS if pattern.search(key)), "no tensor of a LoRA")


_RESNET = {"in_layers_0": "norm1", "in_layers_2": "conv1", "emb_layers_1": "time_emb_proj", "out_layers_0": "norm2", "out_layers_3": "conv2",
           "skip_connection": "conv_shortcut"}
_LAYERS = 2  # ResNets a level of every published UNet
#: original names outside of blocks, of UNets and of SD3's transformer
_OUTSIDE = {
    "time_embed_0": "time_embedding_linear_1", "time_embed_2": "time_embedding_linear_2", "label_emb_0_0": "add_embedding_linear_1",
    "label_emb_0_2": "add_embedding_linear_2", "input_blocks_0_0": "conv_in", "out_2": "conv_out",
    "x_embedder_proj": "pos_embed_proj", "t_embedder_mlp_0": "time_text_embed_timestep_embedder_linear_1",
    "t_embedder_mlp_2": "time_text_embed_timestep_embedder_linear_2", "y_embedder_mlp_0": "time_text_embed_text_embedder_linear_1",
    "y_embedder_mlp_2": "time_text_embed_text_embedder_linear_2", "final_layer_linear": "proj_out",
    "final_layer_adaLN_modulation_1": "norm_out_linear",
}
#: original names of layers in a block of SD3's transformer; what is kept as one there is several layers of equal height here
_JOINT = {
    "x_block_attn_qkv": ("attn_to_q", "attn_to_k", "attn_to_v"), "context_block_attn_qkv": ("attn_add_q_proj", "attn_add_k_proj", "attn_add_v_proj"),
    "x_block_attn_proj": ("attn_to_out_0",), "context_block_attn_proj": ("attn_to_add_out",),
    "x_block_mlp_fc1": ("ff_net_0_proj",), "x_block_mlp_fc2": ("ff_net_2",), "x_block_adaLN_modulation_1": ("norm1_linear",),
    "context_block_adaLN_modulation_1": ("norm1_context_linear",), "context_block_mlp_fc1": ("ff_context_net_0_proj",), "context_block_mlp_fc2": ("ff_context_net_2",),
}
#: what old diffusers calls layers of text encoders
_OLD_TEXT = {"self_attn_to_q": "self_attn_q_proj", "self_attn_to_k": "self_attn_k_proj", "self_attn_to_v": "self_attn_v_proj", "self_attn_to_out": "self_attn_out_proj"}


def candidates(module: str) -> list[tuple[str, ...]]:
    """The layers in diffusers or transformers that a file's module may be, with _ for every dot: the first of which the model has."""
    # Older files have the attention's output projection as to_out, now the first of two.
    found: list[tuple[str, ...]] = [(module,), (module + "_0",)]
    if module in _OUTSIDE:
        found.append((_OUTSIDE[module],))
    joint = re.fullmatch(r"joint_blocks_(\d+)_(.*)", module)
    if joint and joint[2] in _JOINT:
        found.append(tuple(f"transformer_blocks_{joint[1]}_{layer}" for layer in _JOINT[joint[2]]))
    found += [(module.removesuffix(old) + new,) for old, new in _OLD_TEXT.items() if module.endswith(old)]
    return [*found, (from_original(module),)]


def halves_are_swapped(module: str, layer: str, rows: int, columns: int) -> bool:
    """Whether the layer keeps scale and shift of a norm, and the original, by whose name the file has it, shift and scale."""
    return module != layer and layer.endswith(("norm_out_linear", "norm1_context_linear")) and rows == 2 * columns


def from_original(module: str) -> str:
    """diffusers' name of a layer in a UNet's block with Stability's; other names as they are."""
    match = re.fullmatch(r"(input|output)_blocks_(\d+)_(\d+)_(.*)|middle_block_(\d+)_(.*)", module)
    if match is None:
        return module
    side, number, place, rest, middle, middle_rest = match.groups()
    if side is None:
        kind = "attentions_0" if middle == "1" else f"resnets_{int(middle) // 2}"
        return f"mid_block_{kind}_{_resnet(middle_rest) if middle != '1' else middle_rest}"
    if side == "input":
        level, layer = divmod(int(number) - 1, _LAYERS + 1)
        if layer == _LAYERS:
            return f"down_blocks_{level}_downsamplers_0_{rest.replace('op', 'conv')}"
        blocks = f"down_blocks_{level}"
    else:
        level, layer = divmod(int(number), _LAYERS + 1)
        blocks = f"up_blocks_{level}"
        if rest == "conv":
            return f"{blocks}_upsamplers_0_conv"
    return f"{blocks}_attentions_{layer}_{rest}" if place == "1" else f"{blocks}_resnets_{layer}_{_resnet(rest)}"


def _resnet(rest: str) -> str:
    return _RESNET.get(rest, rest)
