# SPDX-License-Identifier: Apache-2.0
"""The families' published configurations, and small checkpoints of the same build with random weights.

``python tests/families.py FAMILY OUT`` writes a diffusers checkpoint folder. Blocks, text encoders, conditioning, tokenizers and
schedulers are those of the family; only widths, the number of layers a block and of words are smaller.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

from asg4j_demo import tokenizer as demo_tokenizer
from asg4j_demo.captions import ALL_SUBJECTS

#: of the engine's tests
RESOURCES = Path(__file__).resolve().parents[2] / "src" / "test" / "resources"

FAMILIES = ("sd15", "sd21", "sd21-base", "sdxl", "sdxl-refiner", "sd3", "sd35")

_CROSS_DOWN, _CROSS_UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"

#: the denoisers as they are published; what is not named here is the class's default
PUBLISHED_UNETS = {
    "sd15": dict(
        sample_size=64, cross_attention_dim=768, attention_head_dim=8, block_out_channels=(320, 640, 1280, 1280),
        down_block_types=(_CROSS_DOWN,) * 3 + ("DownBlock2D",), up_block_types=("UpBlock2D",) + (_CROSS_UP,) * 3,
    ),
    "sd21": dict(
        sample_size=96, cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20), block_out_channels=(320, 640, 1280, 1280),
        down_block_types=(_CROSS_DOWN,) * 3 + ("DownBlock2D",), up_block_types=("UpBlock2D",) + (_CROSS_UP,) * 3,
        use_linear_projection=True, upcast_attention=True,
    ),
    "sdxl": dict(
        sample_size=128, cross_attention_dim=2048, attention_head_dim=(5, 10, 20), block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", _CROSS_DOWN, _CROSS_DOWN), up_block_types=(_CROSS_UP, _CROSS_UP, "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
    ),
}
PUBLISHED_UNETS["sdxl-refiner"] = PUBLISHED_UNETS["sdxl"] | dict(
    cross_attention_dim=1280, attention_head_dim=(6, 12, 24, 24), block_out_channels=(384, 768, 1536, 1536),
    down_block_types=("DownBlock2D", _CROSS_DOWN, _CROSS_DOWN, "DownBlock2D"), up_block_types=("UpBlock2D", _CROSS_UP, _CROSS_UP, "UpBlock2D"),
    transformer_layers_per_block=4, projection_class_embeddings_input_dim=2560,
)
#: its widths with half of its layers: what has no room for the whole can be measured with it
PUBLISHED_UNETS["sdxl-half"] = PUBLISHED_UNETS["sdxl"] | dict(transformer_layers_per_block=(1, 1, 5))
PUBLISHED_UNETS["sd21-base"] = PUBLISHED_UNETS["sd21"] | dict(sample_size=64, upcast_attention=False)

PUBLISHED_SD3 = dict(
    sample_size=128, patch_size=2, in_channels=16, out_channels=16, num_layers=24, num_attention_heads=24, attention_head_dim=64,
    joint_attention_dim=4096, caption_projection_dim=1536, pooled_projection_dim=2048, pos_embed_max_size=192,
)

_SMALL_UNET = dict(norm_num_groups=4, cross_attention_dim=32)
SMALL_UNETS = {
    # Eight heads on every level; widths are multiples of them.
    "sd15": PUBLISHED_UNETS["sd15"] | _SMALL_UNET | dict(sample_size=16, block_out_channels=(8, 8, 16, 16)),
    # Heads of one width, more of them on deeper levels.
    "sd21": PUBLISHED_UNETS["sd21"] | _SMALL_UNET | dict(sample_size=16, block_out_channels=(8, 8, 16, 16), attention_head_dim=(1, 1, 2, 2)),
    "sdxl": PUBLISHED_UNETS["sdxl"] | _SMALL_UNET | dict(
        sample_size=16, block_out_channels=(8, 16, 16), attention_head_dim=(1, 2, 2), transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=32 + 48, addition_time_embed_dim=8, projection_class_embeddings_input_dim=6 * 8 + 40,
    ),
}
SMALL_UNETS["sdxl-refiner"] = PUBLISHED_UNETS["sdxl-refiner"] | _SMALL_UNET | dict(
    sample_size=16, block_out_channels=(8, 16, 16, 16), attention_head_dim=(1, 2, 2, 2), transformer_layers_per_block=2, cross_attention_dim=48,
    addition_time_embed_dim=8, projection_class_embeddings_input_dim=5 * 8 + 48,
)
SMALL_UNETS["sd21-base"] = SMALL_UNETS["sd21"] | dict(upcast_attention=False)

SMALL_SD3 = PUBLISHED_SD3 | dict(
    sample_size=16, num_layers=6, num_attention_heads=4, attention_head_dim=8, joint_attention_dim=64, caption_projection_dim=32,
    pooled_projection_dim=16 + 32, pos_embed_max_size=24,
)

#: SD3.5 medium: queries and keys are normalised, and the first half of the blocks attends a second time, over the image alone
_SD35 = dict(qk_norm="rms_norm", pos_embed_max_size=384, dual_attention_layers=tuple(range(13)))
PUBLISHED_TRANSFORMERS = {
    "sd3": PUBLISHED_SD3,
    "sd35": PUBLISHED_SD3 | _SD35,
    "sd35-large": PUBLISHED_SD3 | dict(num_layers=38, num_attention_heads=38, caption_projection_dim=2432, qk_norm="rms_norm"),
}
SMALL_TRANSFORMERS = {"sd3": SMALL_SD3, "sd35": SMALL_SD3 | dict(qk_norm="rms_norm", dual_attention_layers=(0, 1, 2))}

#: of every Stable Diffusion before 3
_BETAS = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)


def scheduler(family: str):
    if is_transformer(family):
        return FlowMatchEulerDiscreteScheduler(shift=3.0)
    if family.startswith("sdxl"):
        return EulerDiscreteScheduler(**_BETAS, timestep_spacing="leading")
    extra = dict(set_alpha_to_one=False, prediction_type="v_prediction" if family == "sd21" else "epsilon")
    if family == "sd21":
        return DDIMScheduler(**_BETAS, **extra, clip_sample=False)
    return PNDMScheduler(**_BETAS, **extra, skip_prk_steps=True)


def is_transformer(family: str) -> bool:
    return family in PUBLISHED_TRANSFORMERS


def denoiser(family: str, published: bool = False):
    if is_transformer(family):
        return SD3Transformer2DModel(**(PUBLISHED_TRANSFORMERS if published else SMALL_TRANSFORMERS)[family])
    return UNet2DConditionModel(**(PUBLISHED_UNETS if published else SMALL_UNETS)[family])


def write(family: str, folder: Path, seed: int = 0, t5: bool = True, unet: dict | None = None) -> Path:
    """Writes a small checkpoint; ``unet``: what its UNet's configuration has in place of the small one's."""
    torch.manual_seed(seed)
    network = denoiser(family) if unet is None else UNet2DConditionModel(**SMALL_UNETS[family] | unet)
    parts = dict(scheduler=scheduler(family), vae=_vae(family))
    if is_transformer(family):
        pipeline = StableDiffusion3Pipeline(
            transformer=network, **parts,
            text_encoder=_clip(16, projects=16), tokenizer=_clip_tokenizer(),
            text_encoder_2=_clip(32, projects=32, activation="gelu"), tokenizer_2=_clip_tokenizer("!"),
            text_encoder_3=_t5(64) if t5 else None, tokenizer_3=_t5_tokenizer() if t5 else None,
        )
    elif family == "sdxl":
        pipeline = StableDiffusionXLPipeline(
            unet=network, **parts,
            text_encoder=_clip(32), tokenizer=_clip_tokenizer(),
            text_encoder_2=_clip(48, projects=40, activation="gelu"), tokenizer_2=_clip_tokenizer("!"),
        )
    elif family == "sdxl-refiner":
        pipeline = StableDiffusionXLImg2ImgPipeline(
            unet=network, **parts, text_encoder=None, tokenizer=None,
            text_encoder_2=_clip(48, projects=48, activation="gelu"), tokenizer_2=_clip_tokenizer("!"),
            requires_aesthetics_score=True, force_zeros_for_empty_prompt=False,
        )
    else:
        pipeline = StableDiffusionPipeline(
            unet=network, **parts, text_encoder=_clip(32, activation="gelu" if family.startswith("sd21") else "quick_gelu"),
            tokenizer=_clip_tokenizer("!" if family.startswith("sd21") else None),
            safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        )
    for model in (m for m in pipeline.components.values() if isinstance(m, torch.nn.Module)):
        _livelier(model)
    pipeline.to(dtype=torch.float16).save_pretrained(folder)
    return folder


@torch.no_grad()
def _livelier(model: torch.nn.Module) -> None:
    """Random weights as they come give nearly even attention and a faint picture; larger ones let errors show."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and ("to_q" in name or "to_k" in name or "add_q_proj" in name or "add_k_proj" in name):
            parameter.mul_(2)
        if any(norm in name for norm in ("norm_q", "norm_k", "norm_added_q", "norm_added_k")):
            parameter.add_(torch.rand_like(parameter) - 0.3)


def _vae(family: str) -> AutoencoderKL:
    sd3 = is_transformer(family)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, block_out_channels=(8, 8, 8, 8),
        layers_per_block=1, norm_num_groups=4, latent_channels=16 if sd3 else 4, use_quant_conv=not sd3, use_post_quant_conv=not sd3,
        scaling_factor=1.5305 if sd3 else 0.13025 if family.startswith("sdxl") else 0.18215, shift_factor=0.0609 if sd3 else None,
        force_upcast=family.startswith("sdxl"),
    )


def _clip(width: int, projects: int = 0, activation: str = "quick_gelu", layers: int = 2):
    words = demo_tokenizer.build()
    config = CLIPTextConfig(
        vocab_size=words.get_vocab_size(), hidden_size=width, intermediate_size=2 * width, projection_dim=projects or width,
        num_hidden_layers=layers, num_attention_heads=2, max_position_embeddings=77, hidden_act=activation,
        bos_token_id=words.token_to_id(demo_tokenizer.BOS),
        # The published files say 2, which makes transformers take the largest id, the end mark's.
        eos_token_id=2, pad_token_id=1,
    )
    return CLIPTextModelWithProjection(config) if projects else CLIPTextModel(config)


def _clip_tokenizer(pad: str | None = None) -> CLIPTokenizer:
    model = json.loads(demo_tokenizer.build().to_str())["model"]
    merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
    marks = dict(bos_token=demo_tokenizer.BOS, eos_token=demo_tokenizer.EOS, unk_token=demo_tokenizer.EOS)
    return CLIPTokenizer(vocab=model["vocab"], merges=merges, **marks, pad_token=pad or demo_tokenizer.EOS, model_max_length=77)


def _t5(width: int) -> T5EncoderModel:
    words = len(_unigram_pieces())
    return T5EncoderModel(T5Config(
        vocab_size=words, d_model=width, d_kv=8, d_ff=2 * width, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=8, relative_attention_max_distance=32, is_encoder_decoder=False, use_cache=False,
        tie_word_embeddings=False,
    ))


def _unigram_pieces() -> list[tuple[str, float]]:
    """Letters and the captions' words with the logarithms of their shares, in T5's order: marks first."""
    counts: Counter[str] = Counter()
    for subject in ALL_SUBJECTS:
        for word in subject.caption.split():
            counts["▁" + word] += 4 * len(word)
            counts.update(word)
            counts.update(word[i : i + 2] for i in range(len(word) - 1))
        counts["▁"] += 1
    total = sum(counts.values())
    pieces = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((piece, math.log(count / total)) for piece, count in pieces)]


def _t5_tokenizer() -> T5TokenizerFast:
    words = Tokenizer(models.Unigram(_unigram_pieces(), unk_id=2, byte_fallback=False))
    metaspace = dict(replacement="▁", prepend_scheme="always", split=True)
    words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(**metaspace)])
    words.decoder = decoders.Metaspace(**metaspace)
    words.post_processor = processors.TemplateProcessing(single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)])
    return T5TokenizerFast(tokenizer_object=words, extra_ids=0, model_max_length=512)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    write(arguments.family, arguments.out)
