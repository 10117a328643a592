"""GGUF tensors arrive in mlx-lm's names, row order and norm convention."""

import numpy as np
import pytest

from tq_cert.sample_models.errors import UnexpectedContentError
from tq_cert.sample_models.gguf_file import GgufFile
from tq_cert.sample_models.gguf_weights import half_split_order, model_tensors, parameter_names
from tq_cert.sample_models.recipes import GEMMA3, LLAMA, QWEN2


def interleave(weights: np.ndarray, heads: int) -> np.ndarray:
    """What the GGUF converter does to a half-split projection: row j of a head's halves become neighbours."""
    size = len(weights) // heads
    rows = []
    for head in range(heads):
        for j in range(size // 2):
            rows += [head * size + j, head * size + size // 2 + j]
    return weights[rows]


def read_all(tiny_model) -> dict[str, np.ndarray]:
    tensors = model_tensors(GgufFile(tiny_model.gguf), tiny_model.recipe.architecture)
    return {t.name: np.concatenate(list(t.blocks())).reshape(t.shape) for t in tensors}


@pytest.mark.parametrize(("heads", "size"), [(1, 2), (9, 64), (3, 64), (2, 128)])
def test_half_split_order_undoes_the_interleaving(heads: int, size: int) -> None:
    weights = np.arange(heads * size)
    np.testing.assert_array_equal(interleave(weights, heads)[half_split_order(len(weights), heads)], weights)


def test_llama_unpermutes_queries_and_keys_alone(tiny) -> None:
    model = tiny("llama")
    ours = read_all(model)
    theirs = model.tensors
    attention = "model.layers.1.self_attn"
    np.testing.assert_array_equal(interleave(ours[f"{attention}.q_proj.weight"], 4), theirs["blk.1.attn_q.weight"])
    np.testing.assert_array_equal(interleave(ours[f"{attention}.k_proj.weight"], 2), theirs["blk.1.attn_k.weight"])
    np.testing.assert_array_equal(ours[f"{attention}.v_proj.weight"], theirs["blk.1.attn_v.weight"])
    np.testing.assert_array_equal(ours["model.layers.1.mlp.up_proj.weight"], theirs["blk.1.ffn_up.weight"])
    np.testing.assert_array_equal(ours["model.norm.weight"], theirs["output_norm.weight"])


def test_gemma_norms_lose_one_and_nothing_else_does(tiny) -> None:
    model = tiny("gemma")
    ours = read_all(model)
    for name, values in model.tensors.items():
        mapped = parameter_names(GEMMA3, model.blocks)[name]
        offset = np.float32(1.0 if "norm" in name else 0.0)
        np.testing.assert_array_equal(ours[mapped], values - offset, err_msg=name)
    assert "norm" in "".join(ours)


def test_qwen_keeps_its_rows_biases_and_head(tiny) -> None:
    model = tiny("qwen")
    ours = read_all(model)
    np.testing.assert_array_equal(ours["lm_head.weight"], model.tensors["output.weight"])
    for letter in "qkv":
        for part in ("weight", "bias"):
            np.testing.assert_array_equal(
                ours[f"model.layers.0.self_attn.{letter}_proj.{part}"],
                model.tensors[f"blk.0.attn_{letter}.{part}"],
            )


@pytest.mark.parametrize("kind", ["llama", "gemma", "qwen"])
def test_names_are_exactly_the_parameters_of_the_mlx_lm_model(kind: str, tiny) -> None:
    import importlib

    from mlx.utils import tree_flatten

    from tq_cert.sample_models.model_config import model_config

    made = tiny(kind)
    config = model_config(GgufFile(made.gguf), made.recipe, "float32")
    module = importlib.import_module(f"mlx_lm.models.{config['model_type']}")
    model = module.Model(module.ModelArgs.from_dict(config))
    ours = set(parameter_names(made.recipe.architecture, made.blocks).values())
    expected = {name for name, _ in tree_flatten(model.parameters())}
    if kind == "gemma":  # dropped by the model's sanitize where the head is tied
        expected.discard("lm_head.weight")
    assert ours == expected


@pytest.mark.parametrize("architecture", [LLAMA, GEMMA3, QWEN2], ids=lambda a: a.model_type)
def test_names_are_one_to_one(architecture) -> None:
    names = parameter_names(architecture, 3)
    assert len(set(names.values())) == len(names)


def test_unmapped_and_missing_tensors_are_named(tiny) -> None:
    model = tiny("qwen")
    with pytest.raises(UnexpectedContentError, match=r"without a mapping.*blk\.0\.attn_k\.bias"):
        model_tensors(GgufFile(model.gguf), msgspec_replace(QWEN2, blocks=LLAMA.blocks, separate_head=True))
    with pytest.raises(UnexpectedContentError, match=r"missing.*blk\.0\.extra"):
        model_tensors(
            GgufFile(model.gguf),
            msgspec_replace(QWEN2, blocks={**QWEN2.blocks, "extra": "extra"}),
        )


def msgspec_replace(record, **changes):
    import msgspec

    return msgspec.structs.replace(record, **changes)


def test_blocks_of_rows_join_to_the_whole(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama")
    whole = read_all(model)
    monkeypatch.setattr("tq_cert.sample_models.gguf_file.BLOCK_VALUES", 96)
    pieces = read_all(model)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, pieces[name], err_msg=name)


def test_missing_gguf_names_the_extra(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tq_cert.errors import MissingDependencyError

    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(MissingDependencyError, match=r"'gguf'(.|\n)*pip install 'tq-cert\[models\]'"):
        GgufFile(tmp_path / "any.gguf")


def test_metadata_problems_are_named(tiny) -> None:
    gguf = GgufFile(tiny("llama").gguf)
    with pytest.raises(UnexpectedContentError, match=r"'no\.such' is missing"):
        gguf.get("no.such", int)
    with pytest.raises(UnexpectedContentError, match=r"'llama\.block_count'.*Expected `str`"):
        gguf.get("llama.block_count", str)


def test_not_a_gguf_file(tmp_path) -> None:
    path = tmp_path / "junk.gguf"
    path.write_bytes(b"junk" * 100)
    with pytest.raises(UnexpectedContentError, match=r"junk\.gguf: not a readable GGUF"):
        GgufFile(path)
