"""A research-only family: refused by name, admitted by an explicit opt-in, and known as such ever after."""

import copy
import importlib
import json
import os
from types import SimpleNamespace

import mlx.core as mx
import mlx_lm
import pytest
from mlx_lm.models.cache import KVCache, load_prompt_cache, make_prompt_cache, save_prompt_cache

import tq_contract
from tq_mlx import TurboQuantConfig, TurboQuantKVCache, UnsupportedFamilyError, status, upgrade_cache_list
from tq_mlx.cli import main
from vectors import keys_and_values

CONFIG = TurboQuantConfig.from_preset("lloyd_k4v4")
PROMPT = [1 + index * 7 % 60 for index in range(300)]
NEEDS_QWEN = pytest.mark.skipif(
    os.environ.get("TQ_TEST_QWEN") != "1", reason="a 0.5 GB download; set TQ_TEST_QWEN=1 to run it"
)


def dense_list():
    cache = [KVCache(), KVCache()]
    for layer in cache:
        layer.update_and_fetch(*keys_and_values(400))
    return cache


def test_the_contract_has_one():
    assert [family.name for family in tq_contract.load().families if not family.allowlisted] == ["qwen2"]


def test_without_the_opt_in_the_refusal_names_it():
    cache = dense_list()
    with pytest.raises(UnsupportedFamilyError, match=r"research-only.*research=True.*turboquant_research.*--research"):
        upgrade_cache_list(cache, config=CONFIG, model_family="qwen2")
    assert [type(layer) for layer in cache] == [KVCache, KVCache]


@pytest.mark.parametrize("family", [None, "mamba", "mistral"])
def test_the_opt_in_opens_nothing_else(family):
    cache = dense_list()
    with pytest.raises(UnsupportedFamilyError):
        upgrade_cache_list(cache, config=CONFIG, model_family=family, research=True)
    assert [type(layer) for layer in cache] == [KVCache, KVCache]


@pytest.mark.parametrize(("family", "is_research"), [("qwen2", True), ("llama", False)])
def test_events_and_status_say_how_the_family_came_in(family, is_research):
    cache = dense_list()
    events = upgrade_cache_list(cache, config=CONFIG, model_family=family, research=True)
    assert [(event.family, event.research) for event in events] == [(family, is_research)] * 2
    report = status(cache)
    assert [(layer.family, layer.research) for layer in report.layers] == [(family, is_research)] * 2
    assert report.research is report.to_dict()["research"] is is_research


def test_what_was_constructed_past_the_gate_names_no_family():
    (layer,) = status([TurboQuantKVCache(CONFIG)]).layers
    assert (layer.family, layer.research) == (None, False)


def test_copies_and_files_keep_the_fact(tmp_path):
    cache = dense_list()
    upgrade_cache_list(cache, config=CONFIG, model_family="qwen2", research=True)
    save_prompt_cache(str(tmp_path / "cache.safetensors"), cache)
    for other in (load_prompt_cache(str(tmp_path / "cache.safetensors")), copy.deepcopy(cache)):
        assert status(other).research is True
        assert [layer.family for layer in status(other).layers] == ["qwen2", "qwen2"]


def test_generation_takes_the_opt_in(tiny_qwen, tiny_tokenizer):
    cache = make_prompt_cache(tiny_qwen)
    with pytest.raises(UnsupportedFamilyError, match="turboquant_research=True"):
        mlx_lm.generate(tiny_qwen, tiny_tokenizer, PROMPT, prompt_cache=cache, turboquant_config=CONFIG)
    assert all(layer.empty() for layer in cache)
    options = {"turboquant_config": CONFIG, "turboquant_research": True}
    assert mlx_lm.generate(tiny_qwen, tiny_tokenizer, PROMPT, max_tokens=8, prompt_cache=cache, **options)
    assert status(cache).research
    assert all(layer.codes_read for layer in status(cache).layers)


def test_make_prompt_cache_takes_the_opt_in(tiny_qwen):
    make = importlib.import_module("mlx_lm.models.cache").make_prompt_cache
    with pytest.raises(UnsupportedFamilyError, match="turboquant_research=True"):
        make(tiny_qwen, turboquant_config=CONFIG)
    assert status(make(tiny_qwen, turboquant_config=CONFIG, turboquant_research=True)).research


def test_a_model_outside_the_contract_is_refused_in_spite_of_the_opt_in():
    make = importlib.import_module("mlx_lm.models.cache").make_prompt_cache
    stranger = SimpleNamespace(model_type="mamba", layers=[0, 1])
    with pytest.raises(UnsupportedFamilyError, match="'mamba'"):
        make(stranger, turboquant_config=CONFIG, turboquant_research=True)


def test_the_command_line(tiny_qwen, tiny_tokenizer, monkeypatch, capsys):
    monkeypatch.setattr("tq_mlx.cli.generate.load_model", lambda name: (tiny_qwen, tiny_tokenizer))
    command = ["generate", "--model", "x", "--preset", "lloyd_k4v4", "--prompt", "light " * 60, "--max-tokens", "4"]
    assert main(command) == 3
    assert "--research" in capsys.readouterr().err
    assert main([*command, "--research", "--compare"]) == 0
    assert "(research-only family, opted in)" in " ".join(capsys.readouterr().err.split())
    assert main([*command, "--research", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["research"] is True


@pytest.mark.model
@NEEDS_QWEN
def test_the_real_model_stays_close_to_its_dense_run(real_model):
    model, tokenizer = mlx_lm.load(real_model("qwen"))[:2]
    config = TurboQuantConfig.from_preset("equal_noise_k4v4")
    prompt = mx.array(tokenizer.encode("def lighthouse(keeper):\n    return keeper.log\n\n" * 40))
    generate_step = importlib.import_module("mlx_lm.generate").generate_step
    logits = []
    for options in ({}, {"turboquant_config": config, "turboquant_research": True}):
        cache = make_prompt_cache(model)
        logits.append(next(generate_step(prompt, model, prompt_cache=cache, max_tokens=1, **options))[1])
    report = status(cache)
    assert report.research
    assert all(layer.codes_read for layer in report.layers)
    dense, compressed = logits
    assert 0 < (mx.exp(dense) * (dense - compressed)).sum().item() < 0.05
