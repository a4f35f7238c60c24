# SPDX-License-Identifier: Apache-2.0
"""Writes t5.json.gz, a small unigram tokenizer as T5's is saved, with SentencePiece's rules nmt_nfkc, which are T5's too.

python make_t5.py    (sentencepiece 0.2, Apache-2.0, and protobuf; beside make_tokenizer.py, whose corpus it learns)
"""

import base64
import gzip
import io
import json
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from make_tokenizer import corpus


def main():
    learned = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=corpus(), model_writer=learned, vocab_size=420, model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        normalization_rule_name="nmt_nfkc", hard_vocab_limit=False, num_threads=1)
    model = sentencepiece_model_pb2.ModelProto.FromString(learned.getvalue())
    pieces = [[piece.piece, piece.score] for piece in model.pieces]
    marks = [("<pad>", 0), ("</s>", 1), ("<unk>", 2), ("<extra_id_1>", len(pieces)), ("<extra_id_0>", len(pieces) + 1)]
    pieces += [[name, 0.0] for name, _ in marks[3:]]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
                    "pad_token": "<pad>"},
        "added_tokens": [{"id": i, "content": name} | flags for name, i in marks],
        "normalizer": {"type": "Precompiled",
                       "precompiled_charsmap": base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": 2, "vocab": pieces, "byte_fallback": False},
    }
    text = json.dumps(tokenizer, ensure_ascii=False) + "\n"
    Path(__file__).with_name("t5.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
