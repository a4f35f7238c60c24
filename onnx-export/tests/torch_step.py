# SPDX-License-Identifier: Apache-2.0
"""Milliseconds of a guided step (a UNet call of two rows) in PyTorch, to hold the engine's against on the same device.

``python tests/torch_step.py [--family sdxl] [--device cuda] [--dtype float16] [--steps 20] [--compile]``: diffusers' UNet2DConditionModel at its published size
with random weights, channels last, PyTorch's own fused attention, native latents. ``--small`` takes the tests' widths. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch

import families


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="sdxl", choices=sorted(families.PUBLISHED_UNETS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="float16", choices=("float16", "bfloat16", "float32"))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    parser.add_argument("--small", action="store_true", help="the tests' widths in place of the published ones")
    args = parser.parse_args()
    dtype = getattr(torch, args.dtype)
    torch.manual_seed(0)
    with torch.device(args.device):
        unet = families.denoiser(args.family, published=not args.small).to(dtype)
    unet = unet.to(memory_format=torch.channels_last).eval()
    config = unet.config
    side = config.sample_size
    inputs = {
        "sample": torch.randn(2, config.in_channels, side, side, device=args.device, dtype=dtype).to(memory_format=torch.channels_last),
        "timestep": torch.tensor(500.0, device=args.device),
        "encoder_hidden_states": torch.randn(2, 77, config.cross_attention_dim, device=args.device, dtype=dtype),
    }
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        inputs["added_cond_kwargs"] = {
            "text_embeds": torch.randn(2, pooled, device=args.device, dtype=dtype),
            "time_ids": torch.tensor([[1024.0, 1024, 0, 0, 1024, 1024]] * 2, device=args.device, dtype=dtype),
        }
    forward = torch.compile(unet) if args.compile else unet
    millis = []
    with torch.inference_mode():
        for step in range(args.steps + 3):  # three to warm up
            _settle(args.device)
            start = time.perf_counter()
            noise = forward(**inputs, return_dict=False)[0]
            uncond, cond = noise.chunk(2)
            guided = uncond + 5 * (cond - uncond)
            _settle(args.device)
            if step >= 3:
                millis.append(1e3 * (time.perf_counter() - start))
    if not torch.isfinite(guided).all():
        raise SystemExit("the result is not finite")
    name = torch.cuda.get_device_name() if args.device.startswith("cuda") else "CPU"
    print(json.dumps({
        "family": args.family, "published": not args.small, "device": name, "torch": torch.__version__, "dtype": args.dtype, "compiled": args.compile,
        "latents": side, "steps": args.steps, "median_ms": round(statistics.median(millis), 2), "min_ms": round(min(millis), 2),
    }))


def _settle(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
