# SPDX-License-Identifier: Apache-2.0
"""The dilated graph of tiny-methods is the convolution of SPEC.md section 9, and scalecrafter's factors."""

import math
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn.functional import conv2d, interpolate

from reference import bundle, scalecrafter
from reference.bundle import F32
from reference.sampler import Settings

KERNELS = [bundle.local_kernel(), bundle.drawn(209, 4, 4, 3, 3, scale=0.06)]


@pytest.fixture(scope="module")
def convolutions(tmp_path_factory):
    """One graph per group that holds nothing but its convolution."""
    sessions = []
    for group, kernel in enumerate(KERNELS):
        g = bundle.Graph()
        x = bundle.dilated_convolution(g, "sample", kernel, group)
        g.op("Identity", x, out="y")
        path = tmp_path_factory.mktemp("graphs") / f"group{group}.onnx"
        g.save(path, [("sample", F32, ["B", 4, "h", "w"]), ("dilation", F32, [2])], [("y", F32, ["B", 4, "h", "w"])])
        sessions.append(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]))
    return sessions


def by_torch(x, kernel, factor):
    d = math.ceil(factor)
    size = x.shape[2:]
    inner = [round(n * (d / factor)) for n in size]
    if inner != list(size):
        x = interpolate(x, size=inner, mode="bilinear", align_corners=False)
    x = conv2d(x, torch.from_numpy(kernel), dilation=d, padding=d * (kernel.shape[-1] // 2))
    return x if inner == list(size) else interpolate(x, size=size, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 1.5, 2.5, 1.25, 3.2])
@pytest.mark.parametrize("size", [(8, 8), (9, 18), (5, 7), (24, 16)])
def test_convolution(convolutions, factor, size):
    x = np.random.default_rng(1).normal(size=(2, 4, *size)).astype(np.float32)
    for group, kernel in enumerate(KERNELS):
        dilation = np.ones(2, np.float32)
        dilation[group] = factor
        got, = convolutions[group].run(None, {"sample": x, "dilation": dilation})
        expected = by_torch(torch.from_numpy(x), kernel, factor).numpy()
        assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()  # Resize has float32 coordinates


def test_factor_one_gives_the_plain_graph_to_the_bit(tiny_methods):
    rng = np.random.default_rng(2)
    for height, width in ((8, 8), (9, 18), (16, 24)):
        inputs = {"sample": rng.normal(size=(2, 4, height, width)), "timestep": np.array([981, 501]),
                  "encoder_hidden_states": rng.normal(size=(2, 16, 8)), "text_embeds": rng.normal(size=(2, 6)),
                  "time_ids": np.array([[64, 64, 0, 0, 64, 64]] * 2), "token_weights": np.ones((2, 16))}
        inputs = {k: v.astype(np.float32) for k, v in inputs.items()}
        plain = tiny_methods.denoiser.run(None, inputs)
        dilated = tiny_methods.dilated.run(None, inputs | {"dilation": np.ones(2, np.float32)})
        assert all((a == b).all() for a, b in zip(plain, dilated))
        for group in range(2):
            two = np.ones(2, np.float32)
            two[group] = 2
            noise = tiny_methods.dilated.run(["noise"], inputs | {"dilation": two})[0]
            assert np.abs(noise - plain[0]).max() > 0.02 * np.abs(plain[0]).max()


def test_course_of_the_factors():
    """methods.md section 5.5: tau 35, factors 4, 3 and 2."""
    s = replace(Settings(), dilation_course="progressive")
    four = [scalecrafter.factor(s, 4.0, i, 35) for i in range(35)]
    three = [scalecrafter.factor(s, 3.0, i, 35) for i in range(35)]
    assert four == [4] * 9 + [3] * 9 + [2] * 17 and three == [3] * 12 + [2] * 23
    assert {scalecrafter.factor(s, 2.0, i, 35) for i in range(35)} == {2}
    assert scalecrafter.factor(s, 1.0, 5, 35) == 1 and scalecrafter.factor(Settings(), 2.5, 30, 35) == 2.5
