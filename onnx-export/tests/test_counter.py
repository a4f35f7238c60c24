# SPDX-License-Identifier: Apache-2.0
"""The object counter: on renders, on pictures that were labelled by looking, and what it is not to be taken in by."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from asg4j_demo import count
from asg4j_demo.captions import EMPTY_SUBJECTS, SUBJECTS, parse_caption
from asg4j_demo.render import render_size, sample_groups, sample_scenes

LABELLED = Path(__file__).parents[2] / "src/test/resources/io/github/asg4j/evaluate/labelled"
MANY = 5


def rgb8(image: torch.Tensor) -> np.ndarray:
    return (image.permute(1, 2, 0) * 255).round().byte().numpy()


@pytest.mark.parametrize("width,height", [(128, 128), (256, 128), (128, 256), (256, 256)])
@pytest.mark.parametrize("objects", [0, 1, 3])
def test_counts_renders(width, height, objects):
    rng = np.random.default_rng(objects)
    subjects = [SUBJECTS[i] for i in rng.integers(0, len(SUBJECTS), 6)]
    layers = sample_groups(torch.Generator().manual_seed(width + objects), subjects, objects, width, height)
    images, cover = render_size(layers[0], width, height, layers[1:])
    assert images.shape == (6, 3, height, width) and cover.shape == (6, height, width)
    assert [count.examine(rgb8(x), s).count for x, s in zip(images, subjects)] == [objects] * 6


def test_light_stones_are_no_white_objects():
    stone = EMPTY_SUBJECTS[[s.caption for s in EMPTY_SUBJECTS].index("stone")]
    images, _ = render_size(sample_scenes(torch.Generator().manual_seed(3), [stone] * 20), 256, 256)
    assert sum(count.examine(rgb8(x), parse_caption("a white ball on stone")).count for x in images) == 0


def test_agrees_with_people():
    labels = json.loads((LABELLED / "labels.json").read_text())["pictures"]
    different = []
    for label in labels:
        with Image.open(LABELLED / label["file"]) as image:
            found = count.examine(np.asarray(image.convert("RGB")), parse_caption(label["caption"]))
        if min(MANY, found.count) != min(MANY, label["count"]):
            different.append((label["file"], label["count"], found.count))
    assert len(labels) >= 60 and len(different) <= 0.05 * len(labels), different
