# SPDX-License-Identifier: Apache-2.0
"""Inception-v3 and small CLIP networks with random weights become what asg eval reads."""

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

from asg4j_demo import tokenizer
from asg4j_export import metrics
from asg4j_export.__main__ import main
from asg4j_export.inception import Inception

#: Parameters of torchvision's inception_v3 without its auxiliary classifier, and some of its shapes.
PARAMETERS = 23_834_568
SHAPES = {
    "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
    "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
    "Mixed_5d.branch_pool.conv.weight": (64, 288, 1, 1),
    "Mixed_6a.branch3x3dbl_3.bn.running_mean": (96,),
    "Mixed_6b.branch7x7dbl_2.conv.weight": (128, 128, 7, 1),
    "Mixed_6e.branch7x7_2.conv.weight": (192, 192, 1, 7),
    "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
    "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
    "Mixed_7c.branch_pool.conv.weight": (192, 2048, 1, 1),
    "fc.weight": (1000, 2048),
}


def random_inception(classes: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    network = Inception(classes)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
            module.running_mean.normal_(0, 0.1)
    return {name: value for name, value in network.state_dict().items()}


def test_inception_has_torchvisions_parameters():
    network = Inception()
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS
    state = network.state_dict()
    assert {name: tuple(state[name].shape) for name in SHAPES} == SHAPES


def test_inception_becomes_a_feature_network(tmp_path):
    weights = random_inception(1000)
    weights["AuxLogits.fc.weight"] = torch.zeros(1000, 768)
    save_file(weights, tmp_path / "w.safetensors")
    assert main(["metrics", "inception", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "i.onnx")]) == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "i.onnx"))
    assert session.get_inputs()[0].shape[1:] == [3, 299, 299]
    picture = np.random.default_rng(0).random((1, 3, 299, 299), np.float32)
    features, probabilities = session.run(["features", "probabilities"], {"image": picture})
    assert features.shape == (1, 2048) and probabilities.shape == (1, 1000)
    assert abs(probabilities.sum() - 1) < 1e-4


def test_fids_own_network_pools_otherwise():
    weights = random_inception(1008)
    fid = metrics.load_inception(weights, "w")
    assert fid.fid
    plain = Inception(1008).eval()
    plain.load_state_dict(weights)
    picture = torch.rand(1, 3, 299, 299)
    with torch.no_grad():
        assert not torch.allclose(fid(picture)[0], plain(picture)[0], atol=1e-3)


def test_other_weights_are_refused(tmp_path, capsys):
    save_file({"conv.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    (tmp_path / "x.pth").write_bytes(b"nothing")
    for file in ("w.safetensors", "x.pth", "missing.pth"):
        assert main(["metrics", "inception", str(tmp_path / file), "--out", str(tmp_path / "i.onnx")]) == 1
        assert file in capsys.readouterr().err
    assert main(["metrics", "clip", str(tmp_path), "--out", str(tmp_path / "clip")]) == 1


def test_clip_becomes_two_graphs_and_a_tokenizer(tmp_path):
    torch.manual_seed(0)
    words = tokenizer.build()
    eos = words.token_to_id(tokenizer.EOS)
    side = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=side | {"vocab_size": words.get_vocab_size(), "max_position_embeddings": 32, "eos_token_id": eos,
                            "bos_token_id": words.token_to_id(tokenizer.BOS), "pad_token_id": eos},
        vision_config=side | {"image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    model = CLIPModel(config).eval()
    model.save_pretrained(tmp_path / "clip")
    tokenizer.save(words, tmp_path / "clip")
    assert main(["metrics", "clip", str(tmp_path / "clip"), "--out", str(tmp_path / "out")]) == 0
    image = onnxruntime.InferenceSession(str(tmp_path / "out" / "clip_image.onnx"))
    text = onnxruntime.InferenceSession(str(tmp_path / "out" / "clip_text.onnx"))
    assert (tmp_path / "out" / "tokenizer.json").read_text() == (tmp_path / "clip" / "tokenizer.json").read_text()
    ids = np.full((1, 32), eos, np.int64)
    ids[0, :4] = [words.token_to_id(tokenizer.BOS), 5, 6, 7]
    ours = text.run(["features"], {"input_ids": ids})[0]
    pixels = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
    theirs = model(
        input_ids=torch.from_numpy(ids),
        pixel_values=(torch.from_numpy(pixels) - torch.tensor(metrics._CLIP_MEAN)[:, None, None])
        / torch.tensor(metrics._CLIP_DEVIATION)[:, None, None],
    )
    features = image.run(["features"], {"image": pixels})[0]
    cosine = (features / np.linalg.norm(features) * ours / np.linalg.norm(ours)).sum()
    expected = (theirs.image_embeds * theirs.text_embeds).sum().item()
    assert abs(cosine - expected) < 1e-4
