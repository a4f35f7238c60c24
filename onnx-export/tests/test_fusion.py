# SPDX-License-Identifier: Apache-2.0
"""Each fusion alone, run by ONNX Runtime, against the module of diffusers that it replaces; the dilated graph of a fused UNet; an autoencoder's front by halves."""

import copy

import numpy as np
import onnxruntime
import pytest
import torch
from diffusers import AutoencoderKL, Transformer2DModel
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D
from test_dilation import dilated_by_pytorch, relative

import families
from asg4j_export import tracing
from asg4j_export.attention import FusedAttention, TokenWeights, attention_map, mean_map
from asg4j_export.dilation import DilatedDenoiser
from asg4j_export.errors import ExportError
from asg4j_export.export import denoiser_graph, dilated_graph
from asg4j_export.families import TextPlan
from asg4j_export.fusion import fuse_transformer, fuse_unet
from asg4j_export.networks import Denoiser
from asg4j_export.vae_stats import VaeFront

#: fp32: the largest error over the largest value; fp16: root mean squares, a few roundings of 2^-12
TOLERANCE = {torch.float32: 3e-6, torch.float16: 1.5e-3}
PRECISIONS = pytest.mark.parametrize("dtype", TOLERANCE, ids=["fp32", "fp16"])


@torch.no_grad()
def lively(module):
    """In halves, every gain, shift and bias a different number."""
    for parameter in module.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter) if parameter.ndim == 1 else 0)
    return module.half().float().eval().requires_grad_(False)


def fused(module, dtype):
    """A copy of the module with fewer passes; what fuses networks looks at their parts."""
    network = torch.nn.ModuleList([copy.deepcopy(module).to(dtype)])
    fuse_unet(network)
    return network[0]


def session(module, inputs, dynamic):
    names = [f"in{i}" for i in range(len(inputs))]
    axes = {name: dict.fromkeys(axes) for name, axes in zip(names, dynamic)}
    axes = {name: {axis: f"{name}_{axis}" for axis in of} for name, of in axes.items()}
    model = tracing.trace(tracing.Graph("alone.onnx", module, names, ["out"], axes, [inputs]))
    run = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [node.op_type for node in model.graph.node], lambda *x: run.run(None, {n: v.numpy() for n, v in zip(names, x)})[0]


def close(actual, expected, dtype):
    error = tracing._error(actual.astype(np.float32), expected.numpy(), "fp32" if dtype == torch.float32 else "fp16")
    assert actual.shape == tuple(expected.shape) and error <= TOLERANCE[dtype], error


class Flat(torch.nn.Module):
    def __init__(self, transformer):
        super().__init__()
        self.transformer = transformer

    def forward(self, x, text):
        return self.transformer(x, text, return_dict=False)[0]


@PRECISIONS
@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_transformer_layers(dtype, linear, layers):
    torch.manual_seed(0)
    original = lively(Transformer2DModel(2, 12, 24, num_layers=layers, norm_num_groups=4, cross_attention_dim=20, use_linear_projection=linear))
    ours = fused(original, dtype)
    for layer in ours.transformer_blocks[0].layers:
        for attention in (layer.attn1, layer.attn2):
            attention.set_processor(FusedAttention())
    examples = [(torch.randn(b, 24, h, w).half(), torch.randn(b, t, 20).half()) for b, h, w, t in ((2, 4, 4, 7), (1, 5, 7, 77), (3, 1, 9, 1))]
    operators, run = session(Flat(ours), tuple(x.to(dtype) for x in examples[0]), [(0, 2, 3), (0, 1)])
    assert operators.count("SkipLayerNormalization") == 3 * layers - 1 and operators.count("LayerNormalization") == 1
    assert operators.count("BiasGelu") == layers
    for example in examples:
        with torch.no_grad():
            expected = original(*(x.float() for x in example), return_dict=False)[0]
        close(run(*(x.to(dtype) for x in example)), expected, dtype)


def test_other_layers_are_refused():
    unet = torch.nn.ModuleList([Transformer2DModel(2, 12, 24, norm_num_groups=4, cross_attention_dim=20, activation_fn="geglu-approximate")])
    with pytest.raises(ExportError, match="not self-attention, cross-attention and GEGLU"):
        fuse_unet(unet)


@PRECISIONS
def test_approximate_gelu(dtype):
    """SD3's feed-forward part."""
    torch.manual_seed(0)
    original = lively(FeedForward(24, activation_fn="gelu-approximate"))
    block = torch.nn.Module()
    block.ff, block.ff_context = copy.deepcopy(original).to(dtype), None
    network = torch.nn.Module()
    network.transformer_blocks = [block]
    fuse_transformer(network)
    examples = [4 * torch.randn(shape).half() for shape in ((2, 16, 24), (1, 35, 24))]
    operators, run = session(block.ff, (examples[0].to(dtype),), [(0, 1)])
    assert operators.count("FastGelu") == 1 and "Tanh" not in operators
    for x in examples:
        close(run(x.to(dtype)), original(x.float()), dtype)


@PRECISIONS
@pytest.mark.parametrize("channels", [(8, 8), (8, 12)], ids=str)
@pytest.mark.parametrize("time_embedding", ["default", "scale_shift"])
def test_resnet(dtype, channels, time_embedding):
    torch.manual_seed(0)
    original = lively(ResnetBlock2D(
        in_channels=channels[0], out_channels=channels[1], temb_channels=10, groups=4, time_embedding_norm=time_embedding))
    ours = fused(original, dtype)
    with_bias = [name for name, conv in ours.named_children() if isinstance(conv, torch.nn.Conv2d) and conv.bias is not None]
    assert with_bias == (["conv2"] if time_embedding == "default" else ["conv1", "conv2"])
    examples = [(torch.randn(b, 8, h, w).half(), torch.randn(b, 10).half()) for b, h, w in ((2, 8, 8), (1, 5, 7), (3, 1, 9))]
    _, run = session(ours, tuple(x.to(dtype) for x in examples[0]), [(0, 2, 3), (0,)])
    for example in examples:
        close(run(*(x.to(dtype) for x in example)), original(*(x.float() for x in example)), dtype)


class Maps(torch.nn.Module):
    """The mean map of two layers, of queries and keys as they are given."""

    def forward(self, query, key, weights):
        carried = TokenWeights()
        carried.set(weights)
        return mean_map([attention_map(q, key, 4, carried) for q in (query, -query)])


@PRECISIONS
def test_maps_are_the_scores_times_the_weights(dtype):
    """Attention that nearly picks one token, weights of 0 and 1 and between; the map is float32 in either precision."""
    torch.manual_seed(0)
    examples = [
        ((2 * torch.randn(b, n, 32)).half(), (2 * torch.randn(b, t, 32)).half(), (torch.rand(b, t) * (torch.rand(b, t) < 0.3)).half().float())
        for b, n, t in ((2, 16, 77), (1, 35, 333), (3, 9, 1))
    ]

    def given(example):
        return example[0].to(dtype), example[1].to(dtype), example[2]

    operators, run = session(Maps(), given(examples[0]), [(0, 1)] * 3)
    assert operators.count("MultiHeadAttention") == 2 and operators.count("Expand") == 1 and "Softmax" not in operators
    for example in examples:
        query, key = (x.double().unflatten(2, (4, -1)) for x in example[:2])
        scores = torch.einsum("bqhd,bkhd->bhqk", query, key) / 8**0.5
        expected = (scores.softmax(3) + (-scores).softmax(3)).mul(example[2].double()[:, None, None]).sum(3).mean(1) / 2
        actual = run(*given(example))
        assert actual.dtype == np.float32
        # in halves a value is off by half a unit in the last place, up to 2^-12 below 1, and by what the mean of the heads rounds
        assert np.abs(actual - expected.numpy()).max() <= (1e-6 if dtype == torch.float32 else 5e-4)


@pytest.fixture(scope="module")
def dilated(tmp_path_factory):
    """A UNet as diffusers has it, and the session of its fused, dilated graph."""
    torch.manual_seed(0)
    original = lively(families.denoiser("sdxl"))
    ours = Denoiser(copy.deepcopy(original), fused=True)
    text = TextPlan(width=80, tokens=77, pooled=40, penultimate=True, zero_tokens=0)
    masks = [{"output": f"mask_up{block}", "scale": scale} for block, scale in ours.blocks]
    plain = denoiser_graph(ours, 4, 16, 4, text, masks, "fp32")
    folder = tmp_path_factory.mktemp("dilated")
    tracing.write(plain, folder)
    graph = dilated_graph(DilatedDenoiser(ours), plain)
    tracing.write(graph, folder)
    return original, graph.module.groups, onnxruntime.InferenceSession(str(folder / graph.file), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("factors", [{"mid_block": 2, "up_blocks.0": 2}, {"mid_block": 2.5, "down_blocks.1.downsamplers": 2, "up_blocks.1": 3}], ids=str)
@pytest.mark.parametrize("batch,height,width", [(2, 8, 8), (1, 12, 20)])
def test_dilated_graph(dilated, factors, batch, height, width):
    """Convolutions whose bias is elsewhere, dilated, against diffusers' own UNet with PyTorch's dilation."""
    original, groups, run = dilated
    inputs = {
        "sample": torch.randn(batch, 4, height, width), "timestep": torch.full((batch,), 700.0),
        "encoder_hidden_states": torch.randn(batch, 77, 80), "text_embeds": torch.randn(batch, 40),
        "time_ids": torch.full((batch, 6), 128.0), "token_weights": torch.rand(batch, 77),
    }
    dilation = np.float32([factors.get(group, 1) for group in groups])
    actual = run.run(None, {name: x.numpy() for name, x in inputs.items()} | {"dilation": dilation})
    plain = Denoiser(original)
    with torch.no_grad(), dilated_by_pytorch(original, factors):
        expected = plain(*inputs.values())
    for a, b in zip(actual, expected, strict=True):
        assert relative(a, b.numpy()) <= 1e-5


def test_front_by_halves():
    """A front whose last upsampling has 512 channels gives what the whole one does, at an odd size, and says how wide it is."""
    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(64, 128, 512, 512), layers_per_block=1, latent_channels=4,
    ).eval()
    front = VaeFront(vae)
    assert front.halves and front.channels == 256
    latents = torch.randn(1, 4, 5, 7)
    with torch.no_grad():
        by_halves = front(latents)
        front.halves = False
        whole = front(latents)
    assert by_halves.shape == (1, 128, 20, 28)
    assert (by_halves - whole).abs().max() < 1e-5 * whole.abs().max()
