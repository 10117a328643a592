"""Which cache each method gets on which layer, and what is refused before any time is spent."""

from types import SimpleNamespace

import mlx.core as mx
import pytest
from mlx_lm.models.cache import ArraysCache, KVCache, QuantizedKVCache, RotatingKVCache

from tq_cert.errors import OptionError
from tq_cert.lanes.errors import SlidingWindowError, UnservedMethodError
from tq_cert.lanes.quality.caches import build_caches, check_method, dense_caches
from tq_cert.lanes.quality.methods import MlxQuantized, TurboQuant, parse_methods
from tq_cert.lanes.quality.settings import Scope
from tq_mlx import TurboQuantKVCache, UnsupportedFamilyError, UnsupportedHeadDimError

WINDOW = 512


def model(*caches: type, model_type: str = "gemma3_text") -> SimpleNamespace:
    """What the lane needs of a model before it runs: a list of caches and a type."""
    made = {RotatingKVCache: lambda: RotatingKVCache(max_size=WINDOW), ArraysCache: lambda: ArraysCache(2)}
    return SimpleNamespace(model_type=model_type, make_cache=lambda: [made.get(cache, cache)() for cache in caches])


MIXED = model(RotatingKVCache, KVCache)


def kinds(method: str, scope: Scope, of: SimpleNamespace = MIXED) -> list[type]:
    return [type(cache) for cache in build_caches(parse_methods(method)[0], of, scope, [])]


@pytest.mark.parametrize(
    ("method", "default", "everywhere"),
    [
        ("dense", [RotatingKVCache, KVCache], [KVCache, KVCache]),
        ("mlx:kv4", [RotatingKVCache, QuantizedKVCache], [QuantizedKVCache, QuantizedKVCache]),
        ("preset:lloyd_k4v4", [RotatingKVCache, TurboQuantKVCache], [TurboQuantKVCache, TurboQuantKVCache]),
    ],
)
def test_default_layers_and_all(method: str, default: list[type], everywhere: list[type]) -> None:
    assert kinds(method, Scope(context=WINDOW)) == default
    assert kinds(method, Scope(context=WINDOW, layers="all")) == everywhere


def test_stress_codes_every_token_and_service_keeps_the_tail() -> None:
    method = parse_methods("preset:lloyd_k4v4")[0]
    (stress,) = build_caches(method, model(KVCache), Scope(mode="stress"), [])
    (service,) = build_caches(method, model(KVCache), Scope(mode="service"), [])
    assert (stress.config.tail_tokens, stress.config.block_tokens) == (0, 1)
    assert (service.config.tail_tokens, service.config.block_tokens) == (128, 64)
    assert stress.config.keys == service.config.keys


def test_mlx_bits_and_groups() -> None:
    (cache,) = build_caches(MlxQuantized("mlx:kv8g32", 8, 32), model(KVCache), Scope(), [])
    assert (cache.bits, cache.group_size) == (8, 32)


def test_all_layers_beyond_the_window_are_refused() -> None:
    with pytest.raises(SlidingWindowError, match=r"513.*only 512") as caught:
        dense_caches(MIXED, Scope(context=WINDOW + 1, layers="all"))
    assert caught.value.exit_code == 3


def test_all_layers_of_another_kind_are_refused() -> None:
    with pytest.raises(UnservedMethodError, match="ArraysCache"):
        dense_caches(model(KVCache, ArraysCache), Scope(layers="all"))


def test_default_layers_go_through_the_support_gate() -> None:
    method = parse_methods("preset:lloyd_k4v4")[0]
    unknown = model(KVCache, model_type="mamba")
    with pytest.raises(UnsupportedFamilyError):
        check_method(method, (64,), unknown, Scope())
    check_method(method, (64,), unknown, Scope(layers="all"))


@pytest.mark.parametrize(
    ("name", "head_dim", "says"),
    [("mlx:kv3", 256, "3-bit codes"), ("mlx:kv5", 128, "5-bit codes"), ("mlx:kv4", 80, "groups of 64")],
)
def test_head_dimensions_that_mlx_lm_does_not_serve(name: str, head_dim: int, says: str) -> None:
    with pytest.raises(UnservedMethodError, match=says):
        check_method(parse_methods(name)[0], (head_dim,), model(KVCache), Scope())


def test_the_refused_widths_are_those_on_which_mlx_lm_fails() -> None:
    for head_dim in (64, 128, 256):
        for bits in (2, 3, 4, 5, 6, 8):
            cache = QuantizedKVCache(group_size=64, bits=bits)
            try:
                cache.update_and_fetch(mx.zeros((1, 1, 4, head_dim)), mx.zeros((1, 1, 4, head_dim)))
                served = True
            except ValueError:
                served = False
            try:
                check_method(MlxQuantized("mlx", bits, 64), (head_dim,), model(KVCache), Scope())
                admitted = True
            except UnservedMethodError:
                admitted = False
            assert admitted == served, (head_dim, bits)


def test_head_dimensions_that_our_codecs_do_not_serve() -> None:
    with pytest.raises(UnsupportedHeadDimError):
        check_method(parse_methods("preset:lloyd_k4v4")[0], (17,), model(KVCache), Scope(layers="all"))


EQUAL_NOISE = TurboQuant(
    "equal noise",
    {
        "keys": {"codec": "mse", "bits": 4},
        "values": {"codec": "mse", "bits": 4},
        "key_bits": {"kind": "mean", "mean": 4.0},
    },
)


@pytest.mark.parametrize("layers", ["default", "all"])
def test_a_rule_for_key_bits_looks_at_the_dense_keys_of_the_first_chunk(layers: str) -> None:
    seen = []
    for scale in (1.0, 4.0):
        cache = KVCache()
        keys = scale * mx.random.normal((1, 1, 32, 64), key=mx.random.key(2))
        cache.update_and_fetch(keys, keys)
        seen.append(cache)
    scope = Scope(layers=layers)
    built = build_caches(EQUAL_NOISE, model(KVCache, KVCache), scope, seen)
    assert [cache.config.keys.bits for cache in built] == [3, 5]
    for cache in seen:
        cache.trim(30)
    with pytest.raises(OptionError, match="first chunk"):
        build_caches(EQUAL_NOISE, model(KVCache, KVCache), scope, seen)
