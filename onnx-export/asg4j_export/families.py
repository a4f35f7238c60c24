# SPDX-License-Identifier: Apache-2.0
"""What the exporter has to know of a family: how its text is joined, what its denoiser takes and gives, what the engine needs to be told."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from diffusers import SD3Transformer2DModel, UNet2DConditionModel

from .errors import ExportError
from .networks import Denoiser, JointDenoiser

T5_LENGTH = 256  # tokens that SD3's pipeline takes by default
#: numbers that SDXL's UNet takes beside the pooled text: sizes and crop; the refiner's takes an aesthetic score in the place of the last two
_TIME_IDS, _SCORED_TIME_IDS = 6, 5
#: what the refiner's pipeline tells it of the picture and of the negative prompt's
AESTHETIC_SCORES = [6.0, 2.5]
#: whose text a UNet's cross-attention takes, by its width
MADE_FOR = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 1280: "the SDXL refiner", 2048: "Stable Diffusion XL"}
PURPOSES = {9: "an inpainting model", 8: "a model that edits pictures", 7: "an upscaler or a depth-guided model", 5: "a depth-guided model"}


@dataclass(frozen=True)
class TextPlan:
    """How the encoders' outputs become the denoiser's text: ``width`` channels, ``tokens`` rows, ``pooled`` channels.

    ``zero_tokens`` rows of zeros stand in for an encoder that the checkpoint leaves out.
    """

    width: int
    tokens: int
    pooled: int
    penultimate: bool
    zero_tokens: int


class Family(ABC):
    """A kind of denoiser; ``config`` is its configuration with the class's defaults filled in."""

    part: ClassVar[str]  # its folder in a checkpoint
    model: ClassVar[type]
    dilates: ClassVar[bool]  # whether it has convolutions, which ScaleCrafter dilates

    def __init__(self, config: Mapping[str, Any], fused: bool, refines: bool = False):
        self.config = complete(self.model, config)
        self.fused = fused  # whether attention is exported as ONNX Runtime's operator
        self.refines = refines  # whether it was trained to finish pictures, and is told how good they are (SDXL's refiner)

    @abstractmethod
    def require_known(self, vae: Mapping[str, Any]) -> None:
        """Refuses denoisers with inputs or layers that the engine or the exporter does not have; ``vae``: the autoencoder's configuration."""

    @abstractmethod
    def text(self, encoders: Mapping[str, Mapping[str, Any]]) -> TextPlan:
        """How the encoders, given by their configurations in the pipeline's order, are joined; refuses those that do not fit."""

    @abstractmethod
    def network(self, model: torch.nn.Module) -> Denoiser | JointDenoiser:
        """The module that is exported; ``model`` is changed."""

    @abstractmethod
    def masks(self, network: Any) -> list[dict[str, object]]:
        """The manifest's ``masks``: outputs with attention maps."""

    @property
    @abstractmethod
    def defaults(self) -> dict[str, float | str]:
        """Steps and guidance scale of a request that names none."""

    @property
    @abstractmethod
    def multiple(self) -> int:
        """What height and width of the latents have to be multiples of."""

    @property
    @abstractmethod
    def memory(self) -> dict[str, object]:
        """What the network's working memory grows with, for the manifest's ``denoiser``."""

    def latent(self) -> dict[str, object]:
        """Further entries of the manifest's ``latent``."""
        return {}

    def conditioning(self, text: TextPlan) -> dict[str, object]:
        """Further entries of the manifest's ``conditioning``."""
        return {}

    @property
    def text_time(self) -> bool:
        """Whether the denoiser takes time_ids."""
        return False

    @property
    def native_size(self) -> list[int]:
        """Height and width, in latents, that it was trained at."""
        size = self.config["sample_size"]
        if size is None:
            raise ExportError(f"{self.part}/config.json has no sample_size, the height and width in latents that it was trained at")
        return [size, size] if isinstance(size, int) else list(size)


class UNetFamily(Family):
    """Stable Diffusion 1, 2 and XL, and the demo model: a UNet with cross-attention."""

    part = "unet"
    model = UNet2DConditionModel
    dilates = True

    @property
    def defaults(self) -> dict[str, float | str]:
        if self.config["time_cond_proj_dim"] is not None:
            return {"steps": 8, "guidance_scale": 8.5, "method": "relay"}  # of LatentConsistencyModelPipeline, which was distilled for few steps
        if self.refines:
            return {"steps": 50, "guidance_scale": 5.0, "strength": 0.3}  # of StableDiffusionXLImg2ImgPipeline
        return {"steps": 50, "guidance_scale": 5.0 if self.text_time else 7.5}

    @property
    def text_time(self) -> bool:
        return self.config["addition_embed_type"] == "text_time"

    def require_known(self, vae: Mapping[str, Any]) -> None:
        channels, latents = self.config["in_channels"], vae["latent_channels"]
        # A network for inpainting takes a mask and the latents of the masked picture, too.
        if channels not in (latents, 2 * latents + 1) or self.config["out_channels"] != latents:
            purpose = PURPOSES.get(channels)
            raise ExportError(
                f"the UNet takes {channels} channels and gives {self.config['out_channels']}, the autoencoder's latents have {latents}"
                + (f": it is {purpose}, whose further inputs the engine does not have" if purpose else "")
            )
        unknown = {
            "num_class_embeds": "takes a class or noise level as an input",
            "class_embed_type": "takes a class or noise level as an input",
            "encoder_hid_dim": "projects the text, or takes a picture",
            "encoder_hid_dim_type": "projects the text, or takes a picture",
        }
        for option, reason in unknown.items():
            if self.config[option] is not None:
                raise ExportError(f"the UNet has {option} = {self.config[option]}: it {reason}, which the engine does not have")
        if self.config["addition_embed_type"] not in (None, "text_time"):
            raise ExportError(f"the UNet has addition_embed_type = {self.config['addition_embed_type']}; only text_time (SDXL) is known")

    def text(self, encoders: Mapping[str, Mapping[str, Any]]) -> TextPlan:
        configs = [_CLIP | dict(config) for config in encoders.values()]
        beside, width = sum(c["hidden_size"] for c in configs), self.config["cross_attention_dim"]
        if beside != width:
            raise ExportError(f"text encoders give {beside} channels, the UNet takes {width}")
        pooled = configs[-1]["projection_dim"] if self.text_time else 0
        if self.text_time:
            takes = self.config["projection_class_embeddings_input_dim"] - pooled
            numbers = self.config["addition_time_embed_dim"]
            if takes != (_SCORED_TIME_IDS if self.refines else _TIME_IDS) * numbers:
                raise ExportError(
                    f"the UNet takes {takes} values beside the pooled text: SDXL's base has {_TIME_IDS * numbers}, and its refiner, whose"
                    f" model_index.json has requires_aesthetics_score, {_SCORED_TIME_IDS * numbers}"
                )
        return TextPlan(width, configs[0]["max_position_embeddings"], pooled, len(configs) > 1 or self.refines, 0)

    def network(self, model: torch.nn.Module) -> Denoiser:
        return Denoiser(model, self.fused)

    def masks(self, network: Denoiser) -> list[dict[str, object]]:
        return [{"output": f"mask_up{block}", "block": f"up_blocks.{block}", "scale": scale} for block, scale in network.blocks]

    @property
    def multiple(self) -> int:
        return 2 ** (len(self.config["block_out_channels"]) - 1)

    @property
    def memory(self) -> dict[str, object]:
        width = self.config["block_out_channels"][0]
        return {"width": width, "attention": "fused"} if self.fused else {"width": width, "heads": self._finest_heads()}

    def _finest_heads(self) -> int:
        """Heads of the outermost level that attends."""
        heads = self.config["num_attention_heads"] or self.config["attention_head_dim"]
        level = next(i for i, block in enumerate(self.config["down_block_types"]) if "CrossAttn" in block)
        return heads if isinstance(heads, int) else heads[level]


class Sd3Family(Family):
    """Stable Diffusion 3 and 3.5: a transformer over image and text tokens together."""

    part = "transformer"
    model = SD3Transformer2DModel
    dilates = False

    @property
    def defaults(self) -> dict[str, float | str]:
        return {"steps": 28, "guidance_scale": 7.0}

    def require_known(self, vae: Mapping[str, Any]) -> None:
        if self.config["qk_norm"] not in (None, "rms_norm"):
            raise ExportError(f"the transformer has qk_norm = {self.config['qk_norm']}; known are rms_norm (SD3.5) and none (SD3)")
        if self.config["in_channels"] != vae["latent_channels"]:
            raise ExportError(f"the transformer takes {self.config['in_channels']} channels, the autoencoder's latents have {vae['latent_channels']}")

    def text(self, encoders: Mapping[str, Mapping[str, Any]]) -> TextPlan:
        clips = [_CLIP | dict(c) for c in encoders.values() if "d_model" not in c]
        t5s = [c for c in encoders.values() if "d_model" in c]
        if not clips:
            raise ExportError("Stable Diffusion 3 needs its CLIP text encoders, text_encoder and text_encoder_2: only T5 may be left out")
        beside, width = sum(c["hidden_size"] for c in clips), self.config["joint_attention_dim"]
        if beside > width or any(c["d_model"] != width for c in t5s):
            raise ExportError(f"text encoders give {beside} channels and T5's, the transformer takes {width}")
        pooled = sum(c["projection_dim"] for c in clips)
        if pooled != self.config["pooled_projection_dim"]:
            raise ExportError(f"text encoders pool {pooled} channels, the transformer takes {self.config['pooled_projection_dim']}")
        return TextPlan(width, clips[0]["max_position_embeddings"] + T5_LENGTH, pooled, True, 0 if t5s else T5_LENGTH)

    def network(self, model: torch.nn.Module) -> JointDenoiser:
        return JointDenoiser(model)

    def masks(self, network: JointDenoiser) -> list[dict[str, object]]:
        # The published advice for U4 (which layers): the middle third.
        return [
            {"output": f"mask_joint{group}", "block": f"transformer_blocks.{first}-{end - 1}", "scale": self.multiple, "default": group == 1}
            for group, (first, end) in enumerate(network.ranges)
        ]

    @property
    def multiple(self) -> int:
        return self.config["patch_size"]

    @property
    def memory(self) -> dict[str, object]:
        # Its tokens are patches of cells.
        width = self.config["num_attention_heads"] * self.config["attention_head_dim"] // self.multiple**2
        return {"width": width, "attention": "fused"} if self.fused else {"width": width, "heads": self.config["num_attention_heads"]}

    def latent(self) -> dict[str, object]:
        return {"max_size": self.config["pos_embed_max_size"] * self.multiple}

    def conditioning(self, text: TextPlan) -> dict[str, object]:
        return {"hidden_width": text.width, "zero_tokens": text.zero_tokens}


#: transformers' defaults for what a CLIP text encoder's configuration leaves out
_CLIP = {"hidden_size": 512, "projection_dim": 512, "max_position_embeddings": 77}

FAMILIES: tuple[type[Family], ...] = (Sd3Family, UNetFamily)


def complete(model: type, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with the class's own defaults for what it leaves out."""
    usual = {name: p.default for name, p in inspect.signature(model.__init__).parameters.items() if p.default is not p.empty}  # type: ignore[misc]
    return usual | dict(config)
