# SPDX-License-Identifier: Apache-2.0
"""The authors' RectifiedHR script on the demo checkpoint, with the engine's noise, against ``./asg generate --method relay --preset rectifiedhr``.

``python tests/official_rectifiedhr.py CHECKOUT [--side N] [--steps N] [--seed N]``; CHECKOUT is one of EnVision-Research/RectifiedHR (no licence: run from
there, nothing of it is here). Needs Pillow. Its VAE runs in float32 here, not bfloat16. Run twice. "as published": the picture between the sizes is rounded to 8 bits,
enlarged by Pillow and encoded in diffusers' tiles. "whole": the same script with that picture in float32, enlarged by PyTorch's antialiased bicubic and encoded whole.
"""

from __future__ import annotations

import re
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from official import FACTOR, GUIDANCE, NATIVE, Run, conditioning, module, pipeline, report

from reference import philox

#: what its configuration has for 2048 x 2048
STAGES, HIGHEST_GUIDANCE, REFRESHED_AT = 2, 30, 0.6


class Noise:
    """The engine's noise, in the order in which the script asks for it: patch 0's, then the next stages'."""

    def __init__(self, seed: int):
        self.seed, self.stage = seed, 0

    def __call__(self, shape: tuple[int, ...], **keywords: object) -> torch.Tensor:
        self.stage += 1
        elements = np.arange(int(np.prod(shape)))
        values = philox.normals(self.seed, elements) if self.stage == 1 else philox.normals(self.seed, elements, self.stage, philox.PHASE_NOISE)
        return torch.from_numpy(np.float32(values).reshape(shape))


class Picture:
    """A picture [1, 3, h, w] in -1..1 with the one method of Pillow's that the script calls."""

    def __init__(self, pixels: torch.Tensor):
        self.pixels = pixels

    def resize(self, size: tuple[int, int]) -> Picture:
        return Picture(F.interpolate(self.pixels, size=size[::-1], mode="bicubic", antialias=True))


class Pipe:
    """Their pipeline as the script sees it, given the engine's conditioning; keeps the last latents, and the seconds that its VAE takes at the end."""

    def __init__(self, made: Any):
        self._made, self._text = made, conditioning(made)
        self.latents: torch.Tensor | None = None
        self.decoding = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def to(self, *arguments: object) -> Pipe:
        return self

    def __call__(self, *, prompt: str, negative_prompt: str, **keywords: Any) -> types.SimpleNamespace:
        self.latents = self._made(**self._text, **keywords, output_type="latent").images
        return types.SimpleNamespace(images=[types.SimpleNamespace(save=self._decode)])

    def _decode(self, path: str) -> None:
        started = time.monotonic()
        self._made.vae.decode(self.latents / self._made.vae.config.scaling_factor)
        self.decoding = time.monotonic() - started


def _functions(checkout: Path) -> types.ModuleType:
    """Their conversions between pictures and latents, without what only videos need, in float32."""
    text = (checkout / "utils" / "preprocess.py").read_text().replace("torch.bfloat16", "torch.float32")
    for gone in ("import os, random, cv2", "from einops import rearrange", "from diffusers.video_processor import VideoProcessor"):
        text = text.replace(gone, "")
    loaded = types.ModuleType("utils.preprocess")
    exec(compile(text.replace("import torch, yaml", "import torch"), "preprocess.py", "exec"), loaded.__dict__)
    return loaded


def _in_floats(functions: types.ModuleType) -> None:
    def picture(latents: torch.Tensor, pipe: Pipe) -> Picture:
        return Picture(pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample.clamp(-1, 1))

    def latents(picture: Picture, pipe: Pipe) -> torch.Tensor:
        return pipe.vae.encode(picture.pixels.clamp(-1, 1)).latent_dist.mean * pipe.vae.config.scaling_factor

    functions.latent2image, functions.image2latent = picture, latents


@torch.no_grad()
def published(checkout: Path, side: int, steps: int, seed: int, whole: bool = False) -> Run:
    authors = module(checkout / "pipelines" / "pipeline_sdxl.py")
    authors.SDXLPipeline.encode_prompt = lambda self, **given: tuple(
        given[name] for name in ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds"))
    made = pipeline(authors, steps, "SDXLPipeline")
    pipe = Pipe(made)
    functions = _functions(checkout)
    if whole:
        _in_floats(functions)
    native = (NATIVE * FACTOR,) * 2
    settings = types.SimpleNamespace(
        model_id="", prompts=[""], generator=None, It_base_path=".", num_inference_steps=steps, N=STAGES, cfg_min=GUIDANCE, cfg_max=HIGHEST_GUIDANCE, M_cfg=1,
        T_min=int(steps * REFRESHED_AT + 0.5), T_max=steps, M_T=1, res_min=native, res_max=(side, side))
    loader = types.SimpleNamespace(from_pretrained=lambda *_, **__: types.SimpleNamespace(to=lambda _: pipe))
    tools = types.ModuleType("utils.main_tools")
    exec((checkout / "utils" / "main_tools.py").read_text(), tools.__dict__)
    # what SDXL's scheduler_config.json says beside the demo's
    made.scheduler = DDIMScheduler.from_config(made.scheduler.config, clip_sample=False, set_alpha_to_one=False)
    modules = {
        "pipelines": types.ModuleType("pipelines"), "pipelines.pipeline_sdxl": types.SimpleNamespace(SDXLPipeline=loader),
        "utils": types.ModuleType("utils"), "utils.preprocess": functions, "utils.main_tools": tools, "configs_sdxl": settings,
        "diffusers.utils.torch_utils": types.SimpleNamespace(randn_tensor=Noise(seed)),
    }
    script: dict[str, Any] = {"__name__": "script"}
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)  # type: ignore[arg-type]
    try:
        text = re.sub(r"pipe\.scheduler = .*", "", (checkout / "run_sdxl.py").read_text())
        if whole:
            text = text.replace("pipe.vae.enable_tiling()", "")
        exec(compile(text, "run_sdxl.py", "exec"), script)
    finally:
        for name, value in before.items():
            if value is None:
                del sys.modules[name]
            else:
                sys.modules[name] = value
    started = time.monotonic()
    script["main"]()
    seconds = time.monotonic() - started
    assert pipe.latents is not None
    return Run(pipe.latents[0].numpy(), seconds, pipe.decoding)


def whole(checkout: Path, side: int, steps: int, seed: int) -> Run:
    return published(checkout, side, steps, seed, whole=True)


if __name__ == "__main__":
    theirs = {"as published": published, "whole": whole}
    report(__doc__, 2 * NATIVE * FACTOR, theirs, "relay", "relay2-*-latents.npy", ("--preset", "rectifiedhr"))
