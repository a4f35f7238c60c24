# SPDX-License-Identifier: Apache-2.0
"""Writes clip.json, a small tokenizer as CLIPTokenizerFast saves it, with a few hundred merges.

python make_tokenizer.py    (tokenizers 0.23)
"""

import itertools
import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
SPLIT = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""

COLOURS = "red orange yellow green blue purple pink white".split()
THINGS = "ball cube star cone heart ring flower castle astronaut horse mountain lighthouse".split()
PLACES = "on grass|in the snow|under water|at night|on a wooden table|in the sky|near the sea".split("|")
STYLES = "a photograph of|an oil painting of|highly detailed, 8k|don't you think it's|we're, they'll".split("|")
OTHER = ["καλημέρα κόσμε ΣΊΣΥΦΟΣ", "привет мир", "日本語の文章", "안녕하세요", "naïve café Ångström", "!!! ... ??? --- ###",
         "🎉🎉 👩‍👩‍👧 ❤️", "नमस्ते", "مرحبا", "aaaaaaaabbbbbbbb", "1234567890 2026"]


def corpus():
    for style, colour, thing, place in itertools.product(STYLES, COLOURS, THINGS, PLACES):
        yield f"{style} a {colour} {thing} {place}"
    for line in OTHER:
        for _ in range(40):
            yield line


def parts():
    normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), behavior="removed", invert=True),
         pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return normalizer, pre_tokenizer


def main():
    normalizer, pre_tokenizer = parts()
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = normalizer, pre_tokenizer
    learner.train_from_iterator(
        corpus(), trainers.BpeTrainer(vocab_size=1100, end_of_word_suffix="</w>", show_progress=False))
    learned = json.loads(learner.to_str())["model"]["merges"]

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = alphabet + [c + "</w>" for c in alphabet]
    merges = []
    for left, right in learned[:500]:
        merges.append((left, right))
        if left + right not in tokens:
            tokens.append(left + right)
    tokens += [BOS, EOS]
    vocab = {token: i for i, token in enumerate(tokens)}

    clip = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token=EOS, continuing_subword_prefix="",
                                end_of_word_suffix="</w>", fuse_unk=False))
    clip.normalizer, clip.pre_tokenizer = parts()
    clip.add_special_tokens([BOS, EOS])
    clip.post_processor = processors.RobertaProcessing(
        (EOS, vocab[EOS]), (BOS, vocab[BOS]), trim_offsets=False, add_prefix_space=False)
    Path(__file__).with_name("clip.json").write_text(
        json.dumps(json.loads(clip.to_str()), ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
