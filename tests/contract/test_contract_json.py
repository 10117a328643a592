"""The packaged contract's facts, held against the package and the upstream code they speak of."""

import ast
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from tq_contract import (
    MeanBitsSpec,
    MseSpec,
    Parameters,
    PolarSpec,
    ProdSpec,
    RotationSpec,
    TopkSpec,
    UniformSpec,
    load,
)

HADAMARD = RotationSpec(kind="hadamard", seed=0)
RANDOM = RotationSpec(kind="random_orthogonal", seed=0)
REST = {"tail_tokens": 128, "block_tokens": 64, "sliding_layers": "dense"}


def test_release_and_python_are_those_of_the_package():
    assert load().release == metadata("tq-contract")["Version"]
    assert load().windows.python == metadata("tq-contract")["Requires-Python"]


def scalar(codec, bits, *, ours):
    gain = "norm_preserving" if ours else "norm"
    return codec(bits=bits, gain=gain, scale_search=ours, gain_group=None, rotation=HADAMARD)


def published(keys, values):
    return Parameters(keys, values, center_keys=False, center_block=None, sink_tokens=0, key_bits=None, **REST)


def ours(keys, values, key_bits=None):
    return Parameters(keys, values, center_keys=True, center_block=64, sink_tokens=4, key_bits=key_bits, **REST)


def lloyd(bits):
    return scalar(MseSpec, bits, ours=True)


def even(bits):
    return scalar(UniformSpec, bits, ours=True)


def paper(bits):
    return scalar(MseSpec, bits, ours=False)


def polar(*level_bits):
    return PolarSpec(level_bits=level_bits, gain="norm", rotation=RANDOM)


def topk(bits, group_size, k):
    return TopkSpec(bits=bits, group_size=group_size, k=k, rotation=HADAMARD)


PROD = ProdSpec(bits=3, sketch_rows=None, sketch_seed=0, rotation=RANDOM)
PRESETS = {
    "paper_mse": ("paper-facing", published(paper(3), paper(4))),
    "paper_prod_qjl": ("paper-facing", published(PROD, paper(4))),
    "polarquant_exp": (
        "paper-facing",
        published(polar(4, 2, 2, 2, 2, 2, 2, 2, 2, 2), polar(5, 4, 3, 3, 2, 2, 2, 2, 2, 2)),
    ),
    "uniform_k4v4": ("supported", ours(even(4), even(4))),
    "lloyd_k4v4": ("supported", ours(lloyd(4), lloyd(4))),
    "equal_noise_k45v4": ("supported", ours(lloyd(4), lloyd(4), MeanBitsSpec(mean=4.4))),
    "equal_noise_k4v4": ("supported", ours(lloyd(4), lloyd(4), MeanBitsSpec(mean=4.0))),
    "equal_noise_k35v3": ("supported", ours(lloyd(4), lloyd(3), MeanBitsSpec(mean=3.5))),
    "equal_noise_k3v3": ("supported", ours(lloyd(3), lloyd(3), MeanBitsSpec(mean=2.9))),
    "legacy_topk": ("compatibility-only", published(topk(4, 32, 2), topk(4, 32, 2))),
    "balanced": ("compatibility-only", published(topk(4, 32, 2), topk(4, 32, 2))),
    "max_quality": ("compatibility-only", published(topk(4, 16, 4), topk(8, 16, 4))),
}


def test_presets():
    assert {preset.name: (preset.classification, preset.parameters) for preset in load().presets} == PRESETS
    assert [preset.name for preset in load().presets] == list(PRESETS)


def test_aliases():
    aliases = {preset.name: preset.aliases for preset in load().presets if preset.aliases}
    assert aliases == {"paper_prod_qjl": ("paper_prod", "high_compression")}


def test_gemma_is_covered_more_narrowly_than_llama():
    llama, gemma = (set(load().family(name).coverage) for name in ("llama", "gemma"))
    assert gemma < llama
    assert "paper_mse batch guardrail" in llama - gemma


@pytest.fixture(scope="module")
def upstream() -> Path:
    """The folder of the installed mlx-lm, which is read and not imported."""
    spec = find_spec("mlx_lm")
    if spec is None or spec.origin is None:
        pytest.skip("mlx-lm is not installed")
    return Path(spec.origin).parent


@pytest.mark.parametrize("hook", load().hooks, ids=lambda hook: hook.name)
def test_hooks_exist_upstream_with_their_parameters(hook, upstream):
    file = upstream.joinpath(*hook.module.split(".")[1:]).with_suffix(".py")
    function = ast.parse(file.read_text(encoding="utf-8"))
    for name in hook.name.split("."):
        (function,) = (
            node for node in function.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
        )
    arguments = [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]
    assert list(hook.parameters) == [name for name in arguments if name in hook.parameters]  # in upstream's order


def test_model_types_exist_upstream(upstream):
    for family in load().families:
        for model_type in family.model_types:
            assert (upstream / "models" / f"{model_type}.py").is_file()
