"""events.jsonl: nothing unless asked; appended, one object per line; refusals and failures too."""

import json
import os

import mlx_lm
import pytest
from mlx_lm.models.cache import KVCache, RotatingKVCache, make_prompt_cache

from tq_mlx import NonFiniteError, TurboQuantConfig, UnsupportedFamilyError, event_file, upgrade_cache_list
from vectors import keys_and_values

CONFIG = TurboQuantConfig.from_preset("lloyd_k4v4")


def dense_list():
    cache = [RotatingKVCache(max_size=32), KVCache()]
    for layer in cache:
        layer.update_and_fetch(*keys_and_values(300))
    return cache


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "events.jsonl"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_nothing_is_written_unless_asked(path):
    upgrade_cache_list(dense_list(), config=CONFIG, model_family="gemma")
    assert list(path.parent.iterdir()) == []


def test_nothing_is_written_before_the_time_has_come(path):
    upgrade_cache_list(dense_list(), 301, config=CONFIG, model_family="gemma", events_path=path)
    assert not path.exists()


def test_the_lines_are_the_events_behind_what_was_there(path):
    path.write_text('{"event": "earlier"}\n')
    events = upgrade_cache_list(dense_list(), config=CONFIG, model_family="gemma", events_path=str(path))
    earlier, *written = lines(path)
    assert earlier == {"event": "earlier"}
    assert len(written) == 2
    for line, event in zip(written, events, strict=True):
        assert line.pop("time").endswith("+00:00")
        assert line == event.to_dict()


def test_one_upgrade_is_one_append(path, monkeypatch):
    writes, flags = [], []
    write, opened = os.write, os.open
    monkeypatch.setattr(event_file.os, "write", lambda file, data: writes.append(data) or write(file, data))
    monkeypatch.setattr(event_file.os, "open", lambda p, f, *mode: flags.append(f) or opened(p, f, *mode))
    upgrade_cache_list(dense_list(), config=CONFIG, model_family="gemma", events_path=path)
    assert [data.count(b"\n") for data in writes] == [2]
    assert all(flag & os.O_APPEND and not flag & os.O_TRUNC for flag in flags)


def test_a_refusal_and_a_nan_are_recorded(path):
    cache = dense_list()
    with pytest.raises(UnsupportedFamilyError):
        upgrade_cache_list(cache, config=CONFIG, model_family="mamba", events_path=path)
    cache[1].keys[0, 0, 7, 7] = float("inf")
    with pytest.raises(NonFiniteError):
        upgrade_cache_list(cache, config=CONFIG, model_family="gemma", events_path=path)
    refusal, nan = lines(path)
    assert (refusal["error"], refusal["family"], refusal["rollback"]) == ("UnsupportedFamilyError", "mamba", True)
    assert (nan["error"], nan["config"], nan["rollback"]) == ("NonFiniteError", "lloyd_k4v4", True)
    assert "layer 1, keys" in nan["message"]


def test_a_file_that_cannot_be_appended_stops_the_upgrade_before_anything_is_done(path):
    cache = dense_list()
    with pytest.raises(OSError, match="No such") as caught:
        upgrade_cache_list(cache, config=CONFIG, model_family="gemma", events_path=path / "not" / "there")
    assert "not recorded" in caught.value.__notes__[0]
    assert type(cache[1]) is KVCache


def test_a_failure_that_cannot_be_recorded_stays_the_failure(path):
    with pytest.raises(UnsupportedFamilyError) as caught:
        upgrade_cache_list(dense_list(), config=CONFIG, model_family=None, events_path=path.parent)
    assert "not recorded" in caught.value.__notes__[0]


def test_a_disk_that_fills_up_is_reported(path, monkeypatch):
    monkeypatch.setattr(event_file.os, "write", lambda file, data: 10)
    with pytest.raises(OSError, match="only 10 of"):
        upgrade_cache_list(dense_list(), config=CONFIG, model_family="gemma", events_path=path)


def test_generation_passes_the_path_on(path, tiny_llama, tiny_tokenizer):
    prompt, options = list(range(1, 60)) * 4, {"turboquant_config": CONFIG, "turboquant_events": path}
    cache = make_prompt_cache(tiny_llama)
    mlx_lm.generate(tiny_llama, tiny_tokenizer, prompt, max_tokens=2, prompt_cache=cache, **options)
    assert [line["layer"] for line in lines(path)] == [0, 1]
