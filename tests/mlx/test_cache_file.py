"""save_cache and load_cache: nothing is lost, nothing damaged is loaded, and the old file survives whatever happens."""

import hashlib
import json
import os
from dataclasses import replace

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten
from mlx_lm.models.cache import (
    ArraysCache,
    BatchKVCache,
    BatchRotatingKVCache,
    CacheList,
    ChunkedKVCache,
    ConcatenateKVCache,
    KVCache,
    QuantizedKVCache,
    RotatingKVCache,
    load_prompt_cache,
    make_prompt_cache,
    save_prompt_cache,
)

import tq_contract
from tq_core import NonFiniteError
from tq_mlx import (
    CacheFileError,
    DamagedCacheFileError,
    TurboQuantConfig,
    TurboQuantKVCache,
    UnsupportedCacheError,
    UnsupportedCacheFileError,
    WrongModelError,
    cache_metadata,
    load_cache,
    save_cache,
    upgrade_cache_list,
)
from tq_mlx.key_bits import MeanBits
from vectors import feed, keys_and_values

SMALL = replace(TurboQuantConfig.from_preset("lloyd_k4v4"), sink_tokens=3, tail_tokens=8, block_tokens=4)
EQUAL_NOISE = TurboQuantConfig.from_preset("equal_noise_k4v4")


def snapshot(cache):
    leaves = tree_flatten([layer.state for layer in cache])
    return [(path, (leaf.dtype, leaf.tolist()) if isinstance(leaf, mx.array) else leaf) for path, leaf in leaves]


def filled(cache, *sizes, **shape):
    feed(cache, *keys_and_values(sum(sizes), **shape), sizes)
    return cache


def every_kind():
    chunked = filled(ChunkedKVCache(16), 20)
    chunked.maybe_trim_front()
    arrays = ArraysCache(3)
    arrays[0], arrays[2] = mx.ones((1, 3), mx.bfloat16), mx.arange(4)[None]
    quantized = filled(QuantizedKVCache(group_size=32, bits=4), 7, 1)
    ring = filled(RotatingKVCache(16, keep=4), 20, 1, 1)
    return [
        filled(TurboQuantKVCache(SMALL), 40),
        filled(KVCache(), 40),
        ring,
        quantized,
        chunked,
        arrays,
        CacheList(filled(KVCache(), 3, value_dim=32), filled(TurboQuantKVCache(SMALL), 30), RotatingKVCache(5)),
        *(KVCache(), RotatingKVCache(5), QuantizedKVCache(), ChunkedKVCache(4), TurboQuantKVCache(SMALL)),
    ]


def test_every_kind_of_cache_comes_back(tmp_path):
    cache = every_kind()
    save_cache(tmp_path / "cache.safetensors", cache, metadata={"prompt": "Größe\n"})
    again = load_cache(tmp_path / "cache.safetensors")
    assert [type(layer) for layer in again] == [type(layer) for layer in cache]
    assert snapshot(again) == snapshot(cache)
    assert cache_metadata(tmp_path / "cache.safetensors") == {"prompt": "Größe\n"}
    assert os.listdir(tmp_path) == ["cache.safetensors"]
    for layer, twin in zip(cache[:5], again[:5], strict=True):
        for target in (layer, twin):
            feed(target, *keys_and_values(6, seed=9), [1, 4, 1])
    assert snapshot(again) == snapshot(cache)


presets = st.sampled_from([preset.name for preset in tq_contract.load().presets])


@given(
    preset=presets,
    sink=st.integers(0, 3),
    tail=st.integers(0, 6),
    block=st.integers(1, 5),
    tokens=st.integers(0, 30),
    trimmed=st.integers(0, 12),
    batch=st.integers(1, 2),
    dtype=st.sampled_from([mx.float32, mx.float16, mx.bfloat16]),
)
@settings(max_examples=30)
def test_saved_and_appended_to_it_is_the_cache_that_was_never_saved(
    preset, sink, tail, block, tokens, trimmed, batch, dtype, tmp_path_factory
):
    config = replace(
        TurboQuantConfig.from_preset(preset), sink_tokens=sink, tail_tokens=tail, block_tokens=block, key_bits=None
    )
    path = tmp_path_factory.mktemp("round") / "cache.safetensors"
    shape = {"batch": batch, "head_dim": 32, "dtype": dtype}
    cache = [TurboQuantKVCache(config)]
    if tokens:
        filled(cache[0], tokens, **shape)
        cache[0].trim(trimmed)
    save_cache(path, cache)
    again = load_cache(path)
    assert again[0].config == config
    assert again[0].config.preset == config.preset
    assert snapshot(again) == snapshot(cache)
    for target in (cache, again):
        filled(target[0], 3, 1, 7, seed=5, **shape)
    assert snapshot(again) == snapshot(cache)


def by_ours(path, cache):
    save_cache(path, cache)
    return load_cache(path)


def by_mlx_lm(path, cache):
    save_prompt_cache(str(path), cache)
    return load_prompt_cache(str(path))


@pytest.mark.parametrize("way", [by_ours, by_mlx_lm])
@pytest.mark.parametrize("config", [SMALL, replace(SMALL, key_bits=MeanBits(4.5))], ids=["plain", "bits per layer"])
def test_next_token_logits_are_identical_bit_for_bit(tiny_llama, way, config, tmp_path):
    assert_same_logits(tiny_llama, "llama", config, mx.arange(200)[None] % 96, way, tmp_path)


def test_a_sliding_window_model_goes_on_identically(tiny_gemma, tmp_path):
    cache = assert_same_logits(tiny_gemma, "gemma", SMALL, mx.arange(100)[None] % 96, by_ours, tmp_path)
    assert {type(layer) for layer in cache} == {TurboQuantKVCache, RotatingKVCache}


@pytest.mark.model
@pytest.mark.parametrize("way", [by_ours, by_mlx_lm])
def test_a_real_model_with_bits_chosen_per_layer_goes_on_identically(real_model, way, tmp_path):
    from mlx_lm import load

    model, tokenizer = load(real_model("llama"))[:2]
    prompt = mx.array(tokenizer.encode("The keeper of the light wrote in the log every evening. " * 20))[None]
    assert_same_logits(model, "llama", EQUAL_NOISE, prompt, way, tmp_path)


def assert_same_logits(model, family, config, prompt, way, directory):
    """Prefill, upgrade, save, load; then append a block and single tokens to both caches."""
    cache = make_prompt_cache(model)
    model(prompt, cache=cache)
    upgrade_cache_list(cache, config=config, model_family=family)
    again = way(directory / "cache.safetensors", cache)
    compressed = [layer for layer in cache if isinstance(layer, TurboQuantKVCache)]
    assert compressed
    assert all(layer.packed.length for layer in compressed)
    if config.key_bits:
        assert len({layer.config.keys.bits for layer in compressed}) > 1
    for tokens in (mx.array([[5, 6, 7]]), mx.array([[8]]), mx.array([[9]])):
        assert mx.array_equal(model(tokens, cache=again), model(tokens, cache=cache))
    assert [getattr(layer, "config", None) for layer in again] == [getattr(layer, "config", None) for layer in cache]
    return again


# What is refused when saving


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (BatchKVCache([0, 2]), r"layer 1 holds a BatchKVCache.*cache\.extract"),
        (BatchRotatingKVCache(8, [0, 2]), r"layer 1 holds a BatchRotatingKVCache.*cache\.extract"),
        (CacheList(KVCache(), BatchKVCache([0])), r"layer 1, part 1 holds a BatchKVCache"),
        (ConcatenateKVCache(), "layer 1 holds a ConcatenateKVCache"),
        (None, "layer 1 holds a NoneType"),
        (type("KVCache", (KVCache,), {})(), "layer 1 holds a KVCache"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_by_layer(layer, named, tmp_path):
    with pytest.raises(UnsupportedCacheError, match=named):
        save_cache(tmp_path / "cache.safetensors", [KVCache(), layer])
    assert os.listdir(tmp_path) == []


def test_a_dtype_that_a_file_cannot_hold_is_refused(tmp_path):
    cache = ArraysCache(1)
    cache[0] = mx.zeros(3, mx.complex64)
    with pytest.raises(UnsupportedCacheError, match=r"cache\.0\.0\.0.*complex64"):
        save_cache(tmp_path / "cache.safetensors", [cache])


def test_rows_of_a_batch_are_saved_one_by_one(tmp_path):
    batch = BatchKVCache.merge([filled(KVCache(), 5), filled(KVCache(), 9, seed=1)])
    save_cache(tmp_path / "row", [batch.extract(1)])
    assert mx.array_equal(load_cache(tmp_path / "row")[0].keys, keys_and_values(9, seed=1)[0])


def test_a_cache_with_nan_is_refused(tmp_path):
    cache = filled(TurboQuantKVCache(SMALL), 40)
    cache.update_and_fetch(keys_and_values(1)[0] * float("nan"), keys_and_values(1)[1])
    with pytest.raises(NonFiniteError, match="tail keys"):
        save_cache(tmp_path / "cache.safetensors", [cache])


@pytest.mark.parametrize("metadata", [{"a": 1}, {1: "a"}, {"a": None}, {"a": "\ud800"}, {"a": "x" * 2000}])
def test_metadata_that_no_header_holds_is_refused(metadata, tmp_path, monkeypatch):
    monkeypatch.setattr("tq_mlx.cache_manifest.LONGEST_HEADER", 2000)
    with pytest.raises(CacheFileError, match="metadata"):
        save_cache(tmp_path / "cache.safetensors", [KVCache()], metadata=metadata)
    assert os.listdir(tmp_path) == []


# Models


def test_a_cache_belongs_to_its_model(tiny_llama, tiny_gemma, tmp_path):
    path = tmp_path / "cache.safetensors"
    save_cache(path, [KVCache()], model=tiny_llama)
    assert len(load_cache(path, model=tiny_llama)) == len(load_cache(path)) == 1
    with pytest.raises(WrongModelError, match=r"made by llama [0-9a-f]{12}, and not by gemma3_text"):
        load_cache(path, model=tiny_gemma)
    save_cache(path, [KVCache()])
    with pytest.raises(WrongModelError, match="does not say"):
        load_cache(path, model=tiny_llama)


# Damage


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    """Return a file of about 6 kB with all three segments in use."""
    codec = replace(SMALL.keys, bits=1)
    config = replace(SMALL, keys=codec, values=codec, sink_tokens=1, tail_tokens=1, block_tokens=1)
    path = tmp_path_factory.mktemp("small") / "cache.safetensors"
    cache = filled(TurboQuantKVCache(config), 3, heads=1, head_dim=16)
    assert all(segment.tokens == 1 for segment in cache.memory().values())
    save_cache(path, [cache], metadata={"a": "b"})
    return path.read_bytes()


def test_a_file_truncated_anywhere_is_refused(small_file, tmp_path):
    path = tmp_path / "cut"
    path.write_bytes(small_file)
    load_cache(path)
    for length in reversed(range(len(small_file))):
        os.truncate(path, length)
        with pytest.raises(DamagedCacheFileError, match="cut"):
            load_cache(path)


def test_a_file_with_any_one_byte_changed_is_refused(small_file, tmp_path):
    """No byte is without effect: the header is canonical and sealed, and every tensor has its SHA-256."""
    path = tmp_path / "flipped"
    path.write_bytes(small_file)
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(small_file):
            change(file, place, byte ^ (1 << place % 8))
            with pytest.raises((DamagedCacheFileError, UnsupportedCacheFileError)):
                load_cache(path)
            change(file, place, byte)
    assert path.read_bytes() == small_file


def change(file, place, byte):
    os.pwrite(file.fileno(), bytes([byte]), place)


@given(data=st.data())
@settings(max_examples=150)
def test_any_bytes_in_any_place_are_refused(small_file, data, tmp_path_factory):
    place = data.draw(st.integers(0, len(small_file)))
    cut = data.draw(st.integers(0, 9))
    patch = data.draw(st.binary(max_size=9))
    content = small_file[:place] + patch + small_file[place + cut :]
    path = tmp_path_factory.mktemp("patched") / "cache"
    path.write_bytes(content)
    if content == small_file:
        load_cache(path)
        return
    with pytest.raises((DamagedCacheFileError, UnsupportedCacheFileError)):
        load_cache(path)


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


def test_other_kinds_of_safetensors_are_refused(tmp_path):
    path = str(tmp_path / "other.safetensors")
    save_prompt_cache(path, [filled(KVCache(), 3)])
    with pytest.raises(UnsupportedCacheFileError, match="load_prompt_cache"):
        load_cache(path)
    mx.save_safetensors(path, {"a": mx.zeros(3)})
    with pytest.raises(UnsupportedCacheFileError, match="no cache file"):
        load_cache(path)


def first_state(described):
    return described["layers"][0]["state"]


def in_config(**changes):
    def edit(entries, described):
        state = first_state(described)
        state["config"] = json.dumps(json.loads(state["config"]) | changes)

    return edit


def in_state(**changes):
    return lambda entries, described: first_state(described).update(changes)


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
    "more tokens than room": in_state(lengths=[1, 257, 1]),
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
    "unknown class": in_layer(**{"class": "save_prompt_cache"}),
    "class that is no text": in_layer(**{"class": ["KVCache"]}),
    "class of another cache": in_layer(**{"class": "KVCache"}),
    "list of no caches": in_layer(**{"class": "CacheList"}),
    "layer with another field": in_layer(colour=1),
    "layer that is none": in_content(layers=[None]),
    "layers missing": in_content(layers=[]),
    "model of other fields": in_content(model={"sha256": 1}),
    "model that is a text": in_content(model="llama"),
    "metadata of numbers": in_content(metadata={"a": 1}),
    "no digests": in_content(sha256={}),
    "another field": in_content(colour=1),
    "words of another dtype": renamed_dtype(WORDS, "F32", [1, 1, 256, 1]),
    "words of another shape": renamed_dtype(WORDS, "U32", [1, 1, 128, 2]),
    "words of another rank": renamed_dtype(WORDS, "U32", [256]),
    "NaN in a gain": poisoned("cache.0.packed.0.gain", NAN),
    "NaN in spare room": poisoned("cache.0.packed.1.gain", b"\0" * 510 + NAN),
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


def test_the_message_names_the_file_and_the_remedy(small_file, tmp_path):
    with pytest.raises(DamagedCacheFileError, match=r"forged: .*prefill the prompt anew"):
        load_bytes(tmp_path, small_file[:-1])


@pytest.mark.parametrize("path", ["missing", "."])
def test_what_cannot_be_opened_is_an_os_error_or_refused(path, tmp_path):
    with pytest.raises((OSError, UnsupportedCacheFileError)):
        load_cache(tmp_path / path)
