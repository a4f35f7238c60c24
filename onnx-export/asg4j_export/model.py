# SPDX-License-Identifier: Apache-2.0
"""asg4j-export model CHECKPOINT --out BUNDLE"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from .checkpoint import Checkpoint
from .errors import ExportError
from .export import export, require_place
from .lora import Lora
from .single_file import SingleFile, unpacked, unpacked_vae
from .weights import PRECISIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="folder with model_index.json, unet/ or transformer/, vae/, text_encoder/, ...; or one .safetensors file")
    parser.add_argument("--out", type=Path, required=True, help="the bundle's folder; an earlier bundle there is replaced")
    parser.add_argument("--name", help="the model's name in the manifest (default: the checkpoint's)")
    parser.add_argument("--licence", help="the weights' licence (default: what model_index.json says)")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of the denoiser and the text encoders (default: fp32)")
    parser.add_argument("--vae-precision", choices=PRECISIONS, default="fp32", help="fp16 keeps a fp32 decoder beside it, for pictures that overflow (default: fp32)")
    parser.add_argument("--lora", action="append", default=[], metavar="FILE:WEIGHT", help="merged into the weights; may be given several times")
    parser.add_argument("--vae", type=Path, metavar="PATH", help="another autoencoder than the checkpoint's: a diffusers folder or a .safetensors file")
    parser.add_argument("--config", type=Path, metavar="FOLDER", help="for a single file: a diffusers folder of its family, weights not needed")


def run(args: argparse.Namespace) -> None:
    require_place(args.out)
    loras = tuple(Lora.read(text) for text in args.lora)
    single = SingleFile.open(args.checkpoint) if args.checkpoint.is_file() else None
    configs = args.checkpoint
    if single is not None:
        if args.config is None:
            raise ExportError(
                f"{single.file} holds weights only: give --config FOLDER, a diffusers folder of the same family with model_index.json, the"
                " config.json of every part, tokenizers and scheduler (its weights are not needed)"
            )
        configs = args.config
    vae_file = args.vae if args.vae is not None and args.vae.is_file() else None
    # What can be refused is refused by configurations and headers, before anything is loaded.
    checkpoint = Checkpoint.configured(configs, args.precision, loras, None if vae_file else args.vae)
    if single is not None:
        single.require_fits(checkpoint, with_vae=args.vae is None)
    with ExitStack() as stack:
        if single is not None or vae_file is not None:
            args.out.parent.mkdir(parents=True, exist_ok=True)
        if vae_file is not None:
            checkpoint = replace(checkpoint, vae_folder=stack.enter_context(unpacked_vae(vae_file, configs, args.out.parent)))
        if single is not None:
            folder = stack.enter_context(unpacked(single, checkpoint, args.out.parent, with_vae=args.vae is None))
            checkpoint = replace(checkpoint, folder=folder)
        checkpoint.require_weights()
        manifest = export(checkpoint, args.out, args.name or args.checkpoint.stem, args.licence, args.vae_precision)
    print(f"{args.out}: {sum(f['bytes'] for f in manifest['files'].values()):,} bytes")
