"""The stages in this process, on tiny models, judged by the gates that the verifier judges by."""

import importlib
import json
from dataclasses import dataclass

import mlx.core as mx
import msgspec
import pytest
from mlx.utils import tree_flatten, tree_map

import tq_contract
from kernel_executor.executor import run_by_executor
from tiny_tokenizer import TinyTokenizer
from tq_cert.evidence.gates import judge
from tq_cert.evidence.policy.load import CURRENT, load_edition
from tq_cert.inspection.scope import ModelSource
from tq_cert.lanes.memory import generation
from tq_cert.stages import attention_equivalence, cache_roundtrip, function_of, kernels, memory
from tq_cert.stages.recorder import Recorder
from tq_cert.stages.setting import Setting
from tq_cert.stages.sizes import Sizes
from tq_mlx.kernels import choose

TINY = Sizes(
    chunk=256,
    smoke_prompt=300,
    smoke_tokens=5,
    quality_lengths=(340,),
    quality_windows=3,
    long_prompt=4096,
    long_tokens=70,
    sweep_prompts=(256,),
    sweep_steps=8,
    memory_steps=2,
)
LLAMA = {"num_hidden_layers": 2}
GEMMA = {"num_hidden_layers": 4, "sliding_window": 96, "sliding_window_pattern": 2, "query_pre_attn_scalar": 64}
COMMON = {
    "hidden_size": 128,
    "head_dim": 64,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "vocab_size": 128,
}
OFFSET = mx.where(mx.arange(64) % 32 < 24, 0.0, 30.0)
"""What all keys of a head have in common: where rotary positions turn slowly, so that it stays in common."""

MODELS = {"llama": ("llama", LLAMA), "gemma": ("gemma3_text", GEMMA)}


def lively_directory(directory, model_type, more, liveliness=3):
    """Write a random model whose attention reaches its logits; its keys have an offset if they have a bias."""
    fields = {"model_type": model_type, **COMMON, **more}
    architecture = importlib.import_module(f"mlx_lm.models.{model_type}")
    mx.random.seed(11)
    model = architecture.Model(architecture.ModelArgs.from_dict(fields))
    model.update(tree_map(lambda weight: liveliness * weight if weight.ndim > 1 else weight, model.parameters()))
    weights = dict(tree_flatten(model.parameters()))
    for name in weights:
        if name.endswith("k_proj.bias"):
            weights[name] = mx.tile(OFFSET, weights[name].size // OFFSET.size)
    mx.save_safetensors(str(directory / "model.safetensors"), weights, metadata={"format": "mlx"})
    (directory / "config.json").write_text(json.dumps(fields))
    TinyTokenizer()._tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def tiny_sources(tmp_path_factory):
    """A tiny model for each family."""
    return {
        family: ModelSource(family, str(lively_directory(tmp_path_factory.mktemp(family), *model)), None, None)
        for family, model in MODELS.items()
    }


@dataclass(frozen=True)
class Measured:
    """What a stage recorded, and what the gates say of it."""

    recorder: Recorder
    gates: tuple

    @property
    def broken(self):
        """Metrics of the gates that were not kept."""
        return {gate.metric for gate in self.gates if not gate.kept}

    @property
    def errors(self):
        """Cases that did not pass, with their messages."""
        return {case.name: case.message for case in self.recorder.cases if case.outcome in ("failed", "error")}

    def value(self, metric, **at):
        (gate,) = (g for g in self.gates if g.metric == metric and all(getattr(g, k) == v for k, v in at.items()))
        return gate.value


@pytest.fixture(scope="session")
def offset_llama(tmp_path_factory):
    """A Llama whose keys have an offset: there codes with a mean of their own are much better than those without."""
    directory = lively_directory(tmp_path_factory.mktemp("offset"), "llama", LLAMA | {"attention_bias": True})
    return {"llama": ModelSource("llama", str(directory), None, None)}


@pytest.fixture(scope="session")
def calm_llama(tmp_path_factory):
    """A Llama whose predictions codes hardly change: its worst positions and its flips keep their bounds."""
    directory = lively_directory(tmp_path_factory.mktemp("calm"), "llama", LLAMA, liveliness=1.5)
    return {"llama": ModelSource("llama", str(directory), None, None)}


@pytest.fixture(scope="session")
def deep_llama(tmp_path_factory):
    """A Llama whose cache outweighs what attention needs meanwhile."""
    directory = lively_directory(tmp_path_factory.mktemp("deep"), "llama", LLAMA | {"num_hidden_layers": 6})
    return {"llama": ModelSource("llama", str(directory), None, None)}


@pytest.fixture
def executor(monkeypatch):
    """Pretend that there is a Mac, whose kernels the executor runs, in fewer combinations."""
    for module in (choose, kernels):
        monkeypatch.setattr(module, "dialect", lambda: "metal")
    monkeypatch.setattr(kernels, "run_on", run_by_executor)
    monkeypatch.setattr(kernels, "HEAD_DIMS", (64,))
    monkeypatch.setattr(kernels, "HEADS", ((6, 2),))
    monkeypatch.setattr(kernels, "TOKENS", (200,))


@pytest.fixture
def measured(tiny_sources, tmp_path, monkeypatch):
    """Runs a stage in this process, in fewer combinations, on one family or on both, and judges it."""
    monkeypatch.setattr(attention_equivalence, "LENGTHS", (1, 8))
    monkeypatch.setattr(attention_equivalence, "MASKS", ("none", "causal", "additive"))
    monkeypatch.setattr(attention_equivalence, "HEADS", ((6, 2),))
    monkeypatch.setattr(cache_roundtrip, "HEAD_DIMS", (64,))
    monkeypatch.setattr(memory, "run", generation.generate)

    def run(name, sizes=TINY, sources=tiny_sources, presets=None):
        stage = next(one for one in tq_contract.load().certification.stages if one.name == name)
        stage = msgspec.structs.replace(stage, presets=presets or stage.presets)
        edition, recorder = load_edition(CURRENT), Recorder()
        function_of(name)(Setting(stage, sources, sizes, tmp_path), recorder)
        return Measured(recorder, judge(edition.stage(name), recorder.series, tuple(sources), edition))

    return run
