"""The contract's price of a codec is the codec's own: no preset, head dimension or parameter drifts."""

import tq_mlx  # first: it loads OpenBLAS before MLX

# isort: split
import mlx.core as mx
import msgspec
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

import tq_contract
from tq_core import TurboQuantError, codec_from_dict

CONTRACT = tq_contract.load()


@pytest.mark.parametrize("preset", CONTRACT.presets, ids=lambda preset: preset.name)
@pytest.mark.parametrize("head_dim", CONTRACT.head_dims)
@pytest.mark.parametrize("part", ["keys", "values"])
def test_every_preset_at_every_head_dimension(preset, head_dim, part):
    spec = getattr(preset.parameters, part)
    codec = codec_from_dict(msgspec.to_builtins(spec))
    codec.check(head_dim)
    assert tq_contract.codec_bits(spec, head_dim) == codec.bits_per_value(head_dim)


ROTATION = {"kind": "identity", "seed": 0}
BITS = st.integers(1, 8)
SCALAR = {
    "gain": st.just("norm"),
    "scale_search": st.just(False),
    "gain_group": st.none() | st.sampled_from([2, 16, 32]),
}
CODECS = st.one_of(
    st.fixed_dictionaries({"codec": st.just("mse"), "bits": BITS} | SCALAR),
    st.fixed_dictionaries({"codec": st.just("uniform"), "bits": st.sampled_from([2, 3, 4, 5, 6, 8])} | SCALAR),
    st.fixed_dictionaries(
        {
            "codec": st.just("prod"),
            "bits": BITS,
            "sketch_rows": st.none() | st.integers(1, 300),
            "sketch_seed": st.just(0),
        }
    ),
    st.fixed_dictionaries(
        {
            "codec": st.just("polar"),
            "level_bits": st.lists(st.integers(1, 4), min_size=1, max_size=10),
            "gain": st.just("norm"),
        }
    ),
    st.fixed_dictionaries(
        {"codec": st.just("topk"), "bits": BITS, "group_size": st.integers(4, 64), "k": st.integers(1, 4)}
    ),
)


@given(parameters=CODECS, head_dim=st.integers(1, 512))
def test_every_codec(parameters, head_dim):
    parameters = parameters | {"rotation": ROTATION}
    spec = msgspec.convert(parameters, tq_contract.CodecSpec)
    try:
        codec = codec_from_dict(parameters)
        codec.check(head_dim)
    except TurboQuantError:  # no codebook of that width, or no form for that head dimension
        reject()
    assert tq_contract.codec_bits(spec, head_dim) == pytest.approx(codec.bits_per_value(head_dim), rel=1e-12)


@pytest.mark.parametrize(
    "preset", [one for one in CONTRACT.presets if one.parameters.key_bits is None], ids=lambda preset: preset.name
)
def test_a_preset_s_price_is_what_a_cache_stores(preset):
    """Counted on the live arrays of whole blocks, the means of the blocks included and the one overall mean not."""
    config = tq_mlx.TurboQuantConfig.from_preset(preset.name)
    coded, head_dim = 4 * config.block_tokens, 64
    tokens = config.sink_tokens + coded + config.tail_tokens
    cache = tq_mlx.TurboQuantKVCache(config)
    cache.load_history(mx.random.normal((1, 2, tokens, head_dim)), mx.random.normal((1, 2, tokens, head_dim)))
    segments = cache.state["packed"]
    assert cache.packed.length == coded
    nbytes = sum(array[..., :coded, :].nbytes for side in segments for array in side.values())
    if cache.centre is not None and cache.centre.deviations is not None:
        nbytes += cache.centre.deviations.nbytes
    assert tq_contract.preset_bits(preset.parameters, head_dim) == 8 * nbytes / (2 * 2 * coded * head_dim)
