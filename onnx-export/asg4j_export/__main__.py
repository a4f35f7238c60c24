"""python -m asg4j_export CHECKPOINT --out BUNDLE"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

# Set before anything of Hugging Face loads: an exporter that downloads is not wanted.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Their own progress and advice would hide the exporter's.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")

from .checkpoint import PRECISIONS, Checkpoint, unpacked  # noqa: E402
from .errors import ExportError  # noqa: E402
from .export import export  # noqa: E402
from .lora import Lora  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="asg4j_export", description="Turns a diffusers checkpoint into an asg4j model bundle.")
    parser.add_argument("checkpoint", type=Path, help="folder with model_index.json, unet/ or transformer/, vae/, text_encoder/, ...; or one .safetensors file")
    parser.add_argument("--out", type=Path, required=True, help="the bundle's folder; an earlier bundle there is replaced")
    parser.add_argument("--name", help="the model's name in the manifest (default: the checkpoint's)")
    parser.add_argument("--licence", help="the weights' licence (default: what model_index.json says)")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of the denoiser and the text encoders (default: fp32)")
    parser.add_argument("--vae-precision", choices=PRECISIONS, default="fp32", help="fp16 keeps a fp32 decoder beside it, for pictures that overflow (default: fp32)")
    parser.add_argument("--lora", action="append", default=[], metavar="FILE:WEIGHT", help="merged into the weights; may be given several times")
    parser.add_argument("--vae", type=Path, metavar="FOLDER", help="another autoencoder than the checkpoint's")
    parser.add_argument("--config", type=Path, metavar="FOLDER", help="for a single file: a diffusers folder of its family, weights not needed")
    args = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # gigabytes half written are removed then too
    try:
        with ExitStack() as stack:
            folder = args.checkpoint
            if folder.is_file():
                args.out.parent.mkdir(parents=True, exist_ok=True)
                folder = stack.enter_context(unpacked(folder, args.config, args.precision, args.out.parent))
            loras = tuple(Lora.read(text) for text in args.lora)
            checkpoint = Checkpoint.open(folder, args.precision, loras, args.vae)
            manifest = export(checkpoint, args.out, args.name or args.checkpoint.stem, args.licence, args.vae_precision)
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: nothing was written", file=sys.stderr)
        return 130
    print(f"{args.out}: {sum(f['bytes'] for f in manifest['files'].values()):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
