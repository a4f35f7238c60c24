# SPDX-License-Identifier: Apache-2.0
"""The demo's networks: the classes of SDXL, small."""

from __future__ import annotations

from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

TEXT_WIDTH = 128
TEXT_LENGTH = 32
NATIVE_LATENT = 16
VAE_FACTOR = 8
LATENT_CHANNELS = 4

UNET_WIDTHS = (32, 64, 128)
_TIME_ID_WIDTH = 32  # sinusoid channels of each of the six time_ids


def build_unet(widths: tuple[int, ...] = UNET_WIDTHS, heads: tuple[int, ...] = (2, 4, 4), layers: int = 1) -> UNet2DConditionModel:
    """Cross-attention at 16x16, 8x8 and in the middle (4x4); no attention in the outer 4x4 blocks, as SD 1.5's lowest."""
    return UNet2DConditionModel(
        sample_size=NATIVE_LATENT,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=widths,
        layers_per_block=layers,
        norm_num_groups=8,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=heads,  # diffusers' historical name for the number of heads
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=_TIME_ID_WIDTH,
        projection_class_embeddings_input_dim=6 * _TIME_ID_WIDTH + TEXT_WIDTH,
        time_embedding_dim=256,
    )


def build_text_encoder(vocab_size: int, bos: int, eos: int) -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=vocab_size,
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=TEXT_LENGTH,
            hidden_act="quick_gelu",
            bos_token_id=bos,
            eos_token_id=eos,
            pad_token_id=eos,
        )
    )


def build_scheduler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="epsilon",
        timestep_spacing="leading",
        steps_offset=1,
    )
