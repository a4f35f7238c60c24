"""A diffusers checkpoint becomes a bundle: ONNX graphs, tokenizers and a manifest."""

from __future__ import annotations

import errno
import gc
import hashlib
import io
import json
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from diffusers import AutoencoderKL

from . import __version__, storage
from .attention import CellAttention
from .checkpoint import Checkpoint, Weights
from .dilation import DilatedDenoiser
from .errors import ExportError, readable
from .graphs import Denoiser, JointDenoiser, T5TextEncoder, TextEncoder, VaeDecoder, VaeEncoder
from .vae_stats import VaeFront, VaeTail, tiled_axes, tiled_entry

FORMAT_VERSION = 1
OPSET = 17
#: error of ONNX Runtime against PyTorch: fp32 the largest, relative to the output's largest value; fp16, where both round
#: in places of their own, the root mean square, relative to the output's
TOLERANCE = {"fp32": 2e-4, "fp16": 3e-2}

T5_LENGTH = 256  # tokens that SD3's pipeline takes by default

__all__ = ["ExportError", "export"]


@dataclass
class Graph:
    """One module to export, with example inputs at two sizes for tracing and for the parity check."""

    file: str
    module: torch.nn.Module
    input_names: list[str]
    output_names: list[str]
    dynamic_axes: dict[str, dict[int, str]]
    examples: list[tuple[torch.Tensor, ...]]
    precision: str = "fp32"
    weights_of: str | None = None  # an earlier graph with the same weights


#: writes one graph into a folder
Writer = Callable[[Graph, Path], None]


def export(checkpoint: Checkpoint | Path, out: Path, name: str | None = None, licence: str | None = None, vae_precision: str = "fp32") -> dict:
    """Writes the bundle and returns its manifest. The folder ``out`` appears whole or not at all."""
    if isinstance(checkpoint, Path):
        checkpoint = Checkpoint.open(checkpoint)
    if out.exists() and any(out.iterdir()) and not (out / "manifest.json").exists():
        raise ExportError(f"{out} is not empty and holds no bundle; choose another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    _require_disk(checkpoint, out.parent)
    torch.manual_seed(0)
    folder = Path(tempfile.mkdtemp(prefix=out.name + ".", dir=out.parent))
    try:
        with _plain_errors(folder):
            manifest = build(checkpoint, folder, vae_precision)
            manifest["name"] = name or checkpoint.folder.name
            manifest["licence"] = licence or checkpoint.index.get("licence", "see the checkpoint")
            manifest["files"] = {path.name: fingerprint(path) for path in sorted(folder.iterdir())}
            (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        folder.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return manifest


def build(checkpoint: Checkpoint, folder: Path, vae_precision: str, write: Writer | None = None) -> dict:
    """Writes all files but the manifest with ``write``; one part of the checkpoint is in memory at a time."""
    write = write or _write
    prediction, scheduler = checkpoint.scheduler()
    config = checkpoint.config(checkpoint.denoiser_part)
    text = _TextPlan.of(checkpoint, config)
    progress = _Progress(len(checkpoint.encoders) + 2)

    entries = []
    for part in checkpoint.encoders:
        progress.start(part)
        entries.append(_text_encoder(checkpoint, part, folder, text, write))
    progress.start(checkpoint.denoiser_part)
    denoiser_entry, latent, text_time = _denoiser(checkpoint, folder, text, prediction, write)
    progress.start("vae")
    vae_entry, vae_latent = _vae(checkpoint, folder, vae_precision, write)
    progress.end()

    joint = checkpoint.denoiser_part == "transformer"
    conditioning = {
        "time_ids": text_time,
        "pooled": "text_embeds" in denoiser_entry["inputs"],
        "empty_negative_is_zero": bool(checkpoint.index.get("force_zeros_for_empty_prompt", False)),
    }
    if joint:
        conditioning |= {"hidden_width": text.width, "zero_tokens": text.zero_tokens}
    return {
        "format_version": FORMAT_VERSION,
        "name": "",
        "licence": "",
        "made_by": f"asg4j_export {__version__}",
        "latent": {
            "channels": config["in_channels"], "native_size": latent.pop("native_size"), **vae_latent, **latent,
        },
        "text_encoders": entries,
        "denoiser": denoiser_entry,
        "vae": vae_entry,
        "scheduler": scheduler,
        "conditioning": conditioning,
        "defaults": {"steps": 28, "guidance_scale": 7.0} if joint else {"steps": 50, "guidance_scale": 5.0 if text_time else 7.5},
    }


# ------------------------------------------------------------------------------------------------------ parts


@dataclass(frozen=True)
class _TextPlan:
    """How the encoders' outputs become the denoiser's text: ``width`` channels, ``tokens`` rows, ``pooled`` channels."""

    width: int
    tokens: int
    pooled: int
    penultimate: bool
    zero_tokens: int

    @staticmethod
    def of(checkpoint: Checkpoint, denoiser: dict) -> "_TextPlan":
        configs = {part: checkpoint.config(part) for part in checkpoint.encoders}
        clips = {part: c for part, c in configs.items() if "d_model" not in c}
        beside = sum(c["hidden_size"] for c in clips.values())
        length = next(iter(clips.values()))["max_position_embeddings"]
        if checkpoint.denoiser_part == "transformer":
            width = denoiser["joint_attention_dim"]
            if beside > width or any(c["d_model"] != width for c in configs.values() if "d_model" in c):
                raise ExportError(f"text encoders give {beside} channels and T5's, the transformer takes {width}")
            pooled = sum(c["projection_dim"] for c in clips.values())
            if pooled != denoiser["pooled_projection_dim"]:
                raise ExportError(f"text encoders pool {pooled} channels, the transformer takes {denoiser['pooled_projection_dim']}")
            has_t5 = len(configs) > len(clips)
            return _TextPlan(width, length + T5_LENGTH, pooled, True, 0 if has_t5 else T5_LENGTH)
        width = denoiser["cross_attention_dim"]
        if beside != width:
            raise ExportError(f"text encoders give {beside} channels, the UNet takes {width}")
        text_time = denoiser.get("addition_embed_type") == "text_time"
        pooled = configs[checkpoint.encoders[-1]]["projection_dim"] if text_time else 0
        return _TextPlan(width, length, pooled, len(clips) > 1, 0)


def _text_encoder(checkpoint: Checkpoint, part: str, folder: Path, text: _TextPlan, write: Writer) -> dict:
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


def _denoiser(checkpoint: Checkpoint, folder: Path, text: _TextPlan, prediction: str, write: Writer) -> tuple[dict, dict, bool]:
    """The manifest's ``denoiser``, the denoiser's share of ``latent``, and whether it takes time_ids."""
    model = checkpoint.load(checkpoint.denoiser_part)
    config = model.config
    if checkpoint.denoiser_part == "transformer":
        if config.qk_norm is not None or config.dual_attention_layers:
            raise ExportError("the transformer is one of Stable Diffusion 3.5; only that of Stable Diffusion 3 can be exported")
        denoiser = JointDenoiser(model)
        multiple, text_time = config.patch_size, False
        # The published advice for U4 (which layers): the middle third.
        masks = [
            {"output": f"mask_joint{group}", "block": f"transformer_blocks.{first}-{end - 1}", "scale": config.patch_size, "default": group == 1}
            for group, (first, end) in enumerate(denoiser.ranges)
        ]
        extra = {"max_size": config.pos_embed_max_size * config.patch_size}
    else:
        denoiser = Denoiser(model, checkpoint.known_pipeline)
        multiple, text_time = 2 ** (len(config.block_out_channels) - 1), denoiser.text_time
        masks = [{"output": f"mask_up{block}", "block": f"up_blocks.{block}", "scale": scale} for block, scale in denoiser.blocks]
        extra = {}
    native = config.sample_size
    native = [native, native] if isinstance(native, int) else list(native)
    plain = _denoiser_graph(denoiser, config.in_channels, native[0], multiple, text, masks, checkpoint.precision)
    lost = storage.too_large(model)
    write(plain, folder)
    dilation = {"dilated_file": None}
    if isinstance(denoiser, Denoiser):
        if lost:
            model = checkpoint.load(checkpoint.denoiser_part)
            denoiser = Denoiser(model, checkpoint.known_pipeline)
        try:
            dilated = DilatedDenoiser(denoiser)
        except ValueError as error:
            raise ExportError(str(error)) from error
        write(_dilated_graph(dilated, plain), folder)
        dilation = {"dilated_file": "denoiser_dilated.onnx", "dilation_groups": dilated.groups}
    entry = {
        "file": "denoiser.onnx",
        **dilation,
        "prediction": prediction,
        "precision": checkpoint.precision,
        "inputs": denoiser.input_names,
        "masks": masks,
    }
    # What its working memory grows with. A transformer's tokens are patches of cells.
    if checkpoint.denoiser_part == "transformer":
        entry["width"] = config.num_attention_heads * config.attention_head_dim // config.patch_size**2
    else:
        entry["width"] = config.block_out_channels[0]
    if checkpoint.known_pipeline:
        entry["attention"] = "fused"
    else:
        entry["heads"] = _finest_heads(config)
    return entry, {"native_size": native, "unet_multiple": multiple} | extra, text_time


def _finest_heads(config) -> int:
    """Heads of the outermost level that attends."""
    heads = config.num_attention_heads or config.attention_head_dim
    level = next(i for i, block in enumerate(config.down_block_types) if "CrossAttn" in block)
    return heads if isinstance(heads, int) else heads[level]


def _vae(checkpoint: Checkpoint, folder: Path, precision: str, write: Writer) -> tuple[dict, dict]:
    """The manifest's ``vae`` and the autoencoder's share of ``latent``.

    In fp32 unless asked otherwise: SDXL's overflows in halves, and it runs once a picture. In fp16 the decoder is there in fp32 too,
    and the engine decodes what overflows once more.
    """
    vae = _autoencoder(checkpoint)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    entry = {"decoder": "vae_decoder.onnx", "encoder": "vae_encoder.onnx", "precision": precision}
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


def _denoiser_graph(
    denoiser: Denoiser | JointDenoiser, channels: int, native: int, multiple: int, text: _TextPlan, masks: list[dict], precision: str
) -> Graph:
    axes = {name: {0: "batch"} for name in denoiser.input_names + denoiser.output_names}
    axes["sample"] |= {2: "height", 3: "width"}
    axes["noise"] |= {2: "height", 3: "width"}
    axes["encoder_hidden_states"][1] = axes["token_weights"][1] = "tokens"
    for mask in masks:
        axes[mask["output"]] |= {1: f"height/{mask['scale']}", 2: f"width/{mask['scale']}"}

    def example(batch: int, height: int, width: int) -> tuple[torch.Tensor, ...]:
        inputs = {
            "sample": torch.randn(batch, channels, height, width),
            "timestep": torch.randint(0, 1000, (batch,)).float(),
            "encoder_hidden_states": torch.randn(batch, text.tokens, text.width),
            "text_embeds": torch.randn(batch, text.pooled),
            "time_ids": torch.rand(batch, 6) * 8 * native,
            "token_weights": torch.rand(batch, text.tokens),
        }
        return tuple(inputs[name] for name in denoiser.input_names)

    small = min(native, 4 * multiple)
    examples = [example(2, small, small), example(1, small, small + multiple), example(3, 2 * small, small)]
    return Graph("denoiser.onnx", denoiser, denoiser.input_names, denoiser.output_names, axes, examples, precision)


def _dilated_graph(dilated: DilatedDenoiser, plain: Graph) -> Graph:
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
    examples = []
    for x in features:
        statistics = torch.stack([torch.randn(tail.norms, tail.groups), torch.rand(tail.norms, tail.groups) + 0.5], 1)
        cores = [(torch.arange(n) >= 2).float() for n in x.shape[2:]]
        examples.append((x, statistics, *cores))
    graphs = [
        Graph(f"vae_front{suffix}.onnx", front, front.input_names, front.output_names, front_axes, [(x,) for x in latents], precision),
        Graph(f"vae_tail{suffix}.onnx", tail, tail.input_names, tail.output_names, tail_axes, examples, precision),
    ]
    return graphs, tiled_entry(front, tail, suffix)


def _write(graph: Graph, folder: Path) -> None:
    """Exports one graph; raises if ONNX Runtime disagrees with PyTorch. A large module loses its weights."""
    started = time.monotonic()
    path = folder / graph.file
    with torch.no_grad(), _in_float32(graph.module):
        expected = [graph.module(*example) for example in graph.examples]
    shared = None if graph.weights_of is None else folder / graph.weights_of
    if storage.too_large(graph.module):
        # As inputs, weights are neither folded nor written by the tracer.
        model = trace(graph, export_params=False, do_constant_folding=False)
        storage.write_beside(model, graph.input_names, graph.module.state_dict(), path, shared)
        _release(graph.module)
    else:
        model = trace(graph)
        storage.write(model, path, shared)
    del model
    error = _parity(graph, path, expected)
    size = sum(part.stat().st_size for part in folder.glob(graph.file + "*"))
    print(f"  {graph.file}: {size:,} bytes, error {error:.1e}, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def _in_float32(module: torch.nn.Module) -> Iterator[None]:
    """A network in halves computes in float32 meanwhile: PyTorch's convolutions in halves take some sixty times as long on the CPU."""
    halves = [tensor for tensor in (*module.parameters(), *module.buffers()) if tensor.dtype == torch.float16]
    for tensor in halves:
        tensor.data = tensor.data.float()
    try:
        yield
    finally:
        for tensor in halves:
            tensor.data = tensor.data.half()


def trace(graph: Graph, **options: bool) -> onnx.ModelProto:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.module,
            graph.examples[0],
            buffer,
            input_names=graph.input_names,
            output_names=graph.output_names,
            dynamic_axes=graph.dynamic_axes,
            opset_version=OPSET,
            dynamo=False,
            **options,
        )
    model = onnx.load_from_string(buffer.getvalue())
    for node in model.graph.node:
        node.doc_string = ""
    return model


def _release(module: torch.nn.Module) -> None:
    """Frees the weights of a large module, which is of no use afterwards: ONNX Runtime is about to load them once more."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = torch.empty(0, dtype=tensor.dtype)


def _parity(graph: Graph, path: Path, expected: list) -> float:
    options = onnxruntime.SessionOptions()
    if storage.data_file(path).exists():
        # As few copies of large weights as can be: no layouts of the CPU's own, no casts done ahead.
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    if [i.name for i in session.get_inputs()] != graph.input_names:
        raise ExportError(f"{path.name}: the exported graph lost an input: {[i.name for i in session.get_inputs()]}")
    tolerance = TOLERANCE[graph.precision]
    worst = 0.0
    for example, outputs in zip(graph.examples, expected):
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        actual = session.run(graph.output_names, {n: x.numpy() for n, x in zip(graph.input_names, example)})
        for output, a, b in zip(graph.output_names, actual, outputs):
            b = b.numpy()
            if a.shape != b.shape:
                raise ExportError(f"{path.name}: {output} has shape {a.shape}, expected {b.shape}")
            error = _error(a, b, graph.precision)
            worst = max(worst, error)
            if not error <= tolerance:
                raise ExportError(f"{path.name}: {output} differs from PyTorch by {error:.1e}, allowed {tolerance:.0e}")
    return worst


def _error(actual: np.ndarray, expected: np.ndarray, precision: str) -> float:
    measure = np.max if precision == "fp32" else lambda x: np.sqrt(np.mean(np.square(x, dtype=np.float64)))
    return float(measure(np.abs(actual - expected)) / max(1e-12, measure(np.abs(expected))))


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
    parts = (checkpoint.denoiser_part, "vae", *checkpoint.encoders)
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


def fingerprint(path: Path) -> dict:
    digest = hashlib.sha256()
    with open(path, "rb") as content:
        while chunk := content.read(1 << 22):
            digest.update(chunk)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
