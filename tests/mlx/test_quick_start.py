"""The README's Python, run as written on small real models."""

import re
from pathlib import Path

import mlx_lm
import pytest
from mlx_lm.models.cache import KVCache

import tq_mlx

README = Path(__file__).parents[2] / "README.md"
UPGRADE, POLARQUANT, GENERATE = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
HUB_MODEL = "mlx-community/Llama-3.2-1B-Instruct-4bit"
PREFILL = "# ... run your prefill here ..."
RUN_PREFILL = """
import mlx.core as mx
model(mx.array([tokenizer.encode("one two three four five " * 60)]), cache=cache)
before = list(cache)
"""

pytestmark = pytest.mark.model


@pytest.fixture
def load_instead(real_model, monkeypatch):
    """Make mlx_lm.load give the family's sample model for the README's hub model."""
    real_load = mlx_lm.load

    def use(family):
        monkeypatch.setattr(mlx_lm, "load", lambda name: {HUB_MODEL: real_load(real_model(family))}[name])

    return use


@pytest.mark.parametrize("preset", ["lloyd_k4v4", "paper_prod"])
def test_the_quick_start_compresses_a_prefilled_cache_and_generates(load_instead, preset):
    load_instead("llama")
    assert UPGRADE.count(PREFILL) == UPGRADE.count("lloyd_k4v4") == 1
    scope = {}
    exec(UPGRADE.replace(PREFILL, RUN_PREFILL).replace("lloyd_k4v4", preset), scope)
    assert all(type(layer) is KVCache for layer in scope["before"])
    assert all(type(layer) is tq_mlx.TurboQuantKVCache for layer in scope["cache"])
    assert len(scope["events"]) == len(scope["cache"])
    assert all(event.compressed and event.ratio < 1 for event in scope["events"])

    exec(GENERATE.replace('prompt="', 'max_tokens=8, prompt="'), scope)
    assert scope["text"].strip()


def test_the_same_path_works_for_polarquant_and_gemma(load_instead):
    load_instead("gemma")
    scope = {}
    exec(UPGRADE.split("cfg =")[0].replace(PREFILL, RUN_PREFILL), scope)
    exec(POLARQUANT, scope)
    compressed = [event.compressed for event in scope["events"]]
    assert compressed == [index % 6 == 5 for index in range(18)]
    assert all(event.ratio < 1 for event in scope["events"] if event.compressed)
    assert tq_mlx.status(scope["cache"]).layers[5].realised == "polarquant_exp"
