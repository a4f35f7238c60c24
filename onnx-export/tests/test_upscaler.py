# SPDX-License-Identifier: Apache-2.0
"""RRDBNet in the layouts that are in circulation, with random weights, and its way into a bundle."""

import hashlib
import json
import re

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from asg4j_export import upscaler
from asg4j_export.errors import ExportError
from asg4j_export.rrdbnet import RRDBNet, Shape, WeightsError, load

SMALL = {2: Shape(2, 8, 2, 4), 4: Shape(4, 8, 1, 6)}


def random_weights(shape: Shape) -> dict[str, torch.Tensor]:
    torch.manual_seed(shape.scale)
    return RRDBNet(shape).state_dict()


def real_esrgan(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    pairs = (("RRDB_trunk.", "body."), ("RDB", "rdb"), ("trunk_conv", "conv_body"), ("upconv", "conv_up"), ("HRconv", "conv_hr"))
    renamed = {}
    for name, value in weights.items():
        for ours, theirs in pairs:
            name = name.replace(ours, theirs)
        renamed[name] = value
    return renamed


def first_esrgan(weights: dict[str, torch.Tensor], shape: Shape) -> dict[str, torch.Tensor]:
    doublings = shape.scale.bit_length() - 1
    number = {"conv_first": "0", "trunk_conv": f"1.sub.{shape.blocks}"}
    number |= {f"upconv{i + 1}": str(3 * (i + 1)) for i in range(doublings)}
    number |= {"HRconv": str(3 * doublings + 2), "conv_last": str(3 * doublings + 4)}
    renamed = {}
    for name, value in weights.items():
        head, kind = name.rsplit(".", 1)
        if m := re.fullmatch(r"RRDB_trunk\.(.*)", head):
            renamed[f"model.1.sub.{m[1]}.0.{kind}"] = value
        else:
            renamed[f"model.{number[head]}.{kind}"] = value
    return renamed


def test_size_of_the_published_files():
    """BSRGAN.pth and BSRGANx2.pth hold this many numbers."""
    with torch.device("meta"):
        sizes = {scale: sum(p.numel() for p in RRDBNet(Shape(scale, 64, 23, 32)).parameters()) for scale in (2, 4)}
    assert sizes == {4: 16_697_987, 2: 16_661_059}


def test_names_of_the_published_files():
    names = {name.rsplit(".", 1)[0] for name in random_weights(SMALL[4])}
    dense = {f"RRDB_trunk.0.RDB{r}.conv{c}" for r in (1, 2, 3) for c in (1, 2, 3, 4, 5)}
    assert names == dense | {"conv_first", "trunk_conv", "upconv1", "upconv2", "HRconv", "conv_last"}


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("layout", ["bsrgan", "real-esrgan", "real-esrgan averaged", "first esrgan", "safetensors"])
def test_layouts_are_the_same_network(scale, layout, tmp_path):
    shape = SMALL[scale]
    weights = random_weights(shape)
    path = tmp_path / ("w.safetensors" if layout == "safetensors" else "w.pth")
    if layout == "safetensors":
        save_file(weights, path)
    else:
        content = {
            "bsrgan": weights,
            "real-esrgan": {"params": real_esrgan(weights)},
            "real-esrgan averaged": {"params": {"none": torch.zeros(1)}, "params_ema": real_esrgan(weights)},
            "first esrgan": first_esrgan(weights, shape),
        }[layout]
        torch.save(content, path)
    net = load(path)
    assert net.shape == shape
    expected = RRDBNet(shape)
    expected.load_state_dict(weights)
    x = torch.rand(1, 3, 7, 10)
    with torch.no_grad():
        assert torch.equal(net(x), expected(x))


def test_forward_against_the_formula():
    """The network once more, with functions only, from the description of ESRGAN."""
    shape = SMALL[4]
    w = {name: value.double() for name, value in random_weights(shape).items()}

    def conv(name, x):
        return torch.nn.functional.conv2d(x, w[name + ".weight"], w[name + ".bias"], padding=1)

    def lrelu(x):
        return torch.where(x > 0, x, 0.2 * x)

    def dense(name, x):
        x1 = lrelu(conv(name + ".conv1", x))
        x2 = lrelu(conv(name + ".conv2", torch.cat([x, x1], 1)))
        x3 = lrelu(conv(name + ".conv3", torch.cat([x, x1, x2], 1)))
        x4 = lrelu(conv(name + ".conv4", torch.cat([x, x1, x2, x3], 1)))
        return x + 0.2 * conv(name + ".conv5", torch.cat([x, x1, x2, x3, x4], 1))

    image = torch.rand(2, 3, 6, 9, dtype=torch.float64)
    first = conv("conv_first", image)
    trunk = first
    for block in range(shape.blocks):
        y = trunk
        for part in (1, 2, 3):
            y = dense(f"RRDB_trunk.{block}.RDB{part}", y)
        trunk = trunk + 0.2 * y
    x = first + conv("trunk_conv", trunk)
    for name in ("upconv1", "upconv2"):
        x = lrelu(conv(name, x.repeat_interleave(2, 2).repeat_interleave(2, 3)))
    expected = conv("conv_last", lrelu(conv("HRconv", x)))
    net = RRDBNet(shape)
    net.load_state_dict(random_weights(shape))
    with torch.no_grad():
        assert torch.allclose(net.double()(image), expected, atol=1e-12)


# ------------------------------------------------------------------------------------------------- bundles


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "denoiser.onnx").write_bytes(b"net")
    files = {"denoiser.onnx": {"bytes": 3, "sha256": hashlib.sha256(b"net").hexdigest()}, "z.onnx": {"bytes": 0, "sha256": "0"}}
    (folder / "manifest.json").write_text(json.dumps({"format_version": 1, "name": "tiny", "files": files}))
    return folder


def weights_file(folder, scale, name="w.pth"):
    torch.save(random_weights(SMALL[scale]), folder / name)
    return folder / name


def manifest_of(bundle):
    return json.loads((bundle / "manifest.json").read_text())


@pytest.mark.parametrize("batch,height,width", [(1, 16, 16), (3, 5, 21), (1, 64, 33)])
@pytest.mark.parametrize("scale", [2, 4])
def test_graph(bundle, tmp_path, scale, batch, height, width):
    upscaler.add(weights_file(tmp_path, scale), bundle)
    session = onnxruntime.InferenceSession(str(bundle / f"upscaler_x{scale}.onnx"))
    assert [i.name for i in session.get_inputs()] == ["image"] and [o.name for o in session.get_outputs()] == ["upscaled"]
    image = np.random.default_rng(0).random((batch, 3, height, width), np.float32)
    upscaled = session.run(["upscaled"], {"image": image})[0]
    assert upscaled.shape == (batch, 3, height * scale, width * scale)
    with torch.no_grad():
        expected = load(tmp_path / "w.pth")(torch.from_numpy(image)).numpy()
    assert np.abs(upscaled - expected).max() < 1e-5 * np.abs(expected).max()


def test_manifest(bundle, tmp_path):
    before = manifest_of(bundle)
    upscaler.add(weights_file(tmp_path, 4), bundle, overlap=19)
    upscaler.add(weights_file(tmp_path, 2), bundle, overlap=40)
    manifest = manifest_of(bundle)
    assert manifest["upscalers"] == [
        {"file": "upscaler_x2.onnx", "scale": 2, "overlap": 40, "tile_error": 0.0, "width": 8},
        {"file": "upscaler_x4.onnx", "scale": 4, "overlap": 19, "tile_error": 0.0, "width": 8},
    ]
    assert list(manifest["files"]) == ["denoiser.onnx", "upscaler_x2.onnx", "upscaler_x4.onnx", "z.onnx"]
    for name in ("upscaler_x2.onnx", "upscaler_x4.onnx"):
        content = (bundle / name).read_bytes()
        assert manifest["files"][name] == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert {k: v for k, v in manifest.items() if k not in ("upscalers", "files")} == {k: v for k, v in before.items() if k != "files"}
    assert {path.name for path in bundle.iterdir()} == {"manifest.json", "denoiser.onnx", "upscaler_x2.onnx", "upscaler_x4.onnx"}


def test_again_replaces_and_gives_the_same_bytes(bundle, tmp_path):
    weights = weights_file(tmp_path, 2)
    upscaler.add(weights, bundle)
    first = (bundle / "upscaler_x2.onnx").read_bytes()
    upscaler.add(weights, bundle, overlap=50)
    assert (bundle / "upscaler_x2.onnx").read_bytes() == first
    assert manifest_of(bundle)["upscalers"] == [{"file": "upscaler_x2.onnx", "scale": 2, "overlap": 50, "tile_error": 0.0, "width": 8}]


# ------------------------------------------------------------------------------------------------ tiles


def lively(shape: Shape) -> RRDBNet:
    """Random weights without a sign or a bias, so that nothing cancels far pixels; the output lies within 0..1."""
    net = RRDBNet(shape).eval().requires_grad_(False)
    weights = random_weights(shape)
    net.load_state_dict({name: value.abs() if name.endswith("weight") else 0 * value for name, value in weights.items()})
    net.conv_last.weight *= 0.9 / net(torch.ones(1, 3, 8 * shape.reach, 3 * shape.reach)).max()
    return net


@pytest.mark.parametrize("shape", [Shape(2, 4, 1, 2), Shape(4, 4, 1, 2), Shape(8, 2, 1, 2), Shape(4, 2, 2, 2)], ids=str)
def test_reach(shape):
    """What is moved by one input pixel lies within the reach, and touches it."""
    net = lively(shape).double()
    width = 2 * shape.reach + 5
    middle = width // 2
    image = torch.zeros(1, 3, 1, width, dtype=torch.float64)
    moved = image.clone()
    moved[..., middle] = 1
    assert not net(image).any()
    columns = net(moved).any(2).any(1)[0].nonzero()[:, 0]
    assert middle - int(columns.min()) // shape.scale == shape.reach
    assert int(columns.max()) // shape.scale - middle == shape.reach


def test_reach_of_the_published_files():
    assert (Shape(4, 64, 23, 32).reach, Shape(2, 64, 23, 32).reach, Shape(4, 64, 6, 32).reach) == (349, 349, 94)


def test_tile_errors_are_those_of_tiles():
    net = lively(SMALL[4])
    errors = upscaler.tile_errors(net)
    assert len(errors) == net.shape.reach + 1 and errors[-1] == 0
    assert all(a >= b for a, b in zip(errors, errors[1:])) and errors[0] > 1
    picture = torch.from_numpy(upscaler._noise(64, 2 * net.shape.reach))
    middle = net.shape.reach
    whole = net(picture).clamp(0, 1)
    for overlap in (0, 3, 8):
        left = net(picture[..., : middle + overlap]).clamp(0, 1)[..., : 4 * middle]
        assert 255 * float((left - whole[..., : 4 * middle]).abs().max()) <= 1.5 * errors[overlap] + 1e-4


def test_the_least_overlap():
    assert upscaler.least_overlap([9.0] * 16 + [0.1] * 14, 29) == 16
    assert upscaler.least_overlap([9.0] * 17 + [0.1] * 13, 29) == 24
    assert upscaler.least_overlap([0.0] * 30, 29) == 0
    assert upscaler.least_overlap([9.0] * 193, 349) == 349


def test_the_overlap_is_measured(bundle, tmp_path):
    shape = SMALL[4]
    torch.save(lively(shape).state_dict(), tmp_path / "w.pth")
    entry = upscaler.add(tmp_path / "w.pth", bundle)
    errors = upscaler.tile_errors(lively(shape))
    assert entry["overlap"] == upscaler.least_overlap(errors, shape.reach) > 0
    assert entry["tile_error"] <= upscaler.TILE_ERROR
    blind = upscaler.add(tmp_path / "w.pth", bundle, overlap=0)
    assert blind["overlap"] == 0 and errors[0] <= blind["tile_error"] <= 1.1 * errors[0]


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_a_crash_leaves_a_valid_bundle(bundle, tmp_path, monkeypatch, fail_at):
    """Replacing takes three moves; before each of them the manifest and the files agree."""
    upscaler.add(weights_file(tmp_path, 2), bundle)
    changed = {name: value * 2 for name, value in random_weights(SMALL[2]).items()}
    torch.save(changed, tmp_path / "changed.pth")
    moves = 0
    replace = upscaler.Path.replace

    def failing(path, target):
        nonlocal moves
        moves += 1
        if moves == fail_at:
            raise OSError("the disk is full")
        return replace(path, target)

    monkeypatch.setattr(upscaler.Path, "replace", failing)
    with pytest.raises(OSError, match="disk is full"):
        upscaler.add(tmp_path / "changed.pth", bundle)
    manifest = manifest_of(bundle)
    for entry in manifest.get("upscalers", []):
        content = (bundle / entry["file"]).read_bytes()
        assert manifest["files"][entry["file"]]["sha256"] == hashlib.sha256(content).hexdigest()
    assert ("upscalers" in manifest) == (fail_at == 1)


def test_halves_are_stored_as_halves(bundle, tmp_path):
    weights = {name: value.half() for name, value in random_weights(SMALL[2]).items()}
    save_file(weights, tmp_path / "half.safetensors")
    upscaler.add(tmp_path / "half.safetensors", bundle)
    numbers = sum(value.numel() for value in weights.values())
    assert (bundle / "upscaler_x2.onnx").stat().st_size < 2.5 * numbers + 40_000


# ------------------------------------------------------------------------------------------------ refusals


def without(weights, name):
    return {k: v for k, v in weights.items() if k != name}


@pytest.mark.parametrize("change,message", [
    (lambda w: without(w, "trunk_conv.weight"), "trunk_conv.weight is missing"),
    (lambda w: without(w, "RRDB_trunk.1.RDB2.conv3.bias"), "RRDB_trunk.1.RDB2.conv3.bias is missing"),
    (lambda w: w | {"HRconv.weight": torch.zeros(8, 9, 3, 3)}, r"HRconv.weight has shape \(8, 9, 3, 3\), expected \(8, 8, 3, 3\)"),
    (lambda w: w | {"extra.weight": torch.zeros(1)}, "extra.weight do not belong"),
    (lambda w: w | {"conv_first.weight": torch.zeros(8, 12, 3, 3)}, "takes 12 channels, expected 3 .* folds"),
    (lambda w: w | {"conv_first.bias": torch.full((8,), float("nan"))}, "conv_first.bias holds values that are not finite"),
    (lambda w: without(without(w, "upconv1.weight"), "upconv1.bias"), "upconv1 is missing: the network does not enlarge"),
    (lambda w: {"layer.weight": torch.zeros(3)}, "no RRDBNet; found layer.weight"),
    (lambda w: {}, "no table of tensors"),
    (lambda w: [1, 2], "no table of tensors"),
])
def test_other_weights_are_refused(bundle, tmp_path, change, message):
    torch.save(change(dict(random_weights(SMALL[2]))), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message):
        upscaler.add(tmp_path / "w.pth", bundle)
    assert "upscalers" not in manifest_of(bundle)
    assert {path.name for path in bundle.iterdir()} == {"manifest.json", "denoiser.onnx"}


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_files_that_are_none_are_refused(bundle, tmp_path, capsys):
    with pytest.raises(WeightsError, match="is no file"):
        upscaler.add(tmp_path / "none.pth", bundle)
    for name in ("broken.pth", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"not weights")
        with pytest.raises(WeightsError, match="broken|not a file of tensors"):
            upscaler.add(tmp_path / name, bundle)
    with pytest.raises(WeightsError, match=r"ends in \.onnx, expected \.pth"):
        (tmp_path / "w.onnx").write_bytes(b"")
        upscaler.add(tmp_path / "w.onnx", bundle)
    torch.save({"conv_first.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="can run code"):
        upscaler.add(tmp_path / "evil.pth", bundle)
    assert "run" not in capsys.readouterr().out.split()


def test_folders_that_are_no_bundles_are_refused(bundle, tmp_path):
    weights = weights_file(tmp_path, 2)
    with pytest.raises(ExportError, match="manifest.json is missing: make the bundle first"):
        upscaler.add(weights, tmp_path)
    with pytest.raises(ExportError, match="overlap of -1"):
        upscaler.add(weights, bundle, overlap=-1)
    (bundle / "manifest.json").write_text('{"format_version": 2, "files": {}}')
    with pytest.raises(ExportError, match="format_version is 2, expected 1"):
        upscaler.add(weights, bundle)
    (bundle / "manifest.json").write_text("[]")
    with pytest.raises(ExportError, match="is no manifest"):
        upscaler.add(weights, bundle)
