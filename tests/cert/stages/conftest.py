"""The stages in this process, on tiny models, judged as the verifier judges them."""

import importlib
import json
from dataclasses import dataclass

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten, tree_map

import tq_contract
from tiny_tokenizer import TinyTokenizer
from tq_cert.certification.scope import ModelSource
from tq_cert.evidence import StageRun
from tq_cert.evidence.gates import judge
from tq_cert.evidence.policy.load import CURRENT, load_edition
from tq_cert.stages import function_of
from tq_cert.stages.recorder import Recorder
from tq_cert.stages.setting import Setting
from tq_cert.stages.sizes import Sizes

TINY = Sizes(
    chunk=128,
    smoke_prompt=300,
    smoke_tokens=6,
    quality_lengths=(48, 64, 96),
    quality_windows=3,
    long_prompt=400,
    long_tokens=70,
    sweep_prompts=(256, 300),
    sweep_steps=8,
    memory_steps=3,
)
COMMON = {
    "num_hidden_layers": 2,
    "hidden_size": 128,
    "head_dim": 64,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-5,
    "vocab_size": 128,
}
GEMMA = {"num_hidden_layers": 4, "sliding_window": 96, "sliding_window_pattern": 2, "query_pre_attn_scalar": 64}
MODELS = {"llama": ("llama", {}), "gemma": ("gemma3_text", GEMMA)}


def lively_directory(directory, model_type, more):
    """Write a random model whose attention reaches its logits, with a tokenizer of single characters."""
    fields = {"model_type": model_type, **COMMON, **more}
    architecture = importlib.import_module(f"mlx_lm.models.{model_type}")
    mx.random.seed(11)
    model = architecture.Model(architecture.ModelArgs.from_dict(fields))
    model.update(tree_map(lambda weight: 4 * weight if weight.ndim > 1 else weight, model.parameters()))
    weights = dict(tree_flatten(model.parameters()))
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
    """What a stage recorded, and what the verifier's gates say of it."""

    recorder: Recorder
    gates: tuple

    @property
    def broken_gates(self):
        return {gate.metric for gate in self.gates if not gate.kept}

    @property
    def broken_cases(self):
        return {case.name: case.message for case in self.recorder.cases if case.outcome in ("failed", "error")}

    def values(self, name, **at):
        """All samples of that name."""
        matching = (
            one for one in self.recorder.series
            if one.name == name and all(getattr(one, field) == value for field, value in at.items())
        )  # fmt: skip
        return [value for one in matching for value in one.values]


@pytest.fixture
def measured(tiny_sources, tmp_path, monkeypatch):
    """Runs a stage in this process and judges it."""

    def run(name, sizes=TINY):
        stage = next(one for one in tq_contract.load().certification.stages if one.name == name)
        edition = load_edition(CURRENT)
        recorder = Recorder()
        function_of(name)(Setting(stage, tiny_sources, sizes, tmp_path), recorder)
        # What is handed over has to be a record that can be written and read.
        assert StageRun
        return Measured(recorder, judge(edition.stage(name), recorder.series, tuple(tiny_sources), edition))

    return run
