"""The fused encode kernel's text codes as the reference does, and as its definition in float64: by the executor."""

from dataclasses import dataclass

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_executor.executor import run_by_executor
from tq_core import MseCodec, NonFiniteError, PolarCodec, RandomOrthogonal, ScalarCode, UniformCodec
from tq_core.packing import unpack
from tq_core.rotation import signs
from tq_core.scalar import ScalarCodec
from tq_mlx import TurboQuantConfig, TurboQuantKVCache
from tq_mlx.kernels import encode, verdicts
from tq_mlx.kernels.asked import attention_path
from tq_mlx.kernels.encoder import THREADGROUPS, Encoder
from tq_mlx.kernels.encoder import encode as encode_by_kernel
from tq_mlx.kernels.launch import OUTPUTS
from tq_mlx.means import Means


@dataclass(frozen=True)
class Case:
    codec: ScalarCodec
    head_dim: int
    dtype: mx.Dtype
    block: int | None = None
    centred: bool = True

    def __str__(self) -> str:
        search = "search" if self.codec.scale_search else "plain"
        dtype = str(self.dtype).removeprefix("mlx.core.")
        return f"{self.codec.label}, {self.codec.gain}, {search}, {self.head_dim}, {dtype}".replace(" ", "")


CASES = [
    Case(UniformCodec(bits=4), 128, mx.bfloat16, 64),
    Case(MseCodec(bits=4, gain="norm_preserving"), 128, mx.bfloat16, 16),
    Case(MseCodec(bits=3), 64, mx.float32, centred=False),
    Case(UniformCodec(bits=3, gain="norm_preserving"), 256, mx.float16, 32),
    Case(MseCodec(bits=2, gain="norm", scale_search=False), 64, mx.bfloat16, centred=False),
    Case(UniformCodec(bits=5, scale_search=False), 128, mx.float32),
    Case(MseCodec(bits=6), 256, mx.bfloat16),
    Case(MseCodec(bits=8, gain="norm_preserving", scale_search=False), 256, mx.float32, 64),
    Case(UniformCodec(bits=8), 64, mx.float16, centred=False),
]

DIALECTS = ("cuda", "metal")

SCALES = (1.0, 0.80, 0.85, 0.90, 0.95, 1.06, 1.12, 1.18, 1.25)


def laid_out(x: mx.array, layout: str) -> mx.array:
    """Return x [B, H, T, D] as a view of other memory."""
    if layout == "heads side by side":
        return mx.contiguous(x.swapaxes(1, 2)).swapaxes(1, 2)
    if layout == "part of a buffer":
        return mx.pad(x, [(0, 0), (0, 1), (3, 20), (0, 0)])[:, :-1, 3:-20]
    return mx.contiguous(x.swapaxes(2, 3)).swapaxes(2, 3)


LAYOUTS = st.sampled_from(["heads side by side", "part of a buffer", "coordinates apart"])


@st.composite
def histories(draw, case: Case):
    """Vectors and the means to subtract."""
    batch, heads = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    tokens = draw(st.integers(1, 40) | st.integers(1, 600 // (batch * heads)))  # lanes as fibres are slow
    key = mx.random.split(mx.random.key(draw(st.integers(0, 999))), 3)
    sizes = mx.exp(mx.random.normal((batch, heads, tokens, 1), key=key[2]))
    x = (sizes * mx.random.normal((batch, heads, tokens, case.head_dim), key=key[0])).astype(case.dtype)
    if not case.centred:
        return laid_out(x, draw(LAYOUTS)), None
    gone = draw(st.integers(0, case.block - 1)) if case.block else 0
    blocks = -(-(gone + tokens) // case.block) if case.block else 1
    means = 2 * mx.random.normal((batch, heads, blocks, case.head_dim), key=key[1])
    return laid_out(x, draw(LAYOUTS)), Means(means, case.block, gone)


def by_kernel(dialect: str, case: Case, x: mx.array, less: Means | None, threadgroups=THREADGROUPS):
    encoder = Encoder.of(case.codec, case.head_dim, case.dtype, centred=less is not None)
    return encode_by_kernel(encoder, x, less, run_by_executor(dialect), threadgroups)


def centred(x: mx.array, less: Means | None) -> mx.array:
    return x.astype(mx.float32) - (0 if less is None else less.of(0, x.shape[-2]))


def rotated(case: Case, vectors: mx.array) -> np.ndarray:
    """Return Hadamard · signs · x by its definition, float64."""
    matrix = np.ones((1, 1))
    while len(matrix) < case.head_dim:
        matrix = np.kron([[1, 1], [1, -1]], matrix)
    sign = np.array(signs(case.codec.rotation.seed, 0, case.head_dim), np.float64)
    return (np.array(vectors, np.float64) * sign) @ matrix.T / np.sqrt(case.head_dim)


def assert_defined(case: Case, code: ScalarCode, vectors: mx.array) -> None:
    """The codes are the nearest at one of the best scales, but for coordinates on a threshold; the gain is theirs."""
    y, codec = rotated(case, vectors), case.codec
    length = np.sqrt((y**2).mean(axis=-1))
    u = y / length[..., None]
    every = np.array(codec.points(mx.arange(1 << codec.bits).astype(mx.uint8)), np.float64)
    thresholds = (every[1:] + every[:-1]) / 2
    codes = np.array(unpack(code.words, codec.bits, case.head_dim))

    def cosine(c: np.ndarray) -> np.ndarray:
        return (u * c).sum(axis=-1) / np.sqrt((c * c).sum(axis=-1)) / np.sqrt(case.head_dim)

    scales = SCALES if codec.scale_search else SCALES[:1]
    best = np.max([cosine(every[np.searchsorted(thresholds, scale * u)]) for scale in scales], axis=0)
    explained = np.zeros(best.shape, bool)
    for scale in scales:
        nearest = np.searchsorted(thresholds, scale * u)
        on_threshold = np.abs(scale * u[..., None] - thresholds).min(axis=-1) < 1e-4
        same = ((codes == nearest) | (on_threshold & (np.abs(codes - nearest) == 1))).all(axis=-1)
        explained |= same & (cosine(every[nearest]) ** 2 >= best**2 - 1e-5)
    assert explained.all()
    c = every[codes]
    wanted = (
        length
        * {
            "norm": np.ones(best.shape),
            "least_squares": (u * c).sum(axis=-1) / (c * c).sum(axis=-1),
            "norm_preserving": np.sqrt(case.head_dim / (c * c).sum(axis=-1)),
        }[codec.gain]
    )
    gain = np.array(code.gain.astype(mx.float32), np.float64)[..., 0]
    assert (np.abs(gain - wanted) <= wanted * (2**-8 + 1e-5)).all()  # half of what two bfloat16 differ by


def squared_errors(case: Case, code: ScalarCode, vectors: mx.array) -> np.ndarray:
    """Return the squared error of each vector under its code's best gain: a stored one may be rounded either way."""
    y, c = rotated(case, vectors), np.array(case.codec.decoded_points(code), np.float64)
    return (y * y).sum(axis=-1) - (y * c).sum(axis=-1) ** 2 / (c * c).sum(axis=-1)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("case", CASES, ids=str)
@settings(max_examples=4)
@given(data=st.data())
def test_the_kernel_codes_as_the_reference(dialect, case, data):
    x, less = data.draw(histories(case))
    found, peaks = by_kernel(dialect, case, x, less, data.draw(st.sampled_from([1, 7, THREADGROUPS])))
    vectors = centred(x, less)
    wanted = case.codec.encode(vectors)
    assert [(a.shape, a.dtype) for a in found.arrays().values()] == [
        (a.shape, a.dtype) for a in wanted.arrays().values()
    ]
    assert_defined(case, found, vectors)
    ours, best = (squared_errors(case, code, vectors) for code in (found, wanted))
    # A float32 tells two scales apart by a cosine's last bits, which at 8 bits are a share of the error.
    assert ours.sum() <= 1.0001 * best.sum() + 5e-7 * (np.array(vectors, np.float64) ** 2).sum()
    same = (np.array(found.words) == np.array(wanted.words)).all(axis=-1)
    gains = [np.array(code.gain.view(mx.uint16)).astype(int)[..., 0] for code in (found, wanted)]
    assert (np.abs(gains[0] - gains[1])[same] <= 1).all()
    largest = np.abs(np.array(case.codec.rotation.apply(vectors))).max(axis=-1, keepdims=True)
    np.testing.assert_allclose(np.array(peaks), largest, rtol=1e-5)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("case", [CASES[2], CASES[8]], ids=str)
def test_zeros_huge_and_tiny_vectors(dialect, case):
    sizes = [0.0, 1e-7, 1e3] if case.dtype == mx.float16 else [0.0, 1e-37, 1e-30, 1e30, 1e32]
    x = mx.random.normal((1, 1, len(sizes), case.head_dim), key=mx.random.key(1))
    x = (x * mx.array(sizes)[:, None]).astype(case.dtype)
    found, peaks = by_kernel(dialect, case, x, None)
    wanted = case.codec.encode(x)
    assert mx.array_equal(found.words, wanted.words)
    assert mx.array_equal(found.gain, wanted.gain)
    assert encode.codable(peaks).all()
    assert found.gain[0, 0, 0, 0] == 0


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("bad", [float("nan"), float("-nan"), float("inf"), float("-inf"), 1e37], ids=str)
def test_what_cannot_be_coded_is_marked(dialect, bad):
    x = mx.random.normal((1, 2, 9, 64), key=mx.random.key(1))
    x[0, 1, 5, 33] = bad
    _, peaks = by_kernel(dialect, CASES[2], x, None)
    good = np.ones((1, 2, 9, 1), bool)
    good[0, 1, 5] = False
    assert np.array_equal(np.array(encode.codable(peaks)), good)


# The choice between kernel and reference.

LLOYD = TurboQuantConfig(MseCodec(bits=4), MseCodec(bits=3), center_block=64, tail_tokens=16, block_tokens=16)


@pytest.fixture
def gpu(monkeypatch):
    """Pretend that there is a Mac, whose kernels the executor runs; return the tokens of each launch."""
    tokens = []

    def run(call, inputs):
        tokens.append(call.shapes[0][2])
        return run_by_executor("metal")(call, inputs)

    monkeypatch.setattr(encode, "dialect", lambda: "metal")
    monkeypatch.setattr(encode, "run_on", lambda language: run)
    monkeypatch.setattr(verdicts, "verdicts", {})
    return tokens


def filled() -> TurboQuantKVCache:
    cache = TurboQuantKVCache(LLOYD)
    keys, values = (mx.random.normal((1, 2, 200, 64), key=mx.random.key(i)).astype(mx.bfloat16) for i in (1, 2))
    cache.update_and_fetch(keys[..., :180, :], values[..., :180, :])
    cache.update_and_fetch(keys[..., 180:, :], values[..., 180:, :])
    return cache


def decoded(cache: TurboQuantKVCache) -> np.ndarray:
    return np.concatenate([np.array(view.decode().astype(mx.float32)) for view in cache.keys_and_values()])


def test_on_a_gpu_a_cache_codes_by_the_kernel(gpu):
    with attention_path("reference"):
        wanted = filled()
    assert gpu == []
    cache = filled()
    trial = encode.TOKENS + 1
    # Deviations of three blocks, keys and values, each behind its trial; then 16 tokens that begin no block.
    assert gpu == [trial, 3, trial, 160, trial, 160, 16, 16]
    np.testing.assert_allclose(decoded(cache), decoded(wanted), atol=0.02)
    assert set(verdicts.verdicts.values()) <= {None}


@pytest.mark.parametrize(
    ("codec", "head_dim"),
    [
        (MseCodec(bits=7), 64),
        (MseCodec(gain_group=32), 64),
        (MseCodec(rotation=RandomOrthogonal()), 64),
        (PolarCodec(), 64),
        (MseCodec(), 96),
    ],
    ids=str,
)
def test_what_no_kernel_codes_is_left_to_the_reference(gpu, codec, head_dim):
    assert encode.encode_fused(codec, mx.ones((1, 1, 4, head_dim))) is None
    assert encode.encode_fused(MseCodec(), mx.ones((1, 1, 0, 64))) is None
    assert gpu == []


def test_on_a_cpu_there_is_no_kernel():
    assert encode.encode_fused(MseCodec(), mx.ones((1, 1, 4, 64))) is None


@pytest.mark.parametrize("bad", [float("nan"), 1e37])
def test_nan_and_too_large_vectors_are_refused_as_by_the_reference(gpu, bad):
    x = mx.ones((1, 2, 6, 64))
    x[0, 1, 5, 3] = bad
    with pytest.raises(NonFiniteError) as wanted:
        MseCodec().encode(x)
    cache = TurboQuantKVCache(TurboQuantConfig(MseCodec(), MseCodec(), center_keys=False, sink_tokens=0))
    with pytest.raises(NonFiniteError) as found:
        cache.pack(mx.ones((1, 2, 6, 64)), x, seen=x)
    assert gpu[-1] == 6
    assert str(found.value) == str(wanted.value)
    assert cache.packed.length == 0
    assert set(verdicts.verdicts.values()) <= {None}


def test_a_kernel_that_does_not_compile_is_replaced_by_the_reference(gpu, monkeypatch, caplog):
    def fails(call, inputs):
        raise RuntimeError("no such intrinsic")

    with attention_path("reference"):
        wanted = filled()
    monkeypatch.setattr(encode, "run_on", lambda language: fails)
    assert np.array_equal(decoded(filled()), decoded(wanted))
    assert "no such intrinsic" in next(iter(verdicts.verdicts.values())).reason
    assert "no such intrinsic" in caplog.text


@pytest.mark.parametrize("fault", ["words", "gain", "peaks"])
def test_a_kernel_that_codes_something_else_does_not_pass_its_trial(gpu, monkeypatch, fault):
    def wrong(call, inputs):
        right = dict(zip(OUTPUTS["encode"], run_by_executor("metal")(call, inputs), strict=True))
        spoilt = {"words": right["words"] + 1, "gain": 1.5 * right["gain"], "peaks": mx.ones(right["peaks"].shape)}
        return list((right | {fault: spoilt[fault]}).values())

    monkeypatch.setattr(encode, "run_on", lambda language: wrong)
    assert encode.encode_fused(MseCodec(), mx.ones((1, 1, 4, 64))) is None
    assert "in its trial its error was" in next(iter(verdicts.verdicts.values())).reason
