"""States that do not hold together are refused by name, before a cache is made of them.

The way of from_state is also that of mlx-lm's load_prompt_cache, which checks nothing itself.
"""

import re
from dataclasses import replace

import mlx.core as mx
import pytest

from small_caches import SMALL, filled, small_batch, small_cache, small_window
from tq_core import NonFiniteError, ProdCodec
from tq_mlx import (
    BatchTurboQuantKVCache,
    CacheStateError,
    ConfigError,
    TurboQuantKVCache,
    TurboQuantRotatingKVCache,
    UnsupportedCacheError,
    UnsupportedHeadDimError,
)

STATE = small_cache().state
WINDOW = small_window().state
BATCH = small_batch().state
ONES = mx.ones((1, 2, 1, 64))


def without(name):
    return {key: part for key, part in STATE.items() if key != name}


def changed(**changes):
    return STATE | changes


def of_config(**changes):
    return STATE | {"config": replace(SMALL, **changes).to_json()}


def held(**changes):
    return WINDOW | {"held": WINDOW["held"] | changes}


def cut(code, room):
    return {name: array[..., :room, :] for name, array in code.items()}


def poisoned(code):
    return code | {"gain": code["gain"] * float("inf")}


KEYS, VALUES = STATE["packed"]
TAIL = STATE["tail"]
DEVIATIONS = STATE["deviations"]

FAULTY = {
    "no mapping": ([STATE], "is a mapping, and not a list"),
    "a field too few": (without("gone"), "exactly the fields"),
    "a field too many": (changed(colour=1), "exactly the fields"),
    "configuration that is no text": (changed(config=SMALL), "must be a JSON text"),
    "admission that is a text": (changed(admission="llama"), "an admission is a mapping"),
    "admission without its kind": (changed(admission={"family": "llama"}), "an admission has exactly"),
    "admission of a number": (changed(admission={"family": "llama", "research": 1}), "opted in, and not"),
    "admission of no family": (changed(admission={"family": None, "research": True}), "opted in, and not"),
    "lengths of two": (changed(lengths=[3, 28]), "lengths is no list of 3"),
    "half a token": (changed(lengths=[3, 28.0, 9]), "natural numbers"),
    "more sink than room": (changed(lengths=[4, 28, 9]), "sink holds 4 tokens.*room for 3"),
    "a sink with a hole": (changed(lengths=[2, 28, 9]), "sink holds 2 tokens.*before any other"),
    "tokens without layout": (changed(layout=None), "without layout holds neither"),
    "mean without layout": (
        TurboQuantKVCache(SMALL).state | {"mean": ONES},
        "without layout holds neither",
    ),
    "blocks without layout": (TurboQuantKVCache(SMALL).state | {"gone": 1}, "without layout holds neither"),
    "no heads": (changed(layout=[1, 0, 64, 64, "float32"]), "four positive numbers"),
    "other heads": (changed(layout=[1, 1, 64, 64, "float32"]), "sink keys is"),
    "other rows": (changed(layout=[2, 2, 64, 64, "float32"]), "sink keys is"),
    "a dimension of no model": (changed(layout=[1, 2, 2048, 64, "float32"]), "larger than 1024"),
    "a sketch of any size": (of_config(keys=ProdCodec(bits=3, sketch_rows=1 << 40)), "bits per value: 32 is all"),
    "another dtype": (changed(layout=[1, 2, 64, 64, "bfloat16"]), "sink keys is"),
    "no values in the tail": (changed(tail=[TAIL[0], None]), "tail lacks arrays"),
    "a tail too short": (changed(tail=[part[..., :8, :] for part in TAIL]), "with room for 9 tokens"),
    "more codes than room": (changed(lengths=[3, 257, 9]), r"room for \[256, 256\] tokens, and 257"),
    "values of other room": (changed(packed=[KEYS, cut(VALUES, 255)]), r"room for \[256, 255\]"),
    "codes without gains": (changed(packed=[KEYS, {"words": VALUES["words"]}]), "packed values has exactly"),
    "codes that are no mapping": (changed(packed=[KEYS, TAIL[0]]), "packed values is a mapping"),
    "codes of other bits": (of_config(values=replace(SMALL.values, bits=3)), "packed values words is"),
    "codes without centring": (of_config(center_keys=False), "does not centre keys"),
    "no mean": (changed(mean=None, deviations=None), "their mean is missing"),
    "mean of another dtype": (changed(mean=STATE["mean"].astype(mx.float16)), "mean is"),
    "no deviations": (changed(deviations=None), "there are 0 deviations.*need 4"),
    "too few deviations": (changed(deviations=cut(DEVIATIONS, 3)), "there are 3 deviations.*need 4"),
    "deviations of nothing": (changed(deviations=cut(DEVIATIONS, 0)), "deviations"),
    "deviations of blocks of another size": (of_config(center_block=16), "there are 4 deviations.*need 2"),
    "deviations of no block": (of_config(center_block=None), "there are 4 deviations.*need 0"),
    "deviations of other words": (
        changed(deviations=DEVIATIONS | {"words": DEVIATIONS["words"][..., :1]}),
        "deviations words is",
    ),
    "a whole block gone": (changed(gone=8), "gone is 8"),
    "less than nothing gone": (changed(gone=-1), "gone is -1"),
    "a truth gone": (changed(gone=True), "gone is True"),
    "blocks gone where there are none": (of_config(center_block=None) | {"deviations": None, "gone": 1}, "gone is 1"),
    "more gone than there were blocks for": (changed(gone=5), "there are 4 deviations.*need 5"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_state_that_does_not_hold_together_is_refused(name):
    state, fault = FAULTY[name]
    with pytest.raises(CacheStateError, match=fault):
        TurboQuantKVCache.from_state(state)


FAULTY_WINDOWS = {
    "a field too few": ({key: part for key, part in WINDOW.items() if key != "held"}, "exactly the fields"),
    "no tokens at all": (WINDOW | {"window": 0}, "a window of 0"),
    "a number that is none": (WINDOW | {"window": 20.0}, r"a window of 20\.0"),
    "fewer than none dropped": (WINDOW | {"dropped": -1}, "after -1"),
    "more dropped than a text can have": (WINDOW | {"dropped": 1 << 41}, "no numbers of tokens"),
    "less handed out than the window": (WINDOW | {"attended": 19}, "cannot have handed out 19"),
    "more handed out than held": (WINDOW | {"attended": 30}, "cannot have handed out 30"),
    "nothing held": (WINDOW | {"held": None}, "is a mapping, and not a NoneType"),
    "a sink that was dropped": (held(lengths=[1, *WINDOW["held"]["lengths"][1:]]), "sink holds 1 tokens.*room for 0"),
    "a sink that was not dropped yet": (WINDOW | {"dropped": 0}, "sink holds 0 tokens.*before any other"),
    "more of a block gone than its codes leave": (held(gone=6), "there are 2 deviations.*need 3"),
}


@pytest.mark.parametrize("name", FAULTY_WINDOWS)
def test_a_windows_state_that_does_not_hold_together_is_refused(name):
    state, fault = FAULTY_WINDOWS[name]
    with pytest.raises(CacheStateError, match=fault):
        TurboQuantRotatingKVCache.from_state(state)


FAULTY_BATCHES = {
    "a field too many": (BATCH | {"colour": 1}, "exactly the fields"),
    "no rows": (BATCH | {"rows": []}, "one row or more"),
    "one state for all rows": (BATCH | {"rows": STATE}, "one row or more"),
    "a row that is none": (BATCH | {"rows": [STATE, None]}, "is a mapping, and not a NoneType"),
    "a row that does not hold together": (BATCH | {"rows": [STATE, changed(gone=5)]}, "the codes need 5"),
    "a row of two sequences": (BATCH | {"rows": [STATE, filled(TurboQuantKVCache(SMALL), 9, batch=2).state]}, "side"),
    "rows of other heads": (BATCH | {"rows": [STATE, filled(TurboQuantKVCache(SMALL), 9, heads=1).state]}, "side"),
    "padding of one row": (BATCH | {"skip": [0]}, "skip is no list of 2"),
    "padding to the other side": (BATCH | {"skip": [0, -2]}, r"skip is \[0, -2\]"),
    "padding that is no number": (BATCH | {"left": [1, True]}, r"left is \[1, True\]"),
    "padding that is no list": (BATCH | {"left": 3}, "left is no list of 2"),
}


@pytest.mark.parametrize("name", FAULTY_BATCHES)
def test_a_batchs_state_that_does_not_hold_together_is_refused(name):
    state, fault = FAULTY_BATCHES[name]
    with pytest.raises(CacheStateError, match=fault):
        BatchTurboQuantKVCache.from_state(state)


@pytest.mark.parametrize(
    ("where", "state"),
    [
        ("sink keys", changed(sink=[STATE["sink"][0] * float("nan"), STATE["sink"][1]])),
        ("tail values", changed(tail=[TAIL[0], TAIL[1] * float("inf")])),
        ("packed keys gain", changed(packed=[poisoned(KEYS), VALUES])),
        ("packed values gain", changed(packed=[KEYS, poisoned(VALUES)])),
        ("mean", changed(mean=STATE["mean"] * float("nan"))),
        ("deviations gain", changed(deviations=poisoned(DEVIATIONS))),
    ],
)
def test_numbers_that_are_not_finite_are_refused_wherever_attention_reads(where, state):
    with pytest.raises(NonFiniteError, match=f"^{re.escape(where)} holds NaN or Inf"):
        TurboQuantKVCache.from_state(state)


def test_what_lies_behind_the_live_tokens_of_a_dense_segment_is_nobodys_concern():
    spare = TAIL[0].shape[2] - STATE["lengths"][2]
    assert spare
    keys = mx.concatenate([TAIL[0][..., :-spare, :], mx.full((1, 2, spare, 64), float("nan"))], axis=-2)
    again = TurboQuantKVCache.from_state(changed(tail=[keys, TAIL[1]]))
    assert mx.isfinite(again.keys_and_values()[0].decode()).all().item()


def test_a_codec_that_does_not_serve_the_dimension_is_refused():
    with pytest.raises((UnsupportedHeadDimError, CacheStateError)):
        TurboQuantKVCache.from_state(changed(layout=[1, 2, 1, 64, "float32"]))


@pytest.mark.parametrize("version", [3, 5, "4", 4.0, None])
def test_another_schema_version_is_refused(version):
    with pytest.raises(UnsupportedCacheError, match=f"schema version {version}: this release reads 4; prefill"):
        TurboQuantKVCache.from_state(changed(schema_version=version))


def test_a_configuration_of_no_release_is_refused():
    with pytest.raises(ConfigError):
        TurboQuantKVCache.from_state(changed(config="{}"))


def test_a_family_of_another_release_is_accepted():
    state = changed(admission={"family": "llama9", "research": False})
    assert TurboQuantKVCache.from_state(state).admission.family == "llama9"


def test_a_refused_state_is_left_as_it_was():
    state = changed(gone=5)
    before = dict(state)
    with pytest.raises(CacheStateError):
        TurboQuantKVCache.from_state(state)
    assert state == before
