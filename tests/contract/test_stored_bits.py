"""Stored bits per value, against figures worked out by hand; tests/workspace holds them against the codecs."""

import pytest
from msgspec.structs import replace

from tq_contract import KeyNoiseSpec, MeanBitsSpec, MseSpec, PolarSpec, RotationSpec, codec_bits, load, preset_bits

IDENTITY = RotationSpec(kind="identity", seed=0)


def mse(bits, gain_group=None):
    return MseSpec(bits=bits, gain="norm", scale_search=False, gain_group=gain_group, rotation=IDENTITY)


@pytest.mark.parametrize(
    ("codec", "head_dim", "vector_bits"),
    [
        (mse(4), 64, 64 * 4 + 16),
        (mse(3), 80, 8 * 32 + 16),  # 240 bits of codes fill 8 words
        (mse(4, gain_group=32), 128, 128 * 4 + 4 * 16),
        (PolarSpec(level_bits=(4, 2, 2, 2), gain="norm", rotation=IDENTITY), 64, 4 * 32 + 2 * (16 + 8 + 4) + 4 * 16),
        (PolarSpec(level_bits=(4,) * 9, gain="norm", rotation=IDENTITY), 6, 4 * 3 + 4 + 3 * 16),  # 12 bits are 2 bytes
    ],
)
def test_what_a_vector_costs(codec, head_dim, vector_bits):
    assert codec_bits(codec, head_dim) == vector_bits / head_dim


def parameters(**changed):
    return replace(load().preset("lloyd_k4v4").parameters, **{"center_block": None} | changed)


def test_keys_and_values_weigh_the_same():
    assert preset_bits(parameters(keys=mse(3), values=mse(5)), 64) == (3.25 + 5.25) / 2


def test_a_mean_key_per_block_is_one_more_key():
    stored = preset_bits(parameters(keys=mse(3), values=mse(5), center_block=16), 64)
    assert stored == (3.25 * 17 / 16 + 5.25) / 2


@pytest.mark.parametrize(("mean", "keys"), [(4.0, 4.0), (4.25, 4.3), (5.0, 5.2), (8.0, 8.0)])
def test_a_mean_lies_between_its_whole_neighbours(mean, keys):
    """At D = 80, codes of 4, 5 and 8 bits take 10, 13 and 20 words: 4, 5.2 and 8 bits per value."""
    stored = preset_bits(parameters(key_bits=MeanBitsSpec(mean=mean)), 80)
    assert stored == pytest.approx((keys + 0.2 + 4.2) / 2)


def test_a_noise_target_has_no_price_of_its_own():
    assert preset_bits(parameters(key_bits=KeyNoiseSpec(error=1.0)), 64) is None


@pytest.mark.parametrize(
    ("codec", "head_dim", "named"),
    [
        (mse(4, gain_group=48), 64, "gain_group 48"),
        (PolarSpec(level_bits=(4,), gain="norm", rotation=IDENTITY), 65, "65 is odd"),
    ],
)
def test_a_head_dimension_that_a_codec_does_not_serve(codec, head_dim, named):
    with pytest.raises(ValueError, match=named):
        codec_bits(codec, head_dim)
