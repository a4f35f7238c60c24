# SPDX-License-Identifier: Apache-2.0
"""The renderer draws the same bytes every time, and a crop shows what the whole picture shows."""

import torch

from asg4j_demo import captions
from asg4j_demo.render import render, sample_crops, sample_scenes, sample_subjects


def scenes(seed: int, count: int = 12):
    generator = torch.Generator().manual_seed(seed)
    return sample_scenes(generator, sample_subjects(generator, count))


def test_same_seed_gives_the_same_pictures():
    first, cover = render(scenes(5))
    second, _ = render(scenes(5))
    assert torch.equal(first, second)
    assert first.shape == (12, 3, 128, 128) and cover.shape == (12, 128, 128)
    assert 0.0 <= first.min() and first.max() <= 1.0


def test_pictures_do_not_depend_on_their_batch():
    batch = scenes(6)
    whole, _ = render(batch)
    single, _ = render(batch[torch.tensor([7])])
    assert torch.allclose(whole[7:8], single, atol=1e-6)


def test_a_crop_is_a_part_of_the_picture_drawn_larger():
    batch = scenes(7, 8)
    zoom = torch.full((8,), 2.0)
    left, top = torch.full((8,), 64.0), torch.full((8,), 96.0)
    crop, cover = render(batch, 128, zoom, left, top)
    large, large_cover = render(batch, 256)
    assert torch.allclose(cover, large_cover[:, 96:224, 64:192], atol=0.02)
    assert (crop - large[:, :, 96:224, 64:192]).abs().mean() < 0.01


def test_crops_lie_inside_the_zoomed_picture():
    zoom, left, top = sample_crops(torch.Generator().manual_seed(1), 500)
    assert (1.3 < zoom).all() and (zoom < 4.3).all()
    for corner in (left, top):
        assert (corner >= 0).all() and (corner + 128 <= 128 * zoom).all()


def test_captions():
    texts = [subject.caption for subject in captions.ALL_SUBJECTS]
    assert len(set(texts)) == len(texts) == 372
    assert "a red ball on grass" in texts and "an orange cube at night" in texts and "grass" in texts
    assert "a green ball on grass" not in texts
    assert all(captions.parse_caption(text).caption == text for text in texts)


def test_fixed_prompts_are_the_sampled_ones():
    from asg4j_demo.sample import PROMPTS

    assert PROMPTS.read_text().splitlines() == captions.sample_prompts(64)
