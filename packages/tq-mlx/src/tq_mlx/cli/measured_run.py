"""One generation, measured; and two of them, dense and compressed, compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mlx_lm.generate import stream_generate  # pyright: ignore[reportUnknownVariableType]
from mlx_lm.models.cache import make_prompt_cache

from tq_mlx.cli.progress import Phases, Report
from tq_mlx.config import TurboQuantConfig
from tq_mlx.hooks import hooks_installed
from tq_mlx.status import CacheStatus, status
from tq_mlx.support import family_of
from tq_mlx.teacher_forcing import PREFILL_TOKENS, mean_divergence
from tq_mlx.upgrade import upgrade_cache_list


@dataclass(frozen=True)
class Run:
    """What one generation gave and cost."""

    text: str
    tokens: tuple[int, ...]
    label: str
    family: str
    prompt_tokens: int
    tokens_per_second: float
    status: CacheStatus

    def to_dict(self) -> dict[str, Any]:
        """Return the run as JSON values."""
        layers = [
            {
                "index": layer.index,
                "requested": layer.requested,
                "realised": layer.realised,
                "reason": layer.reason,
                "codes_read": layer.codes_read,
                "keys": layer.keys,
                "values": layer.values,
                "bytes": layer.nbytes,
                "dense_bytes": layer.dense_bytes,
            }
            for layer in self.status.layers
        ]
        return {
            "text": self.text,
            "preset": self.label,
            "model_family": self.family,
            "research": self.status.research,
            "prompt_tokens": self.prompt_tokens,
            "generated_tokens": len(self.tokens),
            "tokens_per_second": self.tokens_per_second,
            "cache": {
                "bytes": self.status.nbytes,
                "dense_bytes": self.status.dense_bytes,
                "ratio": self.status.ratio,
                "bits_per_value": self.status.bits_per_value,
            },
            "layers": layers,
        }


@dataclass(frozen=True)
class Comparison:
    """A compressed run beside the dense one."""

    dense: Run
    compressed: Run
    mean_kl: float

    def to_dict(self) -> dict[str, Any]:
        """Return the compressed run, with the dense one and the divergence between them, as JSON values."""
        dense = self.dense.to_dict()
        del dense["layers"]
        return self.compressed.to_dict() | {"mean_kl": self.mean_kl, "dense": dense}


def run(
    model: Any,
    tokenizer: Any,
    prompt: Sequence[int],
    config: TurboQuantConfig | None,
    *,
    max_tokens: int,
    start: int,
    research: bool,
    phases: Phases,
) -> Run:
    """Generate greedily from the prompt's tokens, through mlx-lm's own loop; dense without a configuration."""
    cache = make_prompt_cache(model)
    label = config.label if config else "dense"
    text, tokens, speed = "", list[int](), 0.0
    with hooks_installed():
        responses = stream_generate(
            model,
            tokenizer,
            list(prompt),
            max_tokens=max_tokens,
            prompt_cache=cache,
            prefill_step_size=PREFILL_TOKENS,
            prompt_progress_callback=phases(f"{label}: prompt"),
            turboquant_config=config,
            turboquant_start=start,
            turboquant_research=research,
        )
        answer: Report | None = None
        for response in responses:
            answer = answer or phases(f"{label}: answer")
            text += response.text
            tokens.append(response.token)
            speed = response.generation_tps
            answer(len(tokens), max_tokens)
    return Run(
        text=text,
        tokens=tuple(tokens),
        label=label,
        family=family_of(model),
        prompt_tokens=len(prompt),
        tokens_per_second=speed,
        status=status(cache),
    )


def compare(
    model: Any,
    tokenizer: Any,
    prompt: Sequence[int],
    config: TurboQuantConfig,
    *,
    max_tokens: int,
    start: int,
    research: bool,
    phases: Phases,
) -> Comparison:
    """Generate dense and compressed, then force the dense run's tokens through both caches."""
    limited = partial(run, max_tokens=max_tokens, start=start, research=research, phases=phases)
    dense = limited(model, tokenizer, prompt, None)
    compressed = limited(model, tokenizer, prompt, config)
    with hooks_installed():
        forced = make_prompt_cache(model)
        upgrade_cache_list(forced, 0, config=config, model_family=family_of(model), research=research)
        divergence = mean_divergence(
            model, prompt, dense.tokens, make_prompt_cache(model), forced, phases("divergence")
        )
    return Comparison(dense, compressed, divergence)
