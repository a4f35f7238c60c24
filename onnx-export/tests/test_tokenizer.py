# SPDX-License-Identifier: Apache-2.0
"""The demo's tokenizer: every vocabulary word is one token, any Unicode goes through, CLIP's class reads its files."""

import pytest
from transformers import CLIPTokenizer

from asg4j_demo import tokenizer
from asg4j_demo.captions import ALL_SUBJECTS


@pytest.fixture(scope="module")
def words():
    return tokenizer.build()


def test_captions_are_one_token_a_word(words):
    for subject in ALL_SUBJECTS:
        assert words.encode(subject.caption).tokens[1:-1] == [word + "</w>" for word in subject.caption.split()]


@pytest.mark.parametrize("text", ["a red ball on grass", "Ein Würfel, 3 Bälle", "球 und 🌟", "naïve café don't"])
def test_round_trip(words, text):
    ids = words.encode(text).ids
    spoken = words.decode(ids).replace("</w>", " ").replace(" ", "")
    assert spoken == text.lower().replace(" ", "")


def test_transformers_reads_the_same(words, tmp_path):
    tokenizer.save(words, tmp_path)
    theirs = CLIPTokenizer.from_pretrained(tmp_path)
    for text in ("a red ball on grass", "It's  42 Würfel!", "球🌟", ""):
        assert theirs(text).input_ids == words.encode(text).ids


def test_padding_and_truncation(words):
    eos = words.token_to_id(tokenizer.EOS)
    short = tokenizer.encode(words, "grass")
    assert len(short) == 32 and short[2:] == [eos] * 30
    long = tokenizer.encode(words, "grass " * 50)
    assert len(long) == 32 and long[-1] == eos and long[-2] != eos
