"""Which path attention takes, that it can be asked, and that a failing kernel is replaced by the reference."""

import mlx.core as mx
import pytest

from kernel_executor.executor import run_by_executor
from tq_core import Codec, MseCodec, PolarCodec, RandomOrthogonal, UniformCodec
from tq_mlx import TurboQuantConfig, TurboQuantKVCache, status, streaming_attention
from tq_mlx.errors import ConfigError
from tq_mlx.kernels import choose, trial, verdicts
from tq_mlx.kernels.asked import VARIABLE, attention_path, wanted_by_environment
from tq_mlx.kernels.choose import path_for
from tq_mlx.kernels.variant import Variant

CONFIG = TurboQuantConfig(UniformCodec(bits=4), UniformCodec(bits=4), center_block=64, tail_tokens=16, block_tokens=16)


class Derived(MseCodec):
    """Somebody's own codec: its centroids may be others."""

    name = "derived"


@pytest.fixture
def gpu(monkeypatch):
    """Pretend that there is a Mac, whose kernels the executor runs; return what was asked of it."""
    calls = []

    def run(call, inputs):
        calls.append(call.entry)
        return run_by_executor("metal")(call, inputs)

    monkeypatch.setattr(choose, "dialect", lambda: "metal")
    monkeypatch.setattr(choose, "run_on", lambda language: run)
    monkeypatch.setattr(verdicts, "verdicts", {})
    return calls


def filled(config=CONFIG, tokens=200, head_dim=128, dtype=mx.bfloat16):
    cache = TurboQuantKVCache(config)
    keys, values = (mx.random.normal((1, 2, tokens, head_dim), key=mx.random.key(i)).astype(dtype) for i in (1, 2))
    cache.update_and_fetch(keys[..., :-1, :], values[..., :-1, :])
    return cache, cache.update_and_fetch(keys[..., -1:, :], values[..., -1:, :])


def decode_step(views, **rest):
    queries = mx.random.normal((1, 8, 1, 128), key=mx.random.key(3)).astype(mx.bfloat16)
    return streaming_attention(queries, *views, scale=0.05, **rest)


def close(a, b):
    return mx.allclose(a.astype(mx.float32), b.astype(mx.float32), rtol=0.01, atol=0.003).item()


def test_on_a_cpu_attention_takes_the_reference_and_says_so():
    cache, views = filled()
    assert str(path_for(*views)) == "reference: MLX runs on the CPU"
    assert status([cache]).layers[0].attention == "reference: MLX runs on the CPU"


def test_on_a_gpu_decode_steps_take_the_fused_kernel(gpu):
    cache, views = filled()
    with attention_path("reference"):
        wanted = decode_step(views)
    found = decode_step(views)
    assert gpu == ["attend", "reduce"] * 2  # the trial, and the step
    assert close(found, wanted)
    decode_step(views)
    assert len(gpu) == 6  # one trial is enough
    assert cache.reads.count == 3
    assert status([cache]).layers[0].attention == "fused: metal"


@pytest.mark.parametrize(
    "rest",
    [{"softcap": 5.0}, {"sinks": mx.zeros(8)}, {"mask": mx.ones((1, 1, 1, 200), dtype=mx.bool_)}],
    ids=["softcap", "sinks", "mask"],
)
def test_what_no_kernel_does_takes_the_reference(gpu, rest):
    _, views = filled()
    assert decode_step(views, **rest).shape == (1, 8, 1, 128)
    assert gpu == []


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (TurboQuantConfig(PolarCodec(), MseCodec()), "no kernel for codec polar"),
        (TurboQuantConfig(Derived(), MseCodec()), "no kernel for codec derived"),
        (TurboQuantConfig(MseCodec(bits=7), MseCodec()), "no kernel for codec mse 7, gain_group None"),
        (TurboQuantConfig(MseCodec(gain_group=32), MseCodec()), "no kernel for codec mse 4, gain_group 32"),
        (TurboQuantConfig(MseCodec(), MseCodec(), center_block=24), "no kernel for means of blocks of 24 tokens"),
        (
            TurboQuantConfig(MseCodec(rotation=RandomOrthogonal()), MseCodec(rotation=RandomOrthogonal())),
            "no kernel for rotation random_orthogonal",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_reason_names_what_has_no_kernel(gpu, config, reason):
    _, views = filled(config)
    assert str(path_for(*views)) == f"reference: {reason}"


def test_a_head_dimension_without_a_kernel_is_named(gpu):
    _, views = filled(head_dim=96)
    assert str(path_for(*views)) == "reference: no kernel for head dimensions 96 and 96"


def test_a_kernel_that_does_not_compile_is_replaced_by_the_reference(gpu, monkeypatch, caplog):
    def fails(call, inputs):
        raise RuntimeError("Failed to compile kernel: no such intrinsic")

    monkeypatch.setattr(choose, "run_on", lambda language: fails)
    cache, views = filled()
    found = decode_step(views)
    with attention_path("reference"):
        assert close(found, decode_step(views))
    assert "no such intrinsic" in next(iter(verdicts.verdicts.values())).reason
    assert "no such intrinsic" in caplog.text
    assert status([cache]).layers[0].attention.startswith("reference: the kernel failed: RuntimeError: Failed to comp")


def test_a_kernel_that_computes_something_else_does_not_pass_its_trial(gpu, monkeypatch):
    def wrong(call, inputs):
        return [mx.zeros(shape, dtype=dtype) for shape, dtype in zip(call.shapes, call.dtypes, strict=True)]

    monkeypatch.setattr(choose, "run_on", lambda language: wrong)
    _, views = filled()
    found = decode_step(views)
    with attention_path("reference"):
        assert close(found, decode_step(views))
    assert "in its trial it was off by" in next(iter(verdicts.verdicts.values())).reason


TRIED = MseCodec(bits=4), UniformCodec(bits=3)
VARIANT = Variant.of(*TRIED, (64, 64), 64, mx.bfloat16)


def trial_error(run):
    return trial.trial_error(VARIANT, *TRIED, run, choose.TUNING["metal"])


@pytest.mark.parametrize("index", range(12))  # queries, mean, codes and gains of three kinds, sink, tail
def test_a_kernel_that_takes_one_of_its_inputs_a_token_off_does_not_pass_its_trial(index):
    kernel, rolled = run_by_executor("metal"), []

    def off_by_one(call, inputs):
        if call.entry == "attend":
            right = inputs[index]
            rolled.append(mx.roll(right, 1, axis=-2 if right.shape[-2] > 1 else -1))
            inputs = [*inputs[:index], rolled[0], *inputs[index + 1 :]]
        return kernel(call, inputs)

    assert trial_error(kernel) < trial.TOLERANCE
    assert trial_error(off_by_one) > 2 * trial.TOLERANCE
    assert rolled


def test_a_trial_codes_nothing_lest_mlx_compile_the_reference_coder(monkeypatch):
    monkeypatch.setattr(Codec, "encode", lambda *rest: pytest.fail("the trial coded vectors"))
    assert trial_error(run_by_executor("metal")) < trial.TOLERANCE


@pytest.fixture
def set_variable(monkeypatch):
    """Set the variable as if the process had just begun."""

    def set_to(value):
        monkeypatch.setenv(VARIABLE, value)
        wanted_by_environment.cache_clear()

    yield set_to
    wanted_by_environment.cache_clear()


def test_the_path_can_be_set_by_the_environment(gpu, set_variable):
    _, views = filled()
    set_variable("reference")
    assert str(path_for(*views)) == "reference: asked for"
    set_variable("dense")
    with pytest.raises(ConfigError, match="'dense' is not known: use one of auto, reference"):
        path_for(*views)
