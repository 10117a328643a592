"""Generation reads the codes of every compressed layer: no silent dense fallback, no silent bypass.

A small random Llama stands for the models: what is proved is the path through mlx-lm, not what a model knows.
"""

import copy
import importlib
from typing import Any, cast

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx
from mlx.utils import tree_map  # pyright: ignore[reportUnknownVariableType]
from mlx_lm.models import llama
from mlx_lm.models.cache import make_prompt_cache

from tq_cert.lanes.prefill import Caches, prefilled
from tq_cert.stages.compressed_run import follow, not_read, to_compress, upgraded
from tq_cert.stages.recorder import At, CheckFailedError, Recorder, check
from tq_cert.stages.setting import Setting
from tq_mlx.divergence import Expected, compare

FAMILY = "llama"
LAYERS = 3
VOCABULARY = 128
PROMPT = 400
STEPS = 24
SEED = 5
LIVELINESS = 4.0
"""Factor on the random weights: with smaller ones, attention hardly reaches the logits."""


def measure(setting: Setting, recorder: Recorder) -> None:
    """Prove it for every preset of the stage."""
    model = random_llama()
    tokens = [1 + index * 7 % (VOCABULARY - 2) for index in range(PROMPT + STEPS)]
    dense = prefilled(model, tokens[:PROMPT], setting.sizes.chunk)
    for preset in setting.stage.presets:
        with recorder.case(f"{preset}: every layer reads its codes at every step"):
            steps(recorder, model, preset, dense, tokens[PROMPT:])
        for side in ("keys", "values"):
            with recorder.case(f"{preset}: the logits depend on the codes of the {side}"):
                depends_on(model, upgraded(dense, preset, FAMILY), side, tokens[PROMPT])
        with recorder.case(f"{preset}: mlx-lm's own generation reads codes"):
            generates(model, preset, tokens[:PROMPT])


def steps(recorder: Recorder, model: Any, preset: str, dense: Caches, tokens: list[int]) -> None:
    """Record which layers were not read, and how far the predictions moved."""
    caches = upgraded(dense, preset, FAMILY)
    logits = follow(model, caches, tokens)
    at = At(preset=preset, context=PROMPT, seed=SEED)
    recorder.add("layers_not_read", "layers", [not_read(caches, to_compress(dense), len(tokens))], at)
    expected = Expected.of(follow(model, copy.deepcopy(dense), tokens), tokens[1:])
    kl = compare(expected, logits).kl
    recorder.add("kl", "nats", kl, at)


def depends_on(model: Any, caches: Caches, side: str, token: int) -> None:
    """Check that zeroed codes change what comes out."""
    broken = copy.deepcopy(caches)
    for cache in broken:
        code = getattr(getattr(cache, "packed", None), side, None)
        if code is None:
            raise CheckFailedError(f"a {type(cache).__name__} holds no codes of {side}")
        setattr(cache.packed, side, code.map(mx.zeros_like))
    moved = cast("float", mx.abs(follow(model, caches, [token]) - follow(model, broken, [token])).max().item())
    check(moved > 0, f"the logits are the same with all codes of {side} zeroed")


def generates(model: Any, preset: str, tokens: list[int]) -> None:
    """Check that mlx-lm's generate_step, given a configuration, reads codes."""
    generate_step = importlib.import_module("mlx_lm.generate").generate_step
    caches: Caches = make_prompt_cache(model)
    layers = to_compress(caches)
    config = tq_mlx.TurboQuantConfig.from_preset(preset)
    model.model_type = FAMILY
    list(generate_step(mx.array(tokens), model, max_tokens=4, prompt_cache=caches, turboquant_config=config))
    unread = not_read(caches, layers, 4)
    check(not unread, f"{unread} of {len(layers)} layers were not read")


def random_llama() -> Any:
    """A Llama of a few layers with lively random weights."""
    arguments = llama.ModelArgs(
        model_type="llama",
        hidden_size=128,
        num_hidden_layers=LAYERS,
        intermediate_size=128,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        rms_norm_eps=1e-5,
        vocab_size=VOCABULARY,
    )
    mx.random.seed(SEED)
    model = llama.Model(arguments)
    model.update(tree_map(scaled, model.parameters()))
    mx.eval(model.parameters())
    return model


def scaled(weight: mx.array) -> mx.array:
    """A matrix times LIVELINESS; a vector as it is."""
    return weight * LIVELINESS if weight.ndim > 1 else weight
