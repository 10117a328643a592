"""tokenizer.json and tokenizer_config.json from GGUF metadata, as transformers' AutoTokenizer reads them.

All three tokenizers are byte-pair encoders. SmolLM2 and Qwen2 work on bytes written as printable characters and
differ in how text is split first; Gemma works on characters, falls back to bytes, and stores no merges: they
follow from the scores of its vocabulary.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tq_cert.sample_models.errors import UnexpectedContentError
from tq_cert.sample_models.gguf_file import GgufFile
from tq_cert.sample_models.recipes import Recipe

# What `tokenizer.ggml.token_type` says of a token.
NORMAL, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 3, 4, 5, 6

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

Json = dict[str, Any]


def tokenizer_json(gguf: GgufFile, recipe: Recipe) -> Json:
    """The content of tokenizer.json.

    Raises:
        UnexpectedContentError: the file's tokenizer is not the one that the recipe names.
    """
    expected = recipe.architecture.pretokenizer
    if (actual := gguf.get("tokenizer.ggml.pre", str)) != expected:
        raise UnexpectedContentError(gguf.path.name, f"its tokenizer splits text as {actual!r}, not as {expected!r}")
    tokens = gguf.get("tokenizer.ggml.tokens", list[str])
    kinds = gguf.get("tokenizer.ggml.token_type", list[int])
    vocabulary = {token: index for index, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind != UNUSED}
    pipeline = _PIPELINES[recipe.architecture.tokenizer]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(tokens, kinds),
        **pipeline(gguf, vocabulary, kinds),
    }


def tokenizer_config(gguf: GgufFile, recipe: Recipe) -> Json:
    """The content of tokenizer_config.json, with the chat template where the file has one."""
    tokens = gguf.get("tokenizer.ggml.tokens", list[str])
    config: Json = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": gguf.get(f"{recipe.architecture.gguf_name}.context_length", int),
        "eos_token": recipe.end_tokens[0],
    }
    for ours, theirs in (("bos", "bos"), ("unk", "unknown"), ("pad", "padding")):
        index = gguf.find(f"tokenizer.ggml.{theirs}_token_id", int)
        if index is not None:
            config[f"{ours}_token"] = tokens[index]
    if template := gguf.find("tokenizer.chat_template", str):
        config["chat_template"] = template
    return config


def token_ids(gguf: GgufFile, names: Sequence[str]) -> list[int]:
    """Ids of tokens given by name.

    Raises:
        UnexpectedContentError: the vocabulary lacks one.
    """
    tokens = gguf.get("tokenizer.ggml.tokens", list[str])
    try:
        return [tokens.index(name) for name in names]
    except ValueError as error:
        raise UnexpectedContentError(gguf.path.name, f"a stop token is missing: {error}") from error


def merges_from_scores(scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """The merges of a character-level byte-pair encoder, best first.

    A piece may arise from any two pieces that spell it; the pieces' scores fall in the order in which training
    made them, so pairs are ordered by the score of what they make.
    """
    order = {piece: rank for rank, piece in enumerate(sorted(scores, key=scores.__getitem__)[::-1])}
    merges: list[tuple[int, int, int, str, str]] = []
    for piece, rank in order.items():
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in order and right in order:
                merges.append((rank, order[left], order[right], left, right))
    merges.sort()
    return [(left, right) for *_, left, right in merges]


def _added_tokens(tokens: Sequence[str], kinds: Sequence[int]) -> list[Json]:
    """Tokens that are found in the text before anything else; control tokens are special."""
    return [
        {
            "id": index,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind == CONTROL,
        }
        for index, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (CONTROL, USER_DEFINED)
    ]


def _smollm(gguf: GgufFile, vocabulary: dict[str, int], kinds: Sequence[int]) -> Json:
    splitter = {"type": "Digits", "individual_digits": True}
    return {
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [splitter, _byte_level(regex=True)]},
        "post_processor": None,
        "decoder": _byte_level(regex=True),
        "model": _bpe(vocabulary, _stored_merges(gguf)),
    }


def _qwen2(gguf: GgufFile, vocabulary: dict[str, int], kinds: Sequence[int]) -> Json:
    splitter = {
        "type": "Split",
        "pattern": {"Regex": QWEN2_SPLIT},
        "behavior": "Isolated",
        "invert": False,
    }
    return {
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [splitter, _byte_level(regex=False)],
        },
        "post_processor": _byte_level(regex=False),
        "decoder": _byte_level(regex=False),
        "model": _bpe(vocabulary, _stored_merges(gguf)),
    }


def _gemma(gguf: GgufFile, vocabulary: dict[str, int], kinds: Sequence[int]) -> Json:
    all_scores = gguf.get("tokenizer.ggml.scores", list[float])
    scores = {token: all_scores[index] for token, index in vocabulary.items() if kinds[index] == NORMAL}
    bos = gguf.get("tokenizer.ggml.tokens", list[str])[gguf.get("tokenizer.ggml.bos_token_id", int)]
    first, text, second = (
        {"SpecialToken": {"id": bos, "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"Sequence": {"id": "B", "type_id": 1}},
    )
    between = {"SpecialToken": {"id": bos, "type_id": 1}}
    return {
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first, text],
            "pair": [first, text, between, second],
            "special_tokens": {bos: {"id": bos, "ids": [vocabulary[bos]], "tokens": [bos]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            **_bpe(vocabulary, merges_from_scores(scores)),
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
        },
    }


_PIPELINES: dict[str, Callable[[GgufFile, dict[str, int], Sequence[int]], Json]] = {
    "smollm": _smollm,
    "qwen2": _qwen2,
    "gemma": _gemma,
}


def _byte_level(*, regex: bool) -> Json:
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": regex,
    }


def _stored_merges(gguf: GgufFile) -> list[tuple[str, str]]:
    merges: list[tuple[str, str]] = []
    for merge in gguf.get("tokenizer.ggml.merges", list[str]):
        left, _, right = merge.partition(" ")
        merges.append((left, right))
    return merges


def _bpe(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Json:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": merges,
    }
