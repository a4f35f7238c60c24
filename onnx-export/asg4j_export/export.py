"""A diffusers checkpoint folder becomes a bundle: ONNX graphs, tokenizers and a manifest."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from . import __version__
from .dilation import DilatedDenoiser
from .graphs import Denoiser, TextEncoder, VaeDecoder, VaeEncoder, halve_storage, share_storage
from .vae_stats import VaeFront, VaeTail, tiled_axes, tiled_entry

FORMAT_VERSION = 1
OPSET = 17
TOLERANCE = 2e-4  # largest error of ONNX Runtime against PyTorch, relative to the output's largest value

_SCHEDULERS = {"EulerDiscreteScheduler": "euler", "DDIMScheduler": "ddim", "PNDMScheduler": "ddim"}
_TEXT_MODELS = {"CLIPTextModel": CLIPTextModel, "CLIPTextModelWithProjection": CLIPTextModelWithProjection}


class ExportError(Exception):
    """The checkpoint cannot become a bundle; the message says why."""


@dataclass
class Graph:
    """One module to export, with example inputs at two sizes for tracing and for the parity check."""

    file: str
    module: torch.nn.Module
    input_names: list[str]
    output_names: list[str]
    dynamic_axes: dict[str, dict[int, str]]
    examples: list[tuple[torch.Tensor, ...]]
    weights_of: str | None = None  # an earlier graph with the same weights


def export(checkpoint: Path, out: Path, name: str | None = None, licence: str | None = None) -> dict:
    """Writes the bundle and returns its manifest. The folder ``out`` appears whole or not at all."""
    index = _read(checkpoint / "model_index.json")
    if out.exists() and any(out.iterdir()) and not (out / "manifest.json").exists():
        raise ExportError(f"{out} is not empty and holds no bundle; choose another folder")
    torch.manual_seed(0)
    unet = _load(UNet2DConditionModel, checkpoint / "unet")
    vae = _load(AutoencoderKL, checkpoint / "vae")
    encoders = [key for key in ("text_encoder", "text_encoder_2") if (checkpoint / key).is_dir()]
    denoiser = Denoiser(unet)
    penultimate = len(encoders) > 1  # SDXL takes the last but one layer of both

    graphs, text_entries, tokenizers = [], [], {}
    width = 0
    for key in encoders:
        class_name = index[key][1]
        if class_name not in _TEXT_MODELS:
            raise ExportError(f"{key} is a {class_name}; known are {', '.join(_TEXT_MODELS)}")
        model = _load(_TEXT_MODELS[class_name], checkpoint / key)
        encoder = TextEncoder(model, penultimate)
        suffix = key.removeprefix("text_encoder")
        length = model.config.max_position_embeddings
        graphs.append(_text_graph(f"{key}.onnx", encoder, model.config.vocab_size, length))
        tokenizers[f"tokenizer{suffix}.json"] = _tokenizer(checkpoint / f"tokenizer{suffix}")
        text_entries.append({
            "file": f"{key}.onnx",
            "tokenizer": f"tokenizer{suffix}.json",
            "length": length,
            "hidden": encoder.output_names[0],
            "pooled": "text_embeds" if encoder.pools else None,
        })
        width += model.config.hidden_size
    if width != unet.config.cross_attention_dim:
        raise ExportError(f"text encoders give {width} channels, the UNet takes {unet.config.cross_attention_dim}")

    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    length = text_entries[0]["length"]
    pooled = _load_projection_width(checkpoint, encoders) if denoiser.text_time else 0
    graphs.append(_denoiser_graph(denoiser, length, pooled))
    try:
        dilated = DilatedDenoiser(denoiser)
    except ValueError as error:
        raise ExportError(str(error)) from error
    graphs.append(_dilated_graph(dilated, graphs[-1]))
    graphs += _vae_graphs(vae, factor)
    tiled_graphs, tiled_entry = _tiled_decoder(vae)
    graphs += tiled_graphs

    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=out.name + ".", dir=out.parent))
    try:
        for graph in graphs:
            error = _write(graph, folder / graph.file)
            print(f"{graph.file}: {(folder / graph.file).stat().st_size:,} bytes, error {error:.1e}", flush=True)
        for file, text in tokenizers.items():
            (folder / file).write_text(text, encoding="utf-8")
        native = unet.config.sample_size
        manifest = {
            "format_version": FORMAT_VERSION,
            "name": name or checkpoint.name,
            "licence": licence or index.get("licence", "see the checkpoint"),
            "made_by": f"asg4j_export {__version__}",
            "latent": {
                "channels": unet.config.in_channels,
                "native_size": [native, native] if isinstance(native, int) else list(native),
                "vae_factor": factor,
                "scaling": vae.config.scaling_factor,
                "shift": vae.config.shift_factor or 0.0,
                "unet_multiple": 2 ** (len(unet.config.block_out_channels) - 1),
            },
            "text_encoders": text_entries,
            "denoiser": {
                "file": "denoiser.onnx",
                "dilated_file": "denoiser_dilated.onnx",
                "dilation_groups": dilated.groups,
                "prediction": _scheduler(checkpoint)["prediction"],
                "precision": "fp32",
                "inputs": denoiser.input_names,
                "masks": [
                    {"output": f"mask_up{block}", "block": f"up_blocks.{block}", "scale": scale}
                    for block, scale in denoiser.blocks
                ],
            },
            "vae": {
                "decoder": "vae_decoder.onnx",
                "encoder": "vae_encoder.onnx",
                "precision": "fp32",
                "tiled_decoder": tiled_entry,
            },
            "scheduler": {k: v for k, v in _scheduler(checkpoint).items() if k != "prediction"},
            "conditioning": {
                "time_ids": denoiser.text_time,
                "pooled": denoiser.text_time,
                "empty_negative_is_zero": bool(index.get("force_zeros_for_empty_prompt", False)),
            },
            "defaults": {"steps": 50, "guidance_scale": 5.0 if denoiser.text_time else 7.5},
            "files": {path.name: _fingerprint(path) for path in sorted(folder.iterdir())},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        folder.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return manifest


# ---------------------------------------------------------------------------------------------- checkpoint


def _read(path: Path) -> dict:
    if not path.is_file():
        raise ExportError(f"{path} is missing: not a diffusers checkpoint folder")
    return json.loads(path.read_text(encoding="utf-8"))


def _load(model_class: type, folder: Path) -> torch.nn.Module:
    if not folder.is_dir():
        raise ExportError(f"{folder} is missing: not a diffusers checkpoint folder")
    extra = {"attn_implementation": "eager"} if "Text" in model_class.__name__ else {}
    return model_class.from_pretrained(folder, torch_dtype=torch.float32, **extra).float().eval().requires_grad_(False)


def _load_projection_width(checkpoint: Path, encoders: list[str]) -> int:
    return _read(checkpoint / encoders[-1] / "config.json")["projection_dim"]


def _tokenizer(folder: Path) -> str:
    file = folder / "tokenizer.json"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    text = CLIPTokenizer.from_pretrained(folder).backend_tokenizer.to_str()
    return json.dumps(json.loads(text), ensure_ascii=False, indent=1) + "\n"


def _scheduler(checkpoint: Path) -> dict:
    config = _read(checkpoint / "scheduler" / "scheduler_config.json")
    if config["_class_name"] not in _SCHEDULERS:
        raise ExportError(f"scheduler {config['_class_name']} is unknown; known are {', '.join(_SCHEDULERS)}")
    return {
        "type": _SCHEDULERS[config["_class_name"]],
        "beta_schedule": config["beta_schedule"],
        "beta_start": config["beta_start"],
        "beta_end": config["beta_end"],
        "train_steps": config["num_train_timesteps"],
        "spacing": config.get("timestep_spacing", "leading"),
        "steps_offset": config.get("steps_offset", 0),
        "prediction": config.get("prediction_type", "epsilon"),
    }


# -------------------------------------------------------------------------------------------------- graphs


def _text_graph(file: str, encoder: TextEncoder, vocabulary: int, length: int) -> Graph:
    axes = {"input_ids": {0: "batch", 1: "tokens"}, encoder.output_names[0]: {0: "batch", 1: "tokens"}}
    if encoder.pools:
        axes["text_embeds"] = {0: "batch"}
    examples = [(torch.randint(0, vocabulary, (batch, length)),) for batch in (2, 1, 3)]
    for (ids,) in examples:
        ids[:, length // 2 :] = encoder.model.config.eos_token_id
    return Graph(file, encoder, ["input_ids"], encoder.output_names, axes, examples)


def _denoiser_graph(denoiser: Denoiser, length: int, pooled: int) -> Graph:
    config = denoiser.unet.config
    native = config.sample_size if isinstance(config.sample_size, int) else config.sample_size[0]
    multiple = 2 ** (len(config.block_out_channels) - 1)
    axes = {name: {0: "batch"} for name in denoiser.input_names + denoiser.output_names}
    axes["sample"] |= {2: "height", 3: "width"}
    axes["noise"] |= {2: "height", 3: "width"}
    axes["encoder_hidden_states"][1] = axes["token_weights"][1] = "tokens"
    for block, scale in denoiser.blocks:
        axes[f"mask_up{block}"] |= {1: f"height/{scale}", 2: f"width/{scale}"}

    def example(batch: int, height: int, width: int) -> tuple[torch.Tensor, ...]:
        extra = [torch.randn(batch, pooled), torch.rand(batch, 6) * 8 * native] if denoiser.text_time else []
        return (
            torch.randn(batch, config.in_channels, height, width),
            torch.randint(0, 1000, (batch,)).float(),
            torch.randn(batch, length, config.cross_attention_dim),
            *extra,
            torch.rand(batch, length),
        )

    small = min(native, 4 * multiple)
    examples = [example(2, small, small), example(1, small, small + multiple), example(3, 2 * small, small)]
    return Graph("denoiser.onnx", denoiser, denoiser.input_names, denoiser.output_names, axes, examples)


def _dilated_graph(dilated: DilatedDenoiser, plain: Graph) -> Graph:
    """ScaleCrafter's graph: the same at run-time dilations."""
    names = dilated.input_names
    factors = [[2.0] * len(dilated.groups), [1.0 + 0.5 * (i % 5) for i in range(len(dilated.groups))], [1.0] * len(dilated.groups)]
    examples = [(*example, torch.tensor(f)) for example, f in zip(plain.examples, factors, strict=True)]
    return Graph("denoiser_dilated.onnx", dilated, names, dilated.output_names, plain.dynamic_axes, examples, weights_of=plain.file)


def _vae_graphs(vae: AutoencoderKL, factor: int) -> list[Graph]:
    channels = vae.config.latent_channels
    size = {0: "batch", 2: "height", 3: "width"}
    big = {0: "batch", 2: f"height*{factor}", 3: f"width*{factor}"}
    latents = [torch.randn(b, channels, h, w) / vae.config.scaling_factor for b, h, w in ((2, 8, 8), (1, 16, 12), (3, 8, 20))]
    images = [torch.rand(b, 3, h * factor, w * factor) * 2 - 1 for b, h, w in ((2, 4, 4), (1, 8, 6), (3, 4, 10))]
    return [
        Graph("vae_decoder.onnx", VaeDecoder(vae), ["latents"], ["image"], {"latents": size, "image": big}, [(x,) for x in latents]),
        Graph("vae_encoder.onnx", VaeEncoder(vae), ["image"], ["latents"], {"image": big, "latents": size}, [(x,) for x in images]),
    ]


def _tiled_decoder(vae: AutoencoderKL) -> tuple[list[Graph], dict[str, object]]:
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
        Graph("vae_front.onnx", front, front.input_names, front.output_names, front_axes, [(x,) for x in latents]),
        Graph("vae_tail.onnx", tail, tail.input_names, tail.output_names, tail_axes, examples),
    ]
    return graphs, tiled_entry(front, tail)


def _write(graph: Graph, path: Path) -> float:
    """Exports one graph into one file and returns its error; raises if ONNX Runtime disagrees with PyTorch."""
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
        )
    model = onnx.load_from_string(buffer.getvalue())
    for node in model.graph.node:
        node.doc_string = ""
    halve_storage(model)
    onnx.checker.check_model(model)
    if graph.weights_of is not None:
        share_storage(model, path.with_name(graph.weights_of))
    path.write_bytes(model.SerializeToString(deterministic=True))
    return _parity(graph, path)


@torch.no_grad()
def _parity(graph: Graph, path: Path) -> float:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    if [i.name for i in session.get_inputs()] != graph.input_names:
        raise ExportError(f"{path.name}: the exported graph lost an input: {[i.name for i in session.get_inputs()]}")
    worst = 0.0
    for example in graph.examples:
        expected = graph.module(*example)
        expected = expected if isinstance(expected, tuple) else (expected,)
        actual = session.run(graph.output_names, {n: x.numpy() for n, x in zip(graph.input_names, example)})
        for output, a, b in zip(graph.output_names, actual, expected):
            b = b.numpy()
            if a.shape != b.shape:
                raise ExportError(f"{path.name}: {output} has shape {a.shape}, expected {b.shape}")
            error = float(np.abs(a - b).max() / max(1e-12, np.abs(b).max()))
            worst = max(worst, error)
            if not error <= TOLERANCE:
                raise ExportError(f"{path.name}: {output} differs from PyTorch by {error:.1e} of its largest value, allowed {TOLERANCE:.0e}")
    return worst


def _fingerprint(path: Path) -> dict:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
