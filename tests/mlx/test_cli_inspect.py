import contextlib
import json
import re
from dataclasses import replace

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.models.cache import ArraysCache, BatchKVCache, CacheList, KVCache, RotatingKVCache, save_prompt_cache

from small_caches import small_window
from tq_mlx import TurboQuantConfig, TurboQuantKVCache, UnsupportedCacheFileError, save_cache
from tq_mlx.cli import main
from tq_mlx.inspection import inspect_file
from tq_mlx.model_fingerprint import fingerprint_of
from vectors import keys_and_values

CONFIG = replace(
    TurboQuantConfig.from_preset("lloyd_k4v4"), center_block=None, sink_tokens=3, tail_tokens=8, block_tokens=4
)


def caches():
    compressed = TurboQuantKVCache(replace(CONFIG, keys=replace(CONFIG.keys, bits=5)))
    cache = [compressed, RotatingKVCache(16), KVCache(), CacheList(KVCache(), ArraysCache(1))]
    for layer in cache[:3]:
        layer.update_and_fetch(*keys_and_values(40, dtype=mx.bfloat16))
    return cache


def inspect(path, capsys):
    code = main(["inspect", str(path), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_our_file_is_shown_layer_by_layer(tiny_llama, tmp_path, capsys):
    cache, path = caches(), tmp_path / "cache.safetensors"
    save_cache(path, cache, model=tiny_llama, metadata={"prompt": "a light"})
    code, report = inspect(path, capsys)
    assert code == 0
    assert report["verdict"] == "good"
    assert report["findings"] == []
    assert report["kind"] == "turboquant cache"
    assert report["nbytes"] == path.stat().st_size
    assert report["header_bytes"] == int.from_bytes(path.read_bytes()[:8], "little")
    assert report["nbytes"] == 8 + report["header_bytes"] + sum(layer["nbytes"] for layer in report["layers"])
    assert report["schema_version"] == 4
    assert report["same_contract"] is True
    assert report["metadata"] == {"prompt": "a light"}
    assert report["model"] == {"model_type": "llama", "sha256": fingerprint_of(tiny_llama).sha256}
    first, ring, dense, inner = report["layers"]
    assert first == {
        "index": 0,
        "class_name": "TurboQuantKVCache",
        "keys": "mse 5",
        "values": "mse 4",
        "tokens": {"sink": 3, "packed": 28, "tail": 9},
        "nbytes": cache[0].nbytes,
        "bits_per_value": 4.75,
        "verdict": "good",
    }
    assert (ring["tokens"], ring["keys"], ring["bits_per_value"]) == ({"dense": 40}, "bfloat16", 16.0)
    assert (dense["tokens"], dense["nbytes"]) == ({"dense": 40}, cache[2].nbytes)
    assert (inner["class_name"], inner["tokens"]) == ("CacheList", {"0.dense": 0})


def test_a_compressed_window_is_shown_like_any_other(tmp_path, capsys):
    cache, path = small_window(), tmp_path / "cache.safetensors"
    save_cache(path, [cache])
    assert inspect(path, capsys)[1]["layers"] == [
        {
            "index": 0,
            "class_name": "TurboQuantRotatingKVCache",
            "keys": "mse 4",
            "values": "mse 4",
            "tokens": {"sink": 0, "packed": 11, "tail": 14},
            "nbytes": cache.nbytes,
            "bits_per_value": 4.515625,
            "verdict": "good",
        }
    ]


def test_mlx_lms_file_is_named_and_shown(tmp_path, capsys):
    cache, path = caches(), tmp_path / "cache.safetensors"
    save_prompt_cache(str(path), cache, {"prompt": "a light"})
    code, report = inspect(path, capsys)
    assert code == 0
    assert report["kind"] == "mlx-lm prompt cache"
    assert report["metadata"] == {"prompt": "a light"}
    save_cache(tmp_path / "ours", cache)
    assert report["layers"] == inspect(tmp_path / "ours", capsys)[1]["layers"]


def test_people_see_the_same(tmp_path, capsys):
    path = tmp_path / "cache.safetensors"
    save_cache(path, caches(), metadata={"evil": "\x1b[31m[bold]"})
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    for text in (
        "turboquant cache",
        "not stated",
        "TurboQuantKVCache",
        "mse 5 / mse 4",
        " 28 ",
        "4.75",
        "every check passed",
    ):
        assert text in shown
    assert "\x1b" not in shown
    assert "[bold]" in shown


@pytest.mark.parametrize("columns", [None, "72"])
def test_no_number_is_cut_however_narrow_the_terminal(columns, tmp_path, capsys, monkeypatch):
    layers = caches()
    save_cache(tmp_path / "cache.safetensors", layers)
    if columns is not None:
        monkeypatch.setattr("tq_mlx.cli.tables.WIDE", int(columns))
    assert main(["inspect", str(tmp_path / "cache.safetensors")]) == 0
    shown = capsys.readouterr().out
    assert all(f" {layer.nbytes:,} " in shown for layer in layers)
    assert shown.count(" good ") == len(layers)
    assert ("…" in shown) == (columns is not None)


@pytest.mark.parametrize(
    ("where", "finding"),
    [
        (-1, r"tensor 'cache\.\d\..*' does not have the SHA-256"),
        (40, "header|metadata|tensor"),
    ],
)
def test_damage_is_a_finding(where, finding, tmp_path, capsys):
    path = tmp_path / "cache.safetensors"
    save_cache(path, caches())
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    code, report = inspect(path, capsys)
    assert code == 1
    assert report["verdict"] == "damaged"
    assert re.search(finding, report["findings"][0])
    assert main(["inspect", str(path)]) == 1
    assert "damaged" in capsys.readouterr().out


def test_only_the_damaged_layer_is_lost(tmp_path, capsys):
    path = tmp_path / "cache.safetensors"
    save_cache(path, caches())
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    content = bytearray(path.read_bytes())
    content[8 + int.from_bytes(content[:8], "little") + header["cache.1.0"]["data_offsets"][0]] ^= 1
    path.write_bytes(content)
    code, report = inspect(path, capsys)
    assert code == 1
    assert "'cache.1.0'" in report["findings"][0]
    assert [layer["verdict"] == "good" for layer in report["layers"]] == [True, False, True, True]


def test_a_class_that_is_not_known_is_not_called_good(tmp_path, capsys):
    path = tmp_path / "cache.safetensors"
    save_prompt_cache(str(path), [BatchKVCache([0, 1]), KVCache()])
    code, report = inspect(path, capsys)
    assert code == 1
    assert "BatchKVCache" in report["findings"][0]
    assert report["layers"][1]["verdict"] == "good"


@pytest.mark.parametrize("content", [None, "directory", "foreign", "newer"])
def test_what_cannot_be_read_exits_with_2(content, tmp_path, capsys):
    path = tmp_path / "file"
    if content == "directory":
        path.mkdir()
    elif content == "foreign":
        mx.save_safetensors(str(path) + ".safetensors", {"a": mx.zeros(3)})
        path = path.with_suffix(".safetensors")
    elif content == "newer":
        save_cache(path, [KVCache()])
        path.write_bytes(path.read_bytes().replace(b'"schema_version":"4"', b'"schema_version":"5"'))
    assert main(["inspect", str(path), "--json"]) == 2
    message = capsys.readouterr()
    assert json.loads(message.out)["error"]["message"] in message.err
    assert str(path) in message.err


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 100, b"\xff" * 100])
def test_what_is_no_safetensors_file_is_damaged(content, tmp_path, capsys):
    (tmp_path / "file").write_bytes(content)
    code, report = inspect(tmp_path / "file", capsys)
    assert (code, report["kind"]) == (1, "unreadable")


@pytest.fixture(scope="module")
def prompt_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompt") / "cache.safetensors"
    cache = caches()
    save_prompt_cache(str(path), [cache[0], small_window(), cache[3]], {"a": "b"})
    return path.read_bytes()


@given(data=st.data())
@settings(max_examples=100)
def test_no_change_of_mlx_lms_file_is_worse_than_a_finding(prompt_file, data, tmp_path_factory):
    """mlx-lm's files carry no digests: damage may go unnoticed in them, but nothing else may happen."""
    end = 8 + int.from_bytes(prompt_file[:8], "little")
    place = data.draw(st.integers(8, end - 1) | st.integers(0, len(prompt_file) - 1))
    byte = data.draw(st.sampled_from(b'0129.,:[]{}"x') | st.integers(0, 255))
    path = tmp_path_factory.mktemp("changed") / "cache"
    path.write_bytes(prompt_file[:place] + bytes([byte]) + prompt_file[place + 1 :])
    with contextlib.suppress(UnsupportedCacheFileError):
        assert inspect_file(path).to_dict()["verdict"] in ("good", "damaged")


@pytest.mark.parametrize(
    "names",
    [
        ["0.0", "9999999999.0"],
        ["0", "0.0"],
        ["0.0", "0"],
        ["0" + ".0" * 40],
        [".", ""],
        ["0.-1"],
    ],
)
def test_forged_places_in_mlx_lms_file_are_refused(names, tmp_path, capsys):
    path = str(tmp_path / "forged.safetensors")
    metadata = {"1.0": "KVCache", "2.0": ""}
    mx.save_safetensors(path, {name: mx.zeros(1) for name in names}, metadata)
    assert inspect(path, capsys)[0] == 1
