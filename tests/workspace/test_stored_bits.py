"""The contract's price of a codec is the codec's own: no preset, head dimension or parameter drifts."""

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
