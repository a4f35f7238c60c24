# SPDX-License-Identifier: Apache-2.0
"""asg4j-export model CHECKPOINT --out BUNDLE"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

from .checkpoint import Checkpoint
from .export import export, require_place
from .lora import Lora
from .single_file import unpacked
from .weights import PRECISIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="folder with model_index.json, unet/ or transformer/, vae/, text_encoder/, ...; or one .safetensors file")
    parser.add_argument("--out", type=Path, required=True, help="the bundle's folder; an earlier bundle there is replaced")
    parser.add_argument("--name", help="the model's name in the manifest (default: the checkpoint's)")
    parser.add_argument("--licence", help="the weights' licence (default: what model_index.json says)")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of the denoiser and the text encoders (default: fp32)")
    parser.add_argument("--vae-precision", choices=PRECISIONS, default="fp32", help="fp16 keeps a fp32 decoder beside it, for pictures that overflow (default: fp32)")
    parser.add_argument("--lora", action="append", default=[], metavar="FILE:WEIGHT", help="merged into the weights; may be given several times")
    parser.add_argument("--vae", type=Path, metavar="FOLDER", help="another autoencoder than the checkpoint's")
    parser.add_argument("--config", type=Path, metavar="FOLDER", help="for a single file: a diffusers folder of its family, weights not needed")


def run(args: argparse.Namespace) -> None:
    require_place(args.out)
    loras = tuple(Lora.read(text) for text in args.lora)
    with ExitStack() as stack:
        folder = args.checkpoint
        if folder.is_file():
            args.out.parent.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(unpacked(folder, args.config, args.precision, args.out.parent))
        checkpoint = Checkpoint.open(folder, args.precision, loras, args.vae)
        manifest = export(checkpoint, args.out, args.name or args.checkpoint.stem, args.licence, args.vae_precision)
    print(f"{args.out}: {sum(f['bytes'] for f in manifest['files'].values()):,} bytes")
