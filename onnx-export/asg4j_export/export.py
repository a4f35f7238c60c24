# SPDX-License-Identifier: Apache-2.0
"""A diffusers checkpoint becomes a bundle: ONNX graphs, tokenizers and a manifest."""

from __future__ import annotations

import errno
import gc
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL

from . import __version__, flops, storage
from .attention import CellAttention
from .checkpoint import Checkpoint
from .dilation import DilatedDenoiser
from .errors import ExportError, readable
from .families import AESTHETIC_SCORES, T5_LENGTH, Family, TextPlan
from .manifests import FORMAT_VERSION
from .networks import Denoiser, JointDenoiser, T5TextEncoder, TextEncoder, VaeDecoder, VaeEncoder
from .tracing import Graph, fingerprint
from .tracing import write as write_graph
from .vae_stats import VaeEncoderFront, VaeEncoderTail, VaeFront, VaeTail, tiled_axes, tiled_encoder_entry, tiled_entry
from .weights import Weights

#: writes one graph into a folder
Writer = Callable[[Graph, Path], None]


def export(checkpoint: Checkpoint | Path, out: Path, name: str | None = None, licence: str | None = None, vae_precision: str = "fp32") -> dict[str, Any]:
    """Writes the bundle and returns its manifest. The folder ``out`` appears whole or not at all."""
    if isinstance(checkpoint, Path):
        checkpoint = Checkpoint.open(checkpoint)
    require_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    _require_disk(checkpoint, out.parent)
    torch.manual_seed(0)
    with whole_folder(out) as folder, _plain_errors(folder):
        manifest = build(checkpoint, folder, vae_precision)
        manifest["name"] = name or checkpoint.folder.name
        manifest["licence"] = licence or checkpoint.index.get("licence", "see the checkpoint")
        write_manifest(manifest, folder, "manifest.json")
    return manifest


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of ``out`` at the end, or is gone without a trace."""
    folder = Path(tempfile.mkdtemp(prefix=out.name + ".", dir=out.parent))
    try:
        yield folder
        folder.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def write_manifest(manifest: dict[str, Any], folder: Path, name: str) -> None:
    """Adds sizes and hashes of the folder's files to a manifest, and writes it beside them."""
    manifest["files"] = {path.name: fingerprint(path) for path in sorted(folder.iterdir())}
    (folder / name).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def require_place(out: Path) -> None:
    """Refuses at once a place where the finished bundle could not be put."""
    if out.is_symlink():
        raise ExportError(f"--out {out} is a link, which a bundle cannot replace: give the folder that it leads to, {out.resolve()}")
    if out.exists() and out.resolve() == Path.cwd():
        raise ExportError(f"--out {out} is the folder that this runs in, which cannot be replaced: give a folder of its own, as in --out bundle")
    if not out.name or out.name == "..":
        raise ExportError(f"--out {out} has no name of its own: give a folder, as in --out bundle")
    if out.exists() and not out.is_dir():
        raise ExportError(f"--out {out} is a file: give a folder")
    place = next(folder for folder in out.absolute().parents if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ExportError(f"--out {out} cannot be made: {place} is {'not writable' if place.is_dir() else 'a file'}; choose another place")
    if out.exists() and any(out.iterdir()) and not (out / "manifest.json").exists():
        raise ExportError(f"{out} is not empty and holds no bundle; choose another folder")


def build(checkpoint: Checkpoint, folder: Path, vae_precision: str, write: Writer = write_graph) -> dict[str, Any]:
    """Writes all files but the manifest, the graphs with ``write``; one part of the checkpoint is in memory at a time."""
    family = checkpoint.family
    prediction, scheduler = checkpoint.scheduler()
    replaced = checkpoint.replaced_scheduler()
    if replaced is not None:
        print(f"{replaced} gives its noise levels to the engine's {scheduler['type']}", file=sys.stderr, flush=True)
    text = checkpoint.text()
    progress = _Progress(len(checkpoint.encoders) + 2)

    entries = []
    for part in checkpoint.encoders:
        progress.start(part)
        entries.append(_text_encoder(checkpoint, part, folder, text, write))
    progress.start(family.part)
    denoiser_entry = _denoiser(checkpoint, folder, text, prediction, write)
    progress.start("vae")
    vae_entry, vae_latent = _vae(checkpoint, folder, vae_precision, write)
    progress.end()
    manifest = {
        "format_version": FORMAT_VERSION,
        "name": "",
        "licence": "",
        "made_by": f"asg4j_export {__version__}",
        "latent": {
            "channels": family.config["out_channels"],
            "native_size": family.native_size,
            **vae_latent,
            "unet_multiple": family.multiple,
            **family.latent(),
        },
        "text_encoders": entries,
        "denoiser": denoiser_entry,
        "vae": vae_entry,
        "scheduler": scheduler,
        "conditioning": {
            "time_ids": family.text_time,
            "pooled": "text_embeds" in denoiser_entry["inputs"],
            "empty_negative_is_zero": bool(checkpoint.index.get("force_zeros_for_empty_prompt", False)),
            **family.conditioning(text),
        },
        "defaults": family.defaults,
    }
    return manifest | _operations(manifest, folder)


def _operations(manifest: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The manifest's ``flops``. Without them a bundle draws as well: what took an hour to export is not thrown away for them."""
    try:
        return {"flops": flops.of_bundle(manifest, folder.joinpath)}
    except ExportError as e:
        print(f"warning: {e}; asg plan will not say how much work a picture is", file=sys.stderr, flush=True)
        return {}


# ------------------------------------------------------------------------------------------------------ parts


def _text_encoder(checkpoint: Checkpoint, part: str, folder: Path, text: TextPlan, write: Writer) -> dict[str, Any]:
    model = checkpoint.load(part)
    t5 = hasattr(model.config, "d_model")
    encoder = T5TextEncoder(model) if t5 else TextEncoder(model, text.penultimate)
    suffix = part.removeprefix("text_encoder")
    length = T5_LENGTH if t5 else model.config.max_position_embeddings
    content, padding = checkpoint.tokenizer(part)
    (folder / f"tokenizer{suffix}.json").write_text(content, encoding="utf-8")
    write(_text_graph(f"{part}.onnx", encoder, model.config.vocab_size, length, padding, checkpoint.precision), folder)
    entry = {
        "file": f"{part}.onnx",
        "tokenizer": f"tokenizer{suffix}.json",
        "length": length,
        "hidden": encoder.output_names[0],
        "pooled": "text_embeds" if encoder.pools and text.pooled else None,
    }
    return entry | ({"join": "tokens"} if t5 else {})


def _denoiser(checkpoint: Checkpoint, folder: Path, text: TextPlan, prediction: str, write: Writer) -> dict[str, Any]:
    """The manifest's ``denoiser``."""
    family = checkpoint.family
    model = checkpoint.load(family.part)
    denoiser = family.network(model)
    masks = family.masks(denoiser)
    plain = denoiser_graph(denoiser, family.config["out_channels"], family.native_size[0], family.multiple, text, masks, checkpoint.precision)
    lost = storage.too_large(model)
    write(plain, folder)
    dilation: dict[str, object] = {"dilated_file": None}
    if family.dilates:
        if lost:
            del model, denoiser
            denoiser = family.network(checkpoint.load(family.part))
        try:
            dilated = DilatedDenoiser(denoiser)
        except ValueError as error:
            raise ExportError(str(error)) from error
        write(dilated_graph(dilated, plain), folder)
        dilation = {"dilated_file": "denoiser_dilated.onnx", "dilation_groups": dilated.groups}
    return {
        "file": "denoiser.onnx",
        **dilation,
        "prediction": prediction,
        "precision": checkpoint.precision,
        "inputs": [_input(family, denoiser, name) for name in denoiser.input_names],
        "masks": masks,
        **family.memory,
    }


def _input(family: Family, denoiser: Denoiser | JointDenoiser, name: str) -> str | dict[str, object]:
    """An input in the manifest: its usual name, or what a name alone does not say."""
    if name == "timestep_cond":
        return {"name": name, "role": "guidance", "width": denoiser.guidance_width}
    if name == "time_ids" and family.refines:
        return {"name": name, "role": "place", "aesthetic_scores": AESTHETIC_SCORES}
    return name


def _vae(checkpoint: Checkpoint, folder: Path, precision: str, write: Writer) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifest's ``vae`` and the autoencoder's share of ``latent``.

    In fp32 unless asked otherwise: SDXL's overflows in halves, and it runs once a picture. In fp16 the decoder is there in fp32 too,
    and the engine decodes what overflows once more.
    """
    vae = _autoencoder(checkpoint)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    entry: dict[str, Any] = {"decoder": "vae_decoder.onnx", "encoder": "vae_encoder.onnx", "precision": precision}
    if precision == "fp32":
        decoder, encoder = _vae_graphs(vae, factor)
        tiled_graphs, entry["tiled_decoder"] = _tiled_decoder(vae)
        graphs = [decoder, encoder, *tiled_graphs]
    else:
        halves = _autoencoder(checkpoint, precision)
        decoder, _ = _vae_graphs(halves, factor, precision=precision)
        tiled_graphs, entry["tiled_decoder"] = _tiled_decoder(halves, precision=precision)
        exact, encoder = _vae_graphs(vae, factor, "_fp32")
        exact_graphs, exact_entry = _tiled_decoder(vae, "_fp32")
        entry["fallback"] = {"decoder": exact.file, "precision": "fp32", "tiled_decoder": exact_entry}
        graphs = [decoder, encoder, *tiled_graphs, exact, *exact_graphs]
    encoder_graphs, entry["tiled_encoder"] = _tiled_encoder(vae)
    graphs += encoder_graphs
    for graph in graphs:
        write(graph, folder)
    # What its working memory grows with: channels that enter the last block, at the picture's resolution; whether scores of all latent cells are kept.
    entry |= {"width": vae.config.block_out_channels[:2][-1], "attention": "fused" if vae.attn_processors else "none"}
    latent = {"vae_factor": factor, "scaling": vae.config.scaling_factor, "shift": vae.config.shift_factor or 0.0}
    return entry, latent


def _autoencoder(checkpoint: Checkpoint, precision: str | None = None) -> AutoencoderKL:
    vae = checkpoint.load("vae", precision)
    vae.set_attn_processor(CellAttention())
    return vae


# -------------------------------------------------------------------------------------------------- graphs


def _text_graph(file: str, encoder: TextEncoder | T5TextEncoder, vocabulary: int, length: int, padding: int, precision: str) -> Graph:
    axes = {"input_ids": {0: "batch", 1: "tokens"}, encoder.output_names[0]: {0: "batch", 1: "tokens"}}
    if encoder.pools:
        axes["text_embeds"] = {0: "batch"}
    examples = [(torch.randint(0, vocabulary, (batch, length)),) for batch in (2, 1, 3)]
    for (ids,) in examples:
        ids[:, length // 2 :] = padding
    return Graph(file, encoder, ["input_ids"], encoder.output_names, axes, examples, precision)


def denoiser_graph(
    denoiser: Denoiser | JointDenoiser, channels: int, native: int, multiple: int, text: TextPlan, masks: list[dict[str, Any]], precision: str
) -> Graph:
    axes = {name: {0: "batch"} for name in denoiser.input_names + denoiser.output_names}
    axes["sample"] |= {2: "height", 3: "width"}
    axes["noise"] |= {2: "height", 3: "width"}
    if denoiser.inpaint_channels:
        axes["inpaint"] |= {2: "height", 3: "width"}
    axes["encoder_hidden_states"][1] = axes["token_weights"][1] = "tokens"
    for mask in masks:
        axes[mask["output"]] |= {1: f"height/{mask['scale']}", 2: f"width/{mask['scale']}"}

    def example(batch: int, height: int, width: int) -> tuple[torch.Tensor, ...]:
        inputs = {
            "sample": torch.randn(batch, channels, height, width),
            "timestep": torch.randint(0, 1000, (batch,)).float(),
            "encoder_hidden_states": torch.randn(batch, text.tokens, text.width),
            "text_embeds": torch.randn(batch, text.pooled),
            "time_ids": torch.rand(batch, denoiser.time_ids(text.pooled)) * 8 * native,
            **({"timestep_cond": torch.randn(batch, denoiser.guidance_width)} if denoiser.guidance_width else {}),
            "inpaint": torch.randn(batch, denoiser.inpaint_channels, height, width),
            "token_weights": torch.rand(batch, text.tokens),
        }
        return tuple(inputs[name] for name in denoiser.input_names)

    small = min(native, 4 * multiple)
    examples = [example(2, small, small), example(1, small, small + multiple), example(3, 2 * small, small)]
    return Graph("denoiser.onnx", denoiser, denoiser.input_names, denoiser.output_names, axes, examples, precision)


def dilated_graph(dilated: DilatedDenoiser, plain: Graph) -> Graph:
    """ScaleCrafter's graph: the same at run-time dilations."""
    names = dilated.input_names
    factors = [[2.0] * len(dilated.groups), [1.0 + 0.5 * (i % 5) for i in range(len(dilated.groups))], [1.0] * len(dilated.groups)]
    examples = [(*example, torch.tensor(f)) for example, f in zip(plain.examples, factors, strict=True)]
    return Graph("denoiser_dilated.onnx", dilated, names, dilated.output_names, plain.dynamic_axes, examples, plain.precision, plain.file)


def _vae_graphs(vae: AutoencoderKL, factor: int, suffix: str = "", precision: str = "fp32") -> list[Graph]:
    channels = vae.config.latent_channels
    size = {0: "batch", 2: "height", 3: "width"}
    big = {0: "batch", 2: f"height*{factor}", 3: f"width*{factor}"}
    latents = [torch.randn(b, channels, h, w) / vae.config.scaling_factor for b, h, w in ((2, 8, 8), (1, 16, 12), (3, 8, 20))]
    images = [torch.rand(b, 3, h * factor, w * factor) * 2 - 1 for b, h, w in ((2, 4, 4), (1, 8, 6), (3, 4, 10))]
    return [
        Graph(f"vae_decoder{suffix}.onnx", VaeDecoder(vae), ["latents"], ["image"], {"latents": size, "image": big}, [(x,) for x in latents], precision),
        Graph("vae_encoder.onnx", VaeEncoder(vae), ["image"], ["latents"], {"image": big, "latents": size}, [(x,) for x in images]),
    ]


def _tiled_decoder(vae: AutoencoderKL, suffix: str = "", precision: str = "fp32") -> tuple[list[Graph], dict[str, object]]:
    """The decoder once more, in the two parts that decode large pictures in tiles (vae_stats.py)."""
    front, tail = VaeFront(vae), VaeTail(vae)
    front_axes, tail_axes = tiled_axes()
    channels = vae.config.latent_channels
    latents = [torch.randn(1, channels, h, w) / vae.config.scaling_factor for h, w in ((8, 8), (6, 10), (10, 7))]
    with torch.no_grad():
        features = [front(x) for x in latents]
    examples = [(x, *_norm_inputs(tail, *x.shape[2:])) for x in features]
    graphs = [
        Graph(f"vae_front{suffix}.onnx", front, front.input_names, front.output_names, front_axes, [(x,) for x in latents], precision),
        Graph(f"vae_tail{suffix}.onnx", tail, tail.input_names, tail.output_names, tail_axes, examples, precision),
    ]
    return graphs, tiled_entry(front, tail, suffix)


def _tiled_encoder(vae: AutoencoderKL) -> tuple[list[Graph], dict[str, object]]:
    """The encoder in two parts that encode large pictures in tiles."""
    front, tail = VaeEncoderFront(vae), VaeEncoderTail(vae)
    whole_axes, tiled = tiled_axes()
    sizes = [(h * tail.scale, w * tail.scale) for h, w in ((4, 4), (3, 5), (5, 4))]
    images = [torch.rand(1, 3, 2 * h, 2 * w) * 2 - 1 for h, w in sizes]
    examples = [(x, *_norm_inputs(front, *size)) for x, size in zip(images, sizes, strict=True)]
    with torch.no_grad():
        features = [front(*example)[0] for example in examples]
    graphs = [
        Graph("vae_encoder_front.onnx", front, front.input_names, front.output_names, tiled, examples),
        Graph("vae_encoder_tail.onnx", tail, tail.input_names, tail.output_names, whole_axes, [(x,) for x in features]),
    ]
    return graphs, tiled_encoder_entry(front, tail)


def _norm_inputs(part: VaeTail | VaeEncoderFront, height: int, width: int) -> tuple[torch.Tensor, ...]:
    """Statistics of a tile's norms, and its core."""
    statistics = torch.stack([torch.randn(part.norms, part.groups), torch.rand(part.norms, part.groups) + 0.5], 1)
    return statistics, *((torch.arange(n) >= 2).float() for n in (height, width))


# ------------------------------------------------------------------------------------------------- surroundings


class _Progress:
    """One line a part on standard error."""

    def __init__(self, parts: int):
        self._parts = parts
        self._done = 0
        self._started = time.monotonic()

    def start(self, part: str) -> None:
        self._done += 1
        gc.collect()
        print(f"[{self._done}/{self._parts}] {part}", file=sys.stderr, flush=True)

    def end(self) -> None:
        print(f"done in {time.monotonic() - self._started:.0f} s", file=sys.stderr, flush=True)


def _require_disk(checkpoint: Checkpoint, place: Path) -> None:
    """A bundle, and while it is written one graph a second time, takes about the checkpoint's weights."""
    parts = (checkpoint.family.part, "vae", *checkpoint.encoders)
    weights = [Weights.of(checkpoint.path(part), checkpoint.precision_of(part)).bytes for part in parts]
    needed = sum(weights) + max(weights)
    free = shutil.disk_usage(place).free
    if needed > free:
        raise ExportError(f"{place} has {readable(free)} free, about {readable(needed)} are needed: choose another --out")


@contextmanager
def _plain_errors(folder: Path) -> Iterator[None]:
    """What runs out becomes a message that says so."""
    try:
        yield
    except MemoryError as error:
        raise ExportError("out of memory: close other programs, or use a machine with more") from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise ExportError("out of memory: close other programs, or use a machine with more") from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise ExportError(f"the disk of {folder.parent} is full: choose another --out") from error
