# SPDX-License-Identifier: Apache-2.0
"""RRDBNet, the generator of ESRGAN (arXiv 1809.00219), BSRGAN (arXiv 2103.14006) and Real-ESRGAN (arXiv 2107.10833).

Three layouts of the same network's weights are in circulation. The names of BSRGAN's published files are the names
of the modules here; the other two are renamed to them when read.
"""

from __future__ import annotations

import math
import pickle
import re
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file

from .errors import ExportError

_RESIDUAL = 0.2  # of a dense block and of a block of dense blocks
_SLOPE = 0.2  # of every leaky rectifier
_CONVS = 5  # of a dense block


class WeightsError(ExportError):
    """The file holds no RRDBNet; the message says what was found and what was expected."""


@dataclass(frozen=True)
class Shape:
    """What the weights' shapes say of the network."""

    scale: int  # a power of two
    features: int  # nf
    blocks: int  # nb
    growth: int  # gc

    @property
    def reach(self) -> int:
        """Input pixels on every side that an output pixel depends on: a tile with this border is exact."""
        reach = 2  # output pixels: HRconv, conv_last
        for _ in range(self.scale.bit_length() - 1):
            reach = math.ceil((reach + 1) / 2)  # upconv, before which each pixel is repeated
        return reach + 2 + 3 * _CONVS * self.blocks  # trunk_conv, conv_first, the dense blocks

    def __str__(self) -> str:
        return f"RRDBNet x{self.scale}, nf {self.features}, nb {self.blocks}, gc {self.growth}"


class DenseBlock(torch.nn.Module):
    """Five 3x3 convolutions, each of which reads everything before it."""

    def __init__(self, features: int, growth: int):
        super().__init__()
        for i in range(_CONVS):
            out = growth if i + 1 < _CONVS else features
            setattr(self, f"conv{i + 1}", torch.nn.Conv2d(features + i * growth, out, 3, 1, 1))

    def forward(self, x):
        seen = x
        for i in range(1, _CONVS):
            seen = torch.cat((seen, F.leaky_relu(getattr(self, f"conv{i}")(seen), _SLOPE)), 1)
        return self.conv5(seen) * _RESIDUAL + x


class DenseBlocks(torch.nn.Module):
    """Three dense blocks in a residual (the RRDB)."""

    def __init__(self, features: int, growth: int):
        super().__init__()
        self.RDB1 = DenseBlock(features, growth)
        self.RDB2 = DenseBlock(features, growth)
        self.RDB3 = DenseBlock(features, growth)

    def forward(self, x):
        return self.RDB3(self.RDB2(self.RDB1(x))) * _RESIDUAL + x


class RRDBNet(torch.nn.Module):
    """image [B, 3, h, w] in 0..1 -> [B, 3, h * scale, w * scale], not clamped."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        nf = shape.features
        self.conv_first = torch.nn.Conv2d(3, nf, 3, 1, 1)
        self.RRDB_trunk = torch.nn.Sequential(*(DenseBlocks(nf, shape.growth) for _ in range(shape.blocks)))
        self.trunk_conv = torch.nn.Conv2d(nf, nf, 3, 1, 1)
        self.doublings = shape.scale.bit_length() - 1
        for i in range(self.doublings):
            setattr(self, f"upconv{i + 1}", torch.nn.Conv2d(nf, nf, 3, 1, 1))
        self.HRconv = torch.nn.Conv2d(nf, nf, 3, 1, 1)
        self.conv_last = torch.nn.Conv2d(nf, 3, 3, 1, 1)

    def forward(self, image):
        x = self.conv_first(image)
        x = x + self.trunk_conv(self.RRDB_trunk(x))
        for i in range(self.doublings):
            x = F.leaky_relu(getattr(self, f"upconv{i + 1}")(F.interpolate(x, scale_factor=2.0, mode="nearest")), _SLOPE)
        return self.conv_last(F.leaky_relu(self.HRconv(x), _SLOPE))


# ------------------------------------------------------------------------------------------------- weights


def load(path: Path) -> RRDBNet:
    """The network of a .pth or .safetensors file, in float32, ready to run.

    :raises WeightsError: if the file is none, or holds another network
    """
    weights = _published_names(_tensors(path), path)
    shape = _shape(weights, path)
    net = RRDBNet(shape)
    expected = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    for name, size in expected.items():
        if name not in weights:
            raise WeightsError(f"{path}: {name} is missing (found: {shape})")
        if tuple(weights[name].shape) != size:
            raise WeightsError(f"{path}: {name} has shape {tuple(weights[name].shape)}, expected {size} for {shape}")
    if left := sorted(set(weights) - set(expected)):
        raise WeightsError(f"{path}: {', '.join(left[:3])}{' ...' if len(left) > 3 else ''} do not belong to {shape}")
    for name, value in weights.items():
        if not bool(value.isfinite().all()):
            raise WeightsError(f"{path}: {name} holds values that are not finite")
    net.load_state_dict(weights)
    return net.eval().requires_grad_(False)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError(f"{path} is no file")
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        elif path.suffix in (".pth", ".pt"):
            content = torch.load(path, map_location="cpu", weights_only=True)
        else:
            raise WeightsError(f"{path}: the name ends in {path.suffix or 'nothing'}, expected .pth, .pt or .safetensors")
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0] if str(error) else "unreadable"
        raise WeightsError(f"{path}: not a file of tensors alone, and others are not opened, as they can run code ({reason})") from error
    except (SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(f"{path}: broken ({str(error).splitlines()[0]})") from error
    for wrapper in ("params_ema", "params"):  # Real-ESRGAN's files hold the weights once or twice, averaged and plain
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise WeightsError(f"{path}: holds no table of tensors")
    return {name.removeprefix("module."): value.float() for name, value in content.items()}


_REAL_ESRGAN = {"conv_body": "trunk_conv", "conv_up1": "upconv1", "conv_up2": "upconv2", "conv_hr": "HRconv"}


def _published_names(weights: dict[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """The weights under BSRGAN's names."""
    if "conv_first.weight" in weights and any(name.startswith("RRDB_trunk.") for name in weights):
        return weights
    if "conv_first.weight" in weights and any(name.startswith("body.") for name in weights):
        return {_from_real_esrgan(name): value for name, value in weights.items()}
    if "model.0.weight" in weights and any(name.startswith("model.1.sub.") for name in weights):
        return _from_first_esrgan(weights)
    names = ", ".join(sorted(weights)[:3])
    raise WeightsError(f"{path}: no RRDBNet; found {names} ..., expected conv_first, RRDB_trunk.0.RDB1.conv1 ... (BSRGAN), "
                       "conv_first, body.0.rdb1.conv1 ... (Real-ESRGAN) or model.0, model.1.sub.0.RDB1.conv1.0 ... (ESRGAN)")


def _from_real_esrgan(name: str) -> str:
    first, rest = name.split(".", 1)
    if first == "body":
        return "RRDB_trunk." + rest.replace("rdb", "RDB")
    return f"{_REAL_ESRGAN.get(first, first)}.{rest}"


def _from_first_esrgan(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """ESRGAN's first files number the layers: 0, the trunk in 1, one in three for each doubling, then two more."""
    numbers = sorted({int(m[1]) for name in weights if (m := re.fullmatch(r"model\.(\d+)\.(?:weight|bias)", name))})
    tail = [f"upconv{i + 1}" for i in range(len(numbers) - 3)] + ["HRconv", "conv_last"]
    names = dict(zip(numbers, ["conv_first", *tail]))
    blocks = {int(m[1]) for name in weights if (m := re.match(r"model\.1\.sub\.(\d+)\.RDB", name))}
    renamed = {}
    for name, value in weights.items():
        if m := re.fullmatch(r"model\.1\.sub\.(\d+)\.(RDB\d)\.(conv\d)\.0\.(weight|bias)", name):
            renamed[f"RRDB_trunk.{m[1]}.{m[2]}.{m[3]}.{m[4]}"] = value
        elif (m := re.fullmatch(r"model\.1\.sub\.(\d+)\.(weight|bias)", name)) and int(m[1]) == len(blocks):
            renamed[f"trunk_conv.{m[2]}"] = value
        elif (m := re.fullmatch(r"model\.(\d+)\.(weight|bias)", name)) and int(m[1]) in names:
            renamed[f"{names[int(m[1])]}.{m[2]}"] = value
        else:
            renamed[name] = value
    return renamed


def _shape(weights: dict[str, torch.Tensor], path: Path) -> Shape:
    def size(name: str, axis: int) -> int:
        value = weights.get(f"{name}.weight")
        if value is None or value.ndim != 4:
            raise WeightsError(f"{path}: {name}.weight is missing or no convolution's")
        return value.shape[axis]

    channels = size("conv_first", 1)
    if channels != 3:
        folded = ": it folds the picture's pixels into channels first, which is not supported" if channels in (12, 48) else ""
        raise WeightsError(f"{path}: conv_first takes {channels} channels, expected 3 (RGB){folded}")
    doublings = 0
    while f"upconv{doublings + 1}.weight" in weights:
        doublings += 1
    if doublings == 0:
        raise WeightsError(f"{path}: upconv1 is missing: the network does not enlarge")
    blocks = len({name.split(".")[1] for name in weights if name.startswith("RRDB_trunk.")})
    return Shape(2**doublings, size("conv_first", 0), blocks, size("RRDB_trunk.0.RDB1.conv1", 0))
