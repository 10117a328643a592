"""A cache file that somebody changed on purpose and sealed anew is refused for what it says."""

import hashlib
import json

import pytest

from tq_mlx import DamagedCacheFileError, UnsupportedCacheFileError, load_cache


def resealed(content, edit):
    """Return the file with its header changed by ``edit(entries, described)`` and sealed anew, as a forger would."""
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length])
    metadata = entries["__metadata__"]
    described = json.loads(metadata["content"])
    data = edit(entries, described) or content[8 + length :]
    metadata["content"] = json.dumps(described, sort_keys=True, separators=(",", ":"))
    del metadata["header_sha256"]
    metadata["header_sha256"] = hashlib.sha256(canonical(entries)).hexdigest()
    text = canonical(entries)
    return len(text).to_bytes(8, "little") + text + data


def canonical(entries):
    text = json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def load_bytes(tmp_path, content):
    path = tmp_path / "forged"
    path.write_bytes(content)
    return load_cache(path)


def test_a_file_sealed_anew_without_a_change_is_the_same(small_file):
    """The forger of the tests below seals as we do, so it is their forgeries that are refused."""
    assert resealed(small_file, lambda entries, described: None) == small_file


@pytest.mark.parametrize("version", ["1", "2", "3", "5", "40", "", "four", "٤"])
def test_another_schema_version_is_refused(small_file, version, tmp_path):
    forged = resealed(small_file, lambda entries, _: entries["__metadata__"].update(schema_version=version))
    remedy = "upgrade tq-mlx" if version in ("5", "40") else "prefill"
    with pytest.raises(UnsupportedCacheFileError, match=f"schema version '{version}'.*reads 4.*{remedy}"):
        load_bytes(tmp_path, forged)


def in_config(**changes):
    def edit(entries, described):
        state = described["layers"][0]["state"]
        state["config"] = json.dumps(json.loads(state["config"]) | changes)

    return edit


def in_state(**changes):
    return lambda entries, described: described["layers"][0]["state"].update(changes)


def in_window(**changes):
    return lambda entries, described: described["layers"][1]["state"].update(changes)


def in_content(**changes):
    return lambda entries, described: described.update(changes)


def in_layer(**changes):
    return lambda entries, described: described["layers"][0].update(changes)


def renamed_dtype(name, dtype, shape):
    def edit(entries, described):
        entries[name].update(dtype=dtype, shape=shape)

    return edit


def poisoned(name, values):
    """Return an edit that writes these bytes over the beginning of a tensor, and states their SHA-256."""

    def edit(entries, described):
        start, stop = entries[name]["data_offsets"]
        data = bytearray(edit.data)
        data[start : start + len(values)] = values
        described["sha256"][name] = hashlib.sha256(data[start:stop]).hexdigest()
        return bytes(data)

    return edit


MSE = {"codec": "mse", "bits": 1}
NAN = b"\xc0\x7f"  # bfloat16
WORDS = "cache.0.packed.0.words"

FORGERIES = {
    "more tokens than room": in_state(lengths=[1, 3, 1]),
    "negative length": in_state(lengths=[1, -1, 1]),
    "length that is no number": in_state(lengths=[1, True, 1]),
    "lengths missing": in_state(lengths=[1, 1]),
    "an overfull sink": in_state(lengths=[2, 1, 1]),
    "a sink that is not full": in_state(lengths=[0, 1, 1]),
    "other heads": in_state(layout=[1, 2, 16, 16, "float32"]),
    "other dimensions": in_state(layout=[1, 1, 32, 16, "float32"]),
    "huge dimensions": in_state(layout=[1, 1, 1 << 30, 16, "float32"]),
    "other dtype": in_state(layout=[1, 1, 16, 16, "float16"]),
    "dtype of no float": in_state(layout=[1, 1, 16, 16, "load"]),
    "dtype that is no text": in_state(layout=[1, 1, 16, 16, ["float32"]]),
    "no layout": in_state(layout=None),
    "state of another version": in_state(schema_version=3),
    "state with another field": in_state(colour=1),
    "admission that is a text": in_state(admission="llama"),
    "admission by a number": in_state(admission={"family": "llama", "research": 0}),
    "no mean": in_state(mean=None),
    "mean that is no array": in_state(mean=1.0),
    "tensor that is not there": in_state(mean={"tensor": "cache.0.nothing"}),
    "tensor used twice": in_state(mean={"tensor": WORDS}),
    "tensor name that is no text": in_state(mean={"tensor": ["x"]}),
    "segment missing": in_state(sink=[None, None]),
    "half a segment": in_state(tail=[{"tensor": "cache.0.tail.0"}, None]),
    "code without arrays": in_state(packed=[{}, {}]),
    "config that is no text": in_state(config={}),
    "config that is no JSON": in_state(config="{"),
    "config with NaN": in_state(config='{"keys":NaN,"values":NaN}'),
    "config without codecs": in_state(config="{}"),
    "unknown codec": in_config(keys=MSE | {"codec": "os.system"}),
    "codec that is a list": in_config(keys=["mse"]),
    "codec of another width": in_config(values=MSE | {"bits": 4}),
    "codec of another kind": in_config(keys={"codec": "polar"}),
    "codec with huge sketch": in_config(keys={"codec": "prod", "bits": 1, "sketch_rows": 1 << 40}),
    "rotation that is none": in_config(keys=MSE | {"rotation": {"kind": ["x"]}}),
    "rule that is a list": in_config(key_bits=[1]),
    "rule of no kind": in_config(key_bits={"kind": []}),
    "huge block": in_config(block_tokens=1 << 40),
    "preset that is no text": in_config(preset=5),
    "no centring": in_config(center_keys=False),
    "no means of blocks": in_config(center_block=None),
    "huge block of means": in_config(center_block=1 << 40),
    "deviations that are codes of other keys": in_state(deviations={"words": {"tensor": WORDS}}),
    "more of a block gone than it had": in_state(gone=2),
    "a window of nothing": in_window(window=0),
    "a window of a number that is none": in_window(window=4.0),
    "a window that handed out more than it holds": in_window(attended=1 << 30),
    "a window that went back": in_window(dropped=-4),
    "a window that holds another": in_window(held={"window": 4}),
    "a window that holds nothing": in_window(held=None),
    "unknown class": in_layer(**{"class": "save_prompt_cache"}),
    "class that is no text": in_layer(**{"class": ["KVCache"]}),
    "class of another cache": in_layer(**{"class": "KVCache"}),
    "class of a window": in_layer(**{"class": "TurboQuantRotatingKVCache"}),
    "list of no caches": in_layer(**{"class": "CacheList"}),
    "layer with another field": in_layer(colour=1),
    "layer that is none": in_content(layers=[None]),
    "layers missing": in_content(layers=[]),
    "model of other fields": in_content(model={"sha256": 1}),
    "model that is a text": in_content(model="llama"),
    "metadata of numbers": in_content(metadata={"a": 1}),
    "no digests": in_content(sha256={}),
    "another field": in_content(colour=1),
    "words of another dtype": renamed_dtype(WORDS, "F32", [1, 1, 2, 1]),
    "words of another shape": renamed_dtype(WORDS, "U32", [1, 1, 1, 2]),
    "words of another rank": renamed_dtype(WORDS, "U32", [2]),
    "NaN in a gain": poisoned("cache.0.packed.0.gain", NAN),
    "NaN in spare room": poisoned("cache.0.packed.1.gain", b"\0\0" + NAN),
    "NaN in the mean": poisoned("cache.0.mean", b"\0\0" + NAN),
    "NaN in the sink": poisoned("cache.0.sink.0", b"\0\0" + NAN),
    "NaN in the tail": poisoned("cache.0.tail.1", b"\0\0" + NAN),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_and_sealed_file_is_refused(small_file, name, tmp_path):
    edit = FORGERIES[name]
    edit.data = small_file[8 + int.from_bytes(small_file[:8], "little") :]
    forged = resealed(small_file, edit)
    assert forged != small_file
    with pytest.raises(DamagedCacheFileError, match="forged"):
        load_bytes(tmp_path, forged)


def test_a_header_that_says_the_same_in_other_words_is_refused(small_file, tmp_path):
    length = int.from_bytes(small_file[:8], "little")
    text = json.dumps(json.loads(small_file[8 : 8 + length])).encode()
    with pytest.raises(DamagedCacheFileError, match="canonical"):
        load_bytes(tmp_path, len(text).to_bytes(8, "little") + text + small_file[8 + length :])
