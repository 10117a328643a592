"""The packaged contract's facts, held against the package and the upstream code they speak of."""

import ast
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from tq_contract import MseSpec, Parameters, RotationSpec, UniformSpec, load

HADAMARD = RotationSpec(kind="hadamard", seed=0)


def test_release_and_python_are_those_of_the_package():
    assert load().release == metadata("tq-contract")["Version"]
    assert load().windows.python == metadata("tq-contract")["Requires-Python"]


def test_presets():
    def paper(bits):
        return MseSpec(bits=bits, gain="norm", scale_search=False, gain_group=None, rotation=HADAMARD)

    def four_bits(codec):
        best = codec(bits=4, gain="least_squares", scale_search=True, gain_group=None, rotation=HADAMARD)
        return Parameters(best, best, center_keys=True, sink_tokens=4, tail_tokens=128, block_tokens=64, key_bits=None)

    assert {preset.name: (preset.classification, preset.parameters) for preset in load().presets} == {
        "paper_mse": (
            "paper-facing",
            Parameters(
                paper(3),
                paper(4),
                center_keys=False,
                sink_tokens=0,
                tail_tokens=128,
                block_tokens=64,
                key_bits=None,
            ),
        ),
        "uniform_k4v4": ("supported", four_bits(UniformSpec)),
        "lloyd_k4v4": ("supported", four_bits(MseSpec)),
    }


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
    (function,) = (
        node
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == hook.name
    )
    arguments = [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]
    assert list(hook.parameters) == [name for name in arguments if name in hook.parameters]  # in upstream's order


def test_model_types_exist_upstream(upstream):
    for family in load().families:
        for model_type in family.model_types:
            assert (upstream / "models" / f"{model_type}.py").is_file()
