# SPDX-License-Identifier: Apache-2.0
"""The dilated graph against PyTorch's own dilated convolutions, set module by module."""

import math
from contextlib import contextmanager

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from asg4j_demo.model import build_unet
from asg4j_export.dilation import DilatedDenoiser, groups
from asg4j_export.export import denoiser_graph, dilated_graph
from asg4j_export.families import TextPlan
from asg4j_export.networks import Denoiser
from asg4j_export.tracing import write

GROUPS = [
    "down_blocks.0", "down_blocks.0.downsamplers", "down_blocks.1", "down_blocks.1.downsamplers", "down_blocks.2", "mid_block",
    "up_blocks.0", "up_blocks.1", "up_blocks.2",
]  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dilated")
    torch.manual_seed(0)
    unet = build_unet(widths=(16, 16, 16), heads=(2, 2, 2)).half().float().eval().requires_grad_(False)
    denoiser = Denoiser(unet)
    text = TextPlan(width=128, tokens=32, pooled=128, penultimate=False, zero_tokens=0)
    masks = [{"output": f"mask_up{block}", "scale": scale} for block, scale in denoiser.blocks]
    plain = denoiser_graph(denoiser, 4, 16, 4, text, masks, "fp32")
    write(plain, folder)
    dilated = dilated_graph(DilatedDenoiser(denoiser), plain)
    write(dilated, folder)
    return folder, denoiser


@pytest.fixture(scope="module")
def sessions(exported):
    """Plain and dilated."""
    folder, _ = exported
    return [onnxruntime.InferenceSession(str(folder / file)) for file in ("denoiser.onnx", "denoiser_dilated.onnx")]


def feed(batch: int, height: int, width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "sample": rng.standard_normal((batch, 4, height, width), np.float32),
        "timestep": np.full(batch, 700, np.float32),
        "encoder_hidden_states": rng.standard_normal((batch, 32, 128), np.float32),
        "text_embeds": rng.standard_normal((batch, 128), np.float32),
        "time_ids": np.full((batch, 6), 256, np.float32),
        "token_weights": np.ones((batch, 32), np.float32),
    }


def relative(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(b).max())


@contextmanager
def dilated_by_pytorch(unet, factors: dict[str, float]):
    """Whole factors by the attributes of nn.Conv2d; fractional ones by a forward that resizes around it, as published."""

    def fractional(conv, factor, x):
        d = math.ceil(factor)
        stride = conv.stride[0]
        plain = [math.ceil(n / stride) for n in x.shape[2:]]
        larger = F.interpolate(x, size=[round(n * d / factor) for n in x.shape[2:]], mode="bilinear", align_corners=False)
        y = F.conv2d(larger, conv.weight, conv.bias, stride, d, d)
        return F.interpolate(y, size=plain, mode="bilinear", align_corners=False)

    changed = []
    for name, factor in factors.items():
        path = name.split(".")
        block = unet.mid_block if path[0] == "mid_block" else getattr(unet, path[0])[int(path[1])]
        if path[-1] == "downsamplers":
            convolutions = [block.downsamplers[0].conv]
        else:
            convolutions = [c for r in block.resnets for c in (r.conv1, r.conv2)]
            convolutions += [u.conv for u in getattr(block, "upsamplers", None) or []]
        for conv in convolutions:
            changed.append(conv)
            if factor == int(factor):
                conv.dilation = conv.padding = (int(factor), int(factor))
            else:
                conv.forward = lambda x, conv=conv, factor=factor: fractional(conv, factor, x)
    try:
        yield
    finally:
        for conv in changed:
            conv.dilation = conv.padding = (1, 1)
            conv.__dict__.pop("forward", None)


@pytest.mark.parametrize("batch,height,width", [(1, 16, 16), (2, 12, 20), (3, 32, 28)])
def test_dilation_1_is_the_plain_graph(sessions, batch, height, width):
    inputs = feed(batch, height, width)
    plain = sessions[0].run(None, inputs)
    dilated = sessions[1].run(None, inputs | {"dilation": np.ones(len(GROUPS), np.float32)})
    for a, b in zip(dilated, plain, strict=True):
        assert relative(a, b) <= 1e-5


@pytest.mark.parametrize(
    "factors",
    [
        {"mid_block": 2, "up_blocks.0": 2},
        {"mid_block": 3, "up_blocks.0": 3, "up_blocks.1": 2},
        {"mid_block": 2.5, "up_blocks.0": 2.5},
        {"down_blocks.0.downsamplers": 2, "down_blocks.1.downsamplers": 3},
        {"down_blocks.0.downsamplers": 4, "down_blocks.1.downsamplers": 2.5},
        dict.fromkeys(GROUPS, 2),
        {name: 1 + 0.5 * i for i, name in enumerate(GROUPS)},
    ],
    ids=str,
)
@pytest.mark.parametrize("batch,height,width", [(2, 16, 16), (1, 12, 20), (3, 28, 36)])
def test_dilated_graph_is_pytorch_s_dilated_convolution(exported, sessions, factors, batch, height, width):
    """At 12 x 20 and 28 x 36 the inner levels have odd extents: 3 x 5 and 7 x 9."""
    _, denoiser = exported
    inputs = feed(batch, height, width)
    with torch.no_grad(), dilated_by_pytorch(denoiser.unet, factors):
        expected = denoiser(*map(torch.from_numpy, inputs.values()))
    dilation = np.array([factors.get(name, 1) for name in GROUPS], np.float32)
    actual = sessions[1].run(None, inputs | {"dilation": dilation})
    for a, b in zip(actual, expected, strict=True):
        assert relative(a, b.numpy()) <= 1e-5
    plain = sessions[0].run(None, inputs)
    assert relative(actual[0], plain[0]) > 1e-3, "the factors made no difference"


def test_groups_follow_the_blocks():
    assert list(groups(build_unet(widths=(16, 16, 16), heads=(2, 2, 2)))) == GROUPS
    two_layers = groups(build_unet(widths=(16, 16, 16), heads=(2, 2, 2), layers=2))
    # SDXL's effective table at 2048 x 2048: 4 convolutions in the middle, 6 and the upsampler in the first up block
    assert len(two_layers["mid_block"]) == 4 and len(two_layers["up_blocks.0"]) == 7
    assert len(two_layers["down_blocks.2"]) == 4 and len(two_layers["down_blocks.0.downsamplers"]) == 1


def test_other_convolutions_are_refused():
    unet = build_unet(widths=(16, 16, 16), heads=(2, 2, 2))
    unet.mid_block.resnets[0].conv1 = torch.nn.Conv2d(16, 16, 5, padding=2)
    with pytest.raises(ValueError, match="mid_block .* only 3x3"):
        groups(unet)


def test_weights_are_not_stored_twice(exported):
    folder, _ = exported
    plain, dilated = (onnx.load(folder / name, load_external_data=False) for name in ("denoiser.onnx", "denoiser_dilated.onnx"))
    weights = [t for t in plain.graph.initializer if len(t.raw_data) >= 256]
    shared = [t for t in dilated.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    assert len(shared) >= len(weights)
    assert {e.value for t in shared for e in t.external_data if e.key == "location"} == {"denoiser.onnx"}
    assert max(len(t.raw_data) for t in dilated.graph.initializer) < 256
