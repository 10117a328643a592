"""Any one bit of a model's weights, and anything it was built with, changes its fingerprint."""

import copy
from dataclasses import replace

import mlx.core as mx
import mlx.nn as nn
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx.utils import tree_map
from mlx_lm.models import llama

from tq_mlx.model_fingerprint import fingerprint_of


class Small(nn.Module):
    def __init__(self, dtype=mx.float32, args=None):
        super().__init__()
        self.matrix = mx.random.normal((3, 5), key=mx.random.key(1)).astype(dtype)
        self.vector = mx.random.normal((5,), key=mx.random.key(2)).astype(dtype)
        self.args = args


class Other(Small):
    pass


def test_the_same_model_has_the_same_fingerprint(tiny_llama):
    one = fingerprint_of(tiny_llama)
    assert one == fingerprint_of(tiny_llama)
    assert one == fingerprint_of(copy.deepcopy(tiny_llama))
    assert one.model_type == "llama"
    assert len(one.sha256) == 64


def test_it_is_pinned(monkeypatch):
    """Files name it: another way to compute it would refuse every cache that was saved before."""
    monkeypatch.setattr(Small, "__module__", "fixed")
    model = Small()
    model.matrix, model.vector = mx.arange(15, dtype=mx.float32).reshape(3, 5), mx.arange(5).astype(mx.bfloat16)
    assert fingerprint_of(model).sha256[:16] == "7258821f1c576fc4"


@given(
    place=st.integers(0, 19),
    bit=st.integers(0, 31),
    dtype=st.sampled_from([mx.float32, mx.bfloat16, mx.float16, mx.uint32]),
)
def test_any_one_bit_of_the_weights_changes_it(place, bit, dtype):
    model, changed = Small(dtype), Small(dtype)
    word = mx.uint32 if dtype.size == 4 else mx.uint16
    name, place = ("matrix", place) if place < 15 else ("vector", place - 15)
    flip = (mx.arange(getattr(model, name).size) == place).astype(word) << (bit % (8 * dtype.size))
    bits = getattr(model, name).reshape(-1).view(word) ^ flip
    setattr(changed, name, bits.view(dtype).reshape(getattr(model, name).shape))
    assert fingerprint_of(changed).sha256 != fingerprint_of(model).sha256


@pytest.mark.parametrize(
    "other",
    [
        Small(mx.bfloat16),
        Other(),
        Small(args={"rope_theta": 1e4}),
        Small(args={"rope_theta": 1e6}),
        Small(args={"rope": {"factors": (1.0, 2.0)}}),
        Small(args={"rope": {"factors": (2.0, 1.0)}}),
    ],
)
def test_class_dtype_and_arguments_count(other):
    assert fingerprint_of(other).sha256 != fingerprint_of(Small()).sha256


def test_rows_in_another_order_and_other_shapes_count():
    model, swapped, reshaped, renamed = Small(), Small(), Small(), Small()
    swapped.matrix = model.matrix[::-1]
    reshaped.matrix = model.matrix.reshape(5, 3)
    renamed.other = renamed.pop("vector")
    assert len({fingerprint_of(m).sha256 for m in (model, swapped, reshaped, renamed)}) == 4


def test_arguments_without_json_form_are_named_by_type_alone():
    assert fingerprint_of(Small(args=[object()])) == fingerprint_of(Small(args=[object()]))


def test_two_models_of_one_architecture_differ(tiny_llama):
    mx.random.seed(9)
    twin = llama.Model(tiny_llama.args)
    assert fingerprint_of(twin).sha256 != fingerprint_of(tiny_llama).sha256
    twin.update(tree_map(lambda leaf: leaf, tiny_llama.parameters()))
    assert fingerprint_of(twin) == fingerprint_of(tiny_llama)
    stretched = llama.Model(replace(tiny_llama.args, rope_theta=5e5))
    stretched.update(tiny_llama.parameters())
    assert fingerprint_of(stretched).sha256 != fingerprint_of(tiny_llama).sha256


def test_it_is_the_same_for_parameters_that_are_views(tiny_llama):
    model = Small()
    wide = mx.concatenate([model.matrix, model.matrix], axis=1)
    viewed = Small()
    viewed.matrix = wide[:, :5]
    assert fingerprint_of(viewed) == fingerprint_of(model)
