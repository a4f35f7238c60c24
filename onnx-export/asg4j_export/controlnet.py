# SPDX-License-Identifier: Apache-2.0
"""asg4j-export controlnet CONTROLNET --out FOLDER/NAME: a ControlNet (arXiv 2302.05543) for the engine, a folder of its own.

``control.onnx`` takes what the denoiser takes and a picture, and gives what is added to the denoiser's skip connections and to its middle;
``control.json`` describes it. The denoiser's graph is not exported again: the engine lets it take the sums where its blocks are joined.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from safetensors.torch import load_file

from . import __version__
from .attention import FusedAttention, narrow, widen
from .checkpoint import read_json
from .errors import ExportError
from .export import whole_folder, write_manifest
from .families import MADE_FOR, complete
from .fusion import fuse_unet
from .tracing import Graph, write
from .weights import PRECISIONS, Weights, header

FORMAT_VERSION = 1
MANIFEST = "control.json"
FILE = "control.onnx"

#: what networks of the published families have in common with the UNet that they were made for; for single files, which hold no configuration
_SD = dict(block_out_channels=(320, 640, 1280, 1280), down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",))
PUBLISHED: dict[int, dict[str, Any]] = {
    768: _SD | dict(cross_attention_dim=768, attention_head_dim=8),
    1024: _SD | dict(cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20), use_linear_projection=True),
    2048: dict(
        block_out_channels=(320, 640, 1280), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        cross_attention_dim=2048, attention_head_dim=(5, 10, 20), transformer_layers_per_block=(1, 2, 10), use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
    ),
}
_LDM = ("control_model.input_hint_block.0.weight", "input_hint_block.0.weight")
_DIFFUSERS = "controlnet_cond_embedding.conv_in.weight"


class ControlNetwork(torch.nn.Module):
    """A ControlNet with flat inputs; its outputs are multiplied with the input ``scale`` [1]."""

    def __init__(self, network: ControlNetModel):
        super().__init__()
        self.network = network
        config = network.config
        self.text_time = config.addition_embed_type == "text_time"
        self._reversed = config.controlnet_conditioning_channel_order == "bgr"
        network.set_attn_processor({name: FusedAttention() for name in network.attn_processors})
        fuse_unet(network)
        widths = [layer.out_channels for layer in network.controlnet_down_blocks]
        #: (output, channels, latent size / its size) in the order of the outputs
        self.residuals = [(f"down_{i}", width, scale) for i, (width, scale) in enumerate(zip(widths, self._scales(), strict=True))]
        self.residuals.append(("mid", network.controlnet_mid_block.out_channels, self.residuals[-1][2]))

    def _scales(self) -> list[int]:
        """Of the input layer, and of each block's layers and its downsampler."""
        scales = [1]
        for block in self.network.down_blocks:
            scales += [scales[-1]] * len(block.resnets)
            if block.downsamplers is not None:
                scales.append(2 * scales[-1])
        return scales

    @property
    def input_names(self) -> list[str]:
        extra = ["text_embeds", "time_ids"] if self.text_time else []
        return ["sample", "timestep", "encoder_hidden_states", *extra, "condition", "scale"]

    @property
    def output_names(self) -> list[str]:
        return [name for name, _, _ in self.residuals]

    def forward(self, sample, timestep, encoder_hidden_states, *rest):
        *extra, condition, scale = rest
        own, states, picture = narrow(self.network, sample, encoder_hidden_states, condition.flip(1) if self._reversed else condition)
        added = {"text_embeds": extra[0], "time_ids": extra[1]} if self.text_time else None
        down, mid = self.network(own, timestep, states, picture, added_cond_kwargs=added, return_dict=False)
        return tuple(widen(residual) * scale for residual in (*down, mid))


@dataclass(frozen=True)
class Source:
    """What is exported: a configuration with the class's defaults, and where the weights lie."""

    place: Path
    config: dict[str, Any]

    @staticmethod
    def open(place: Path, config: Path | None = None) -> Source:
        """A diffusers folder, or a single file; refuses what the engine does not draw with, by configuration and header alone."""
        if place.is_dir():
            given = read_json(place / "config.json")
        else:
            given = read_json(config) if config is not None else _published(place)
        kind = given.get("_class_name", ControlNetModel.__name__)
        if kind in ("T2IAdapter", "MultiAdapter"):
            raise ExportError(_t2i(place))
        if kind != ControlNetModel.__name__:
            raise ExportError(f"{place} is a {kind}; only a {ControlNetModel.__name__} of Stable Diffusion 1, 2 and XL can be exported")
        source = Source(place, complete(ControlNetModel, given))
        source._require_known()
        return source

    def _require_known(self) -> None:
        for option in ("class_embed_type", "num_class_embeds", "encoder_hid_dim", "encoder_hid_dim_type"):
            if self.config[option] is not None:
                raise ExportError(f"{self.place} has {option} = {self.config[option]}, an input that the engine does not have")
        if self.config["addition_embed_type"] not in (None, "text_time"):
            raise ExportError(f"{self.place} has addition_embed_type = {self.config['addition_embed_type']}; only text_time (SDXL) is known")
        if self.config["global_pool_conditions"]:
            raise ExportError(f"{self.place} pools what it gives over the whole picture (global_pool_conditions, as shuffle does), which is not supported")
        order = self.config["controlnet_conditioning_channel_order"]
        if order not in ("rgb", "bgr"):
            raise ExportError(f"{self.place} has controlnet_conditioning_channel_order = {order}; known are rgb and bgr")
        if self.config["conditioning_channels"] != 3:
            raise ExportError(f"{self.place} takes pictures of {self.config['conditioning_channels']} channels; only 3, red, green and blue, are known")

    def load(self, precision: str) -> ControlNetModel:
        dtype = PRECISIONS[precision]
        if self.place.is_dir():
            weights = Weights.of(self.place, precision)
            weights.require_whole()
            weights.require_memory(dtype)
            tensors = {name: value for file in weights.files for name, value in load_file(file).items()}
        else:
            Weights(self.place.parent, (self.place,)).require_memory(dtype)
            tensors = convert_controlnet_checkpoint(load_file(self.place), self.config)
        network = ControlNetModel.from_config(self.config)
        try:
            network.load_state_dict(tensors)
        except (RuntimeError, AttributeError) as error:
            raise ExportError(f"{self.place} does not hold the weights of its configuration: {error}") from error
        return network.to(dtype).eval().requires_grad_(False)


def _t2i(place: Path) -> str:
    return (
        f"{place} is a T2I-Adapter: it adds to the states between the denoiser's inner blocks, where the engine's denoisers take nothing, and is not "
        "supported; ControlNets are"
    )


def _published(file: Path) -> dict[str, Any]:
    """The configuration of a published family, told from the shapes in a single file."""
    if file.suffix in (".ckpt", ".pt", ".bin", ".pth"):
        raise ExportError(f"{file} is a pickle, which can run code when it is loaded and is not read: get the .safetensors file of the same network")
    entries = header(file)
    if any(name.startswith(("image_proj.", "ip_adapter.")) for name in entries):
        raise ExportError(
            f"{file} is an IP-Adapter: it adds keys and values of a picture to every cross-attention, which takes another denoiser and an encoder "
            "of pictures, and is not supported; ControlNets are"
        )
    if any(name.startswith(("adapter.body.", "body.0.block1.")) for name in entries):
        raise ExportError(_t2i(file))
    if not any(name in entries for name in (*_LDM, _DIFFUSERS)):
        names = [name for name in entries if name != "__metadata__"]
        raise ExportError(f"{file} holds no ControlNet in the names of its publisher or of diffusers; its first tensors are {', '.join(names[:3])}")
    widths = {entry["shape"][1] for name, entry in entries.items() if name.endswith("attn2.to_k.weight")}
    width = min(widths, default=0)
    if width not in PUBLISHED:
        raise ExportError(
            f"{file} takes text of {width} channels: it is of {MADE_FOR.get(width, 'no family that is known')}; give --config FILE, its config.json"
        )
    return PUBLISHED[width]


def graph(network: ControlNetwork, channels: int, text: int, precision: str) -> Graph:
    names, outputs = network.input_names, network.output_names
    axes = {name: {0: "batch"} for name in names + outputs if name != "scale"}
    axes["sample"] |= {2: "height", 3: "width"}
    axes["encoder_hidden_states"][1] = "tokens"
    factor = condition_factor(network.network)
    axes["condition"] |= {2: f"height*{factor}", 3: f"width*{factor}"}
    for name, _, scale in network.residuals:
        axes[name] |= {2: f"height/{scale}", 3: f"width/{scale}"}
    multiple = network.residuals[-1][2]
    pooled = pooled_width(network.network)
    generator = torch.Generator().manual_seed(0)

    def example(batch: int, height: int, width: int, scale: float) -> tuple[torch.Tensor, ...]:
        inputs = {
            "sample": torch.randn(batch, channels, height, width, generator=generator),
            "timestep": torch.randint(0, 1000, (batch,), generator=generator).float(),
            "encoder_hidden_states": torch.randn(batch, 7, text, generator=generator),
            "text_embeds": torch.randn(batch, pooled, generator=generator),
            "time_ids": torch.rand(batch, 6, generator=generator) * 1024,
            "condition": torch.rand(batch, 3, height * factor, width * factor, generator=generator),
            "scale": torch.tensor([scale]),
        }
        return tuple(inputs[name] for name in names)

    examples = [example(2, multiple, multiple, 1.0), example(1, 2 * multiple, multiple, 0.5), example(3, multiple, 3 * multiple, 1.5)]
    return Graph(FILE, network, names, outputs, axes, examples, precision)


def condition_factor(network: ControlNetModel) -> int:
    """Pixels of the picture per latent cell and axis."""
    factor = 1
    for layer in network.controlnet_cond_embedding.blocks:
        factor *= layer.stride[0]
    return factor


def pooled_width(network: ControlNetModel) -> int:
    """Channels of the pooled text that it takes; 0: it takes none."""
    if network.config.addition_embed_type != "text_time":
        return 0
    return network.config.projection_class_embeddings_input_dim - 6 * network.config.addition_time_embed_dim


def export(network: ControlNetModel, out: Path, licence: str, precision: str = "fp32") -> dict[str, Any]:
    """Writes the folder and returns what its control.json says. The folder ``out`` appears whole or not at all."""
    require_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    config = network.config
    pooled, factor = pooled_width(network), condition_factor(network)
    with whole_folder(out) as folder:
        module = ControlNetwork(network)
        write(graph(module, config.in_channels, config.cross_attention_dim, precision), folder)
        manifest = {
            "format_version": FORMAT_VERSION,
            "licence": licence,
            "made_by": f"asg4j_export {__version__}",
            "file": FILE,
            "precision": precision,
            "latent_channels": config.in_channels,
            "vae_factor": factor,
            "text_width": config.cross_attention_dim,
            "pooled_width": pooled,
            "width": config.block_out_channels[0],
            "residuals": [{"output": name, "channels": channels, "scale": scale} for name, channels, scale in module.residuals],
        }
        write_manifest(manifest, folder, MANIFEST)
    return manifest


def require_place(out: Path) -> None:
    if not out.name or out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ExportError(f"--out {out} is no folder of its own: its name is what --control calls the network, as in controlnets/canny")
    if ":" in out.name:
        raise ExportError(f"--out {out}: the name holds a colon, which ends it in --control NAME:PICTURE")
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).exists():
        raise ExportError(f"{out} is not empty and holds no {MANIFEST}; choose another folder")


def described(manifest: Mapping[str, Any]) -> str:
    return f"{MADE_FOR.get(manifest['text_width'], 'text of ' + str(manifest['text_width']) + ' channels')}, {manifest['precision']}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("controlnet", type=Path, help="a diffusers folder (config.json and weights), or one .safetensors file, also in its publisher's names")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER/NAME", help="BUNDLE/controlnets/NAME, or any other folder (asg --control-folder)")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="as the model's (default: fp32)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="for a single file that is of no published family: its config.json")
    parser.add_argument("--licence", default="see the checkpoint", help="the weights' licence")


def run(args: argparse.Namespace) -> None:
    require_place(args.out)
    source = Source.open(args.controlnet, args.config)
    manifest = export(source.load(args.precision), args.out, args.licence, args.precision)
    print(f"{args.out}: {described(manifest)}, {sum(f['bytes'] for f in manifest['files'].values()):,} bytes")
