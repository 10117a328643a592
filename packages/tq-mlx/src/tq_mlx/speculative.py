"""Speculative decoding with compressed caches: the replacement of mlx-lm's speculative_generate_step.

mlx-lm slices the prompt cache into a list for each model and reports no progress, so the moment to compress is when it
calls a model with that list: what was rejected has been trimmed away by then, and only accepted tokens are coded.
"""

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.models.cache as upstream_cache

from tq_mlx.config import TurboQuantConfig
from tq_mlx.events import UpgradeEvent
from tq_mlx.refusals import no_second_compression, typed_bypass
from tq_mlx.support import family_of
from tq_mlx.tensor_parallel import group_of
from tq_mlx.upgrade import upgrade_cache_list

Steps = Generator[tuple[Any, mx.array, bool], None, None]
Upgrade = Callable[[list[Any]], list[UpgradeEvent]]


def speculative_generate_step(
    original: Callable[..., Steps],
    prompt: mx.array,
    model: Any,
    draft_model: Any,
    *args: Any,
    turboquant_config: TurboQuantConfig | None = None,
    turboquant_draft_config: TurboQuantConfig | None = None,
    turboquant_start: int = 0,
    turboquant_research: bool = False,
    turboquant_events: Path | str | None = None,
    prompt_cache: list[Any] | None = None,
    **kwargs: Any,
) -> Steps:
    """Return mlx-lm's steps; each model's caches are compressed once they hold ``turboquant_start`` tokens.

    ``prompt_cache`` holds the main model's layers and then the draft model's, as for mlx-lm.
    """
    if turboquant_config is None and turboquant_draft_config is None:
        return original(prompt, model, draft_model, *args, prompt_cache=prompt_cache, **kwargs)
    no_second_compression(kwargs)
    cache, layers = prompt_cache, len(model.layers)
    if cache is None:
        # Where layers share keys and values, a model has fewer caches than layers.
        cache = upstream_cache.make_prompt_cache(model)
        layers = len(cache)
        cache = [*cache, *upstream_cache.make_prompt_cache(draft_model)]

    def compressing(one: Any, config: TurboQuantConfig | None, place: slice) -> Any:
        if config is None:
            return one
        upgrade = partial(
            upgrade_cache_list,
            k_start=turboquant_start,
            config=config,
            model_family=family_of(one),
            research=turboquant_research,
            events_path=turboquant_events,
            group=group_of(one),
        )
        return CompressingModel(one, upgrade, cache, place)

    main = compressing(model, turboquant_config, slice(0, layers))
    draft = compressing(draft_model, turboquant_draft_config, slice(layers, len(cache)))
    return typed_bypass(original(prompt, main, draft, *args, prompt_cache=cache, **kwargs))


class CompressingModel:
    """A model that compresses the caches it is called with, before the call, once they hold enough tokens."""

    def __init__(self, model: Any, upgrade: Upgrade, caller_cache: list[Any], place: slice) -> None:
        """Wrap ``model``, whose layers the caller keeps at ``place`` of his list."""
        self.model = model
        self.upgrade = upgrade
        self.caller_cache = caller_cache
        self.place = place
        self.pending = True
        self.layers = range(place.stop - place.start)
        """mlx-lm counts them to split the list of caches."""

    def __call__(self, tokens: mx.array, cache: list[Any]) -> mx.array:
        if self.pending and self.upgrade(cache):
            self.pending = False
            self.caller_cache[self.place] = cache
        return self.model(tokens, cache=cache)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)
