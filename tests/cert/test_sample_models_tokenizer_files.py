"""Tokenizer files are read by transformers and encode as their definitions say."""

import json
from itertools import pairwise

import pytest

from tq_cert.sample_models.errors import UnexpectedContentError
from tq_cert.sample_models.gguf_file import GgufFile
from tq_cert.sample_models.tokenizer_files import (
    merges_from_scores,
    token_ids,
    tokenizer_config,
    tokenizer_json,
)

TEXTS = [
    "the other hand and 120 inns",
    "naïve café, 日本語 🎉",
    "  two   three    four     five ",
    "a\n\n\nb\n",
    "",
]


def load(model, tmp_path):
    from transformers import AutoTokenizer

    gguf = GgufFile(model.gguf)
    for name, content in (
        ("tokenizer.json", tokenizer_json(gguf, model.recipe)),
        ("tokenizer_config.json", tokenizer_config(gguf, model.recipe)),
    ):
        (tmp_path / name).write_text(json.dumps(content))
    return AutoTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("kind", ["llama", "gemma", "qwen"])
def test_round_trip(kind: str, tiny, tmp_path) -> None:
    tokenizer = load(tiny(kind), tmp_path)
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
        assert (ids[:1] == [2]) == (kind == "gemma")  # <bos> in front, for Gemma alone


@pytest.mark.parametrize("kind", ["llama", "qwen"])
def test_merges_and_specials_of_byte_tokenizers(kind: str, tiny, tmp_path) -> None:
    tokenizer = load(tiny(kind), tmp_path)
    assert tokenizer.tokenize("the the") == ["t", "he", "Ġt", "he"]
    assert tokenizer.encode("<|im_start|>a<|im_end|>")[::2] == [1, 2]
    assert tokenizer.eos_token_id == 2
    assert "[PAD261]" not in tokenizer.get_vocab()
    assert tokenizer.chat_template == "{{ messages[0]['content'] }}"


def greedy(text: str, scores: dict[str, float]) -> list[str]:
    """SentencePiece's own rule: merge the neighbours with the best score until none is left."""
    pieces = list(text)
    while True:
        found = [(-scores[a + b], place) for place, (a, b) in enumerate(pairwise(pieces)) if a + b in scores]
        if not found:
            return pieces
        place = min(found)[1]
        pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]


def test_gemma_encodes_as_sentencepiece_would(tiny, tmp_path) -> None:
    model = tiny("gemma")
    tokenizer = load(model, tmp_path)
    gguf = GgufFile(model.gguf)
    kinds = gguf.get("tokenizer.ggml.token_type", list[int])
    scores = {
        token: score
        for token, score, kind in zip(
            gguf.get("tokenizer.ggml.tokens", list[str]),
            gguf.get("tokenizer.ggml.scores", list[float]),
            kinds,
            strict=True,
        )
        if kind == 1
    }
    for text in ("the other hand", "and then in the inner thing", "bathing there, thither", "ththe"):
        expected = greedy(text.replace(" ", "▁"), scores)
        assert tokenizer.tokenize(text) == expected


def test_gemma_falls_back_to_bytes_and_matches_long_runs_first(tiny, tmp_path) -> None:
    tokenizer = load(tiny("gemma"), tmp_path)
    assert tokenizer.tokenize("é") == ["<0xC3>", "<0xA9>"]
    assert tokenizer.tokenize("\n\n\n") == ["\n\n", "\n"]
    assert tokenizer.tokenize("a   b") == ["a", "   ", "b"]


def test_merges_from_scores_orders_by_what_they_make() -> None:
    scores = {"ab": -0.0, "abc": -1.0, "bc": -2.0, "a": -3.0, "b": -4.0, "c": -5.0}
    assert merges_from_scores(scores) == [("a", "b"), ("ab", "c"), ("a", "bc"), ("b", "c")]


def test_another_tokenizer_is_refused(tiny) -> None:
    model, other = tiny("llama"), tiny("qwen")
    with pytest.raises(UnexpectedContentError, match="'smollm', not as 'qwen2'"):
        tokenizer_json(GgufFile(model.gguf), other.recipe)


def test_missing_stop_token(tiny) -> None:
    with pytest.raises(UnexpectedContentError, match="<nope>"):
        token_ids(GgufFile(tiny("llama").gguf), ["<nope>"])
