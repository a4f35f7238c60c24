# SPDX-License-Identifier: Apache-2.0
"""A whole picture of Stable Diffusion 1.5 by diffusers on the CPU, to hold the engine's against.

``python tests/torch_picture.py FOLDER --dtype bfloat16 --steps 3 --threads 2``: 512 x 512, DDIM, guidance 7.5, the text encoder on tokens that are not those of
a prompt: a checkpoint of random weights needs no tokenizer. Prints one line of JSON: seconds of loading and of drawing, wall and processor time.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", default="float32", choices=("bfloat16", "float32"))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dtype = getattr(torch, args.dtype)
    start, started = time.perf_counter(), time.process_time()
    unet = UNet2DConditionModel.from_pretrained(args.folder / "unet", torch_dtype=dtype).to(memory_format=torch.channels_last)
    vae = AutoencoderKL.from_pretrained(args.folder / "vae", torch_dtype=dtype).to(memory_format=torch.channels_last)
    text = CLIPTextModel.from_pretrained(args.folder / "text_encoder", torch_dtype=dtype)
    pipeline = StableDiffusionPipeline(vae, text, None, unet, DDIMScheduler(), None, None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    loaded, loaded_cpu = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        embeddings = text(torch.arange(2 * 77).reshape(2, 77)).last_hidden_state
        unguided, prompt = embeddings.chunk(2)
        picture = pipeline(
            prompt_embeds=prompt, negative_prompt_embeds=unguided, num_inference_steps=args.steps, guidance_scale=7.5, height=512, width=512,
            generator=torch.Generator().manual_seed(7),
        ).images[0]
    if picture.size != (512, 512):
        raise SystemExit(f"the picture is {picture.size}")
    print(json.dumps({
        "engine": f"diffusers, torch {torch.__version__}", "dtype": args.dtype, "threads": args.threads, "steps": args.steps,
        "load_s": round(loaded - start, 1), "load_cpu_s": round(loaded_cpu - started, 1),
        "draw_s": round(time.perf_counter() - loaded, 1), "draw_cpu_s": round(time.process_time() - loaded_cpu, 1),
    }))


if __name__ == "__main__":
    main()
