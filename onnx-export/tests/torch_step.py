# SPDX-License-Identifier: Apache-2.0
"""Milliseconds of a guided step (a UNet call of two rows) in PyTorch or OpenVINO, to hold the engine's against on the same device.

``python tests/torch_step.py [--family sdxl] [--device cuda] [--dtype float16] [--steps 20] [--threads N] [--compile | --openvino]``: diffusers'
UNet2DConditionModel at its published size with random weights, channels last, PyTorch's own fused attention, native latents. ``--small`` takes the tests'
widths. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

import families


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="sdxl", choices=sorted(families.PUBLISHED_UNETS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="float16", choices=("float16", "bfloat16", "float32"))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3, help="steps before those that count")
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    parser.add_argument("--openvino", action="store_true", help="through OpenVINO (package openvino) on the CPU, for fixed shapes")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; default: PyTorch's")
    parser.add_argument("--small", action="store_true", help="the tests' widths in place of the published ones")
    args = parser.parse_args()
    dtype = getattr(torch, args.dtype)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    with torch.device(args.device):
        unet = families.denoiser(args.family, published=not args.small).to(torch.float32 if args.openvino else dtype)
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
    if args.openvino:
        forward = _openvino(unet.float(), inputs, args.dtype, args.threads)
    else:
        forward = torch.compile(unet) if args.compile else unet
    millis, cpu = [], []
    with torch.inference_mode():
        for step in range(args.warmup + args.steps):
            _settle(args.device)
            start, started = time.perf_counter(), time.process_time()
            noise = forward(**inputs, return_dict=False)[0]
            uncond, cond = noise.chunk(2)
            guided = uncond + 5 * (cond - uncond)
            _settle(args.device)
            if step >= args.warmup:
                millis.append(1e3 * (time.perf_counter() - start))
                cpu.append(1e3 * (time.process_time() - started))
    if not torch.isfinite(guided).all():
        raise SystemExit("the result is not finite")
    name = torch.cuda.get_device_name() if args.device.startswith("cuda") else "CPU"
    print(json.dumps({
        "family": args.family, "published": not args.small, "device": name, "torch": torch.__version__, "dtype": args.dtype, "compiled": args.compile,
        "openvino": args.openvino, "threads": torch.get_num_threads(), "min_cpu_ms": round(min(cpu), 2),
        "latents": side, "steps": args.steps, "median_ms": round(statistics.median(millis), 2), "min_ms": round(min(millis), 2),
    }))


def _openvino(unet: torch.nn.Module, inputs: dict[str, Any], dtype: str, threads: int) -> Callable[..., tuple[torch.Tensor]]:
    """The network compiled for the shapes of these inputs."""
    import openvino

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unet = unet

        def forward(self, sample: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
            return self.unet(sample, timestep, text, return_dict=False)[0]

    if "added_cond_kwargs" in inputs:
        raise SystemExit("--openvino takes families without time ids: use --family sd15")
    example = tuple(inputs[name].float().contiguous() for name in ("sample", "timestep", "encoder_hidden_states"))
    model = openvino.convert_model(Plain().eval(), example_input=example, input=[tuple(value.shape) for value in example])
    hints = {"float32": "f32", "bfloat16": "bf16"}
    options = {"INFERENCE_PRECISION_HINT": hints[dtype], "NUM_STREAMS": 1, **({"INFERENCE_NUM_THREADS": threads} if threads else {})}
    compiled = openvino.compile_model(model, "CPU", options)
    values = [value.numpy() for value in example]
    return lambda **_: (torch.from_numpy(next(iter(compiled(values).values()))),)


def _settle(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
