# SPDX-License-Identifier: Apache-2.0
"""``python tests/control_goldens.py [--out FOLDER]``: small control networks for the Java tests, and what diffusers' pipelines draw with them.

FOLDER/controlnets/FAMILY/NAME is the exporter's folder of a control network with random weights, for the bundle FOLDER/FAMILY of
family_goldens.py. FOLDER/goldens/CASE holds what the pipeline of diffusers took and gave: noise.npy, the pictures NAME.png, latents.npy after the last
step, and settings.json with the controls as the engine's request has them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from diffusers import ControlNetModel, DDIMScheduler, StableDiffusionControlNetPipeline, StableDiffusionXLControlNetPipeline
from family_goldens import PROMPT, RESOURCES
from PIL import Image

import families
from asg4j_export import controlnet, templates
from asg4j_export.tracing import fingerprint

STEPS = 6
GUIDANCE = 5.0


@dataclass(frozen=True)
class Control:
    network: str
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0


CASES = {
    "sd15-control": ("sd15", [Control("edges")]),
    "sd15-share": ("sd15", [Control("edges", weight=0.7, end=0.5)]),
    "sd15-two": ("sd15", [Control("edges", weight=0.8, end=0.7), Control("depth", weight=1.2, start=0.3)]),
    "sdxl-control": ("sdxl", [Control("edges", weight=0.6)]),
}
_PIPELINES = {"sd15": StableDiffusionControlNetPipeline, "sdxl": StableDiffusionXLControlNetPipeline}


def network(family: str, name: str) -> ControlNetModel:
    """A control network of a small family with random weights, none of them zero, which fp16 holds exactly."""
    torch.manual_seed(len(name))
    made = ControlNetModel.from_unet(families.denoiser(family), conditioning_embedding_out_channels=(4, 4, 8, 8))
    for parameter in made.parameters():
        if not parameter.any():
            parameter.data.normal_(0, 0.2)
    return made.half().float().eval().requires_grad_(False)


def picture(name: str, size: int) -> np.ndarray:
    """uint8 [size, size, 3]: rings and a ramp, another one for each name."""
    y, x = np.mgrid[0:size, 0:size] / size
    rings = np.sin(40 * np.hypot(x - 0.4, y - 0.6)) > 0
    return (255 * np.stack([rings, x, y] if name == "edges" else [y * y, 1 - x, rings * x], 2)).astype(np.uint8)


def shorten(folder: Path) -> None:
    """Numbers in place of the tracer's names."""
    manifest = json.loads((folder / controlnet.MANIFEST).read_text())
    file = folder / controlnet.FILE
    model = onnx.load(file)
    templates.shorten(model, set())
    file.write_bytes(model.SerializeToString(deterministic=True))
    manifest["files"][file.name] = fingerprint(file)
    (folder / controlnet.MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


@torch.no_grad()
def golden(family: str, controls: list[Control], checkpoint: Path, out: Path) -> None:
    networks = [network(family, c.network) for c in controls]
    extra = {} if family == "sdxl" else dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipeline = _PIPELINES[family].from_pretrained(
        checkpoint, controlnet=networks if len(networks) > 1 else networks[0], torch_dtype=torch.float32, **extra)
    pipeline.set_progress_bar_config(disable=True)
    if family == "sd15":  # PNDM keeps state; the engine takes DDIM for it
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    cells = pipeline.unet.config.sample_size
    size = 8 * cells
    noise = torch.randn(1, 4, cells, cells, generator=torch.Generator().manual_seed(1))
    pictures = [picture(c.network, size) for c in controls]
    shown = [Image.fromarray(p) for p in pictures]
    several = len(controls) > 1

    def of(values: list) -> object:
        return values if several else values[0]

    latents = pipeline(
        PROMPT, image=of(shown), height=size, width=size, num_inference_steps=STEPS, guidance_scale=GUIDANCE, latents=noise.clone(),
        controlnet_conditioning_scale=of([c.weight for c in controls]), control_guidance_start=of([c.start for c in controls]),
        control_guidance_end=of([c.end for c in controls]), output_type="latent",
    ).images
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "noise.npy", noise.numpy())
    np.save(out / "latents.npy", latents.numpy())
    for control, image in zip(controls, shown):
        image.save(out / f"{control.network}.png")
    settings = {"family": family, "prompt": PROMPT, "steps": STEPS, "guidance_scale": GUIDANCE, "size": size,
                "controls": [{"network": c.network, "weight": c.weight, "start": c.start, "end": c.end} for c in controls]}
    (out / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    print(out.name, f"latents up to {latents.abs().max():.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESOURCES)
    out = parser.parse_args().out
    for family, name in {(family, control.network) for family, controls in CASES.values() for control in controls}:
        folder = out / "controlnets" / family / name
        controlnet.export(network(family, name), folder, "Apache-2.0")
        shorten(folder)
    with tempfile.TemporaryDirectory() as scratch:
        for case, (family, controls) in CASES.items():
            checkpoint = Path(scratch) / family
            if not checkpoint.exists():
                families.write(family, checkpoint)
            golden(family, controls, checkpoint, out / "goldens" / case)


if __name__ == "__main__":
    main()
