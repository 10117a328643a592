"""The replacements of mlx-lm's functions for one model (speculative decoding, for two, is in ``speculative``).

Each takes the original as its first argument and behaves exactly like it unless compression is asked for, by keyword
(`turboquant_config`, `turboquant_start`, `turboquant_research`, `turboquant_events`) or, for attention, by the type of
the keys.
"""

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.models.cache as upstream_cache

from tq_mlx.batch_attention import attend
from tq_mlx.batch_views import BatchKeysView
from tq_mlx.config import TurboQuantConfig, check_config
from tq_mlx.errors import ConfigError
from tq_mlx.events import UpgradeEvent
from tq_mlx.refusals import no_second_compression, typed_bypass
from tq_mlx.support import family_of
from tq_mlx.tensor_parallel import group_of
from tq_mlx.upgrade import upgrade_cache_list
from tq_mlx.views import TurboQuantKeysView

Steps = Generator[tuple[Any, mx.array], None, None]


def make_prompt_cache(
    original: Callable[..., list[Any]],
    model: Any,
    max_kv_size: int | None = None,
    *,
    turboquant_config: TurboQuantConfig | None = None,
    turboquant_research: bool = False,
    turboquant_events: Path | str | None = None,
) -> list[Any]:
    """Return the model's caches, compressed from the first token on if a configuration is given."""
    cache = original(model, max_kv_size)
    if turboquant_config is not None:
        check_config(turboquant_config)
        if turboquant_config.key_bits is not None:
            raise ConfigError(
                "key_bits are chosen from the keys of a prompt, which an empty cache has not: pass turboquant_config "
                "to generate, or call upgrade_cache_list after the prefill"
            )
        upgrade_cache_list(
            cache,
            config=turboquant_config,
            model_family=family_of(model),
            research=turboquant_research,
            events_path=turboquant_events,
        )
    return cache


def generate_step(
    original: Callable[..., Steps],
    prompt: mx.array,
    model: Any,
    *args: Any,
    turboquant_config: TurboQuantConfig | None = None,
    turboquant_start: int = 0,
    turboquant_research: bool = False,
    turboquant_events: Path | str | None = None,
    prompt_cache: list[Any] | None = None,
    max_kv_size: int | None = None,
    prompt_progress_callback: Callable[[int, int], None] | None = None,
    **kwargs: Any,
) -> Steps:
    """Return mlx-lm's steps; the cache is compressed once it holds ``turboquant_start`` tokens, in prefill or decode.

    mlx-lm reports its progress after each chunk of the prompt, and between two steps control is here: at those moments
    the list of caches that it works on can change under it.
    """
    if turboquant_config is None:
        return original(
            prompt,
            model,
            *args,
            prompt_cache=prompt_cache,
            max_kv_size=max_kv_size,
            prompt_progress_callback=prompt_progress_callback,
            **kwargs,
        )
    no_second_compression(kwargs)
    family, group = family_of(model), group_of(model)
    cache = upstream_cache.make_prompt_cache(model, max_kv_size) if prompt_cache is None else prompt_cache
    upgrade_if_due = until_done(
        partial(
            upgrade_cache_list,
            cache,
            turboquant_start,
            config=turboquant_config,
            model_family=family,
            research=turboquant_research,
            events_path=turboquant_events,
            group=group,
        )
    )

    upgrade_if_due()
    steps = partial(original, prompt, model, *args, prompt_cache=cache, **kwargs)
    return typed_bypass(interrupted(steps, upgrade_if_due, prompt_progress_callback))


def interrupted(
    steps: Callable[..., Steps], upgrade_if_due: Callable[[], None], report: Callable[[int, int], None] | None
) -> Steps:
    """Yield the steps; try the upgrade after each, and after each chunk of the prompt, before it is reported."""

    def on_progress(done: int, total: int) -> None:
        upgrade_if_due()
        if report is not None:
            report(done, total)

    for step in steps(prompt_progress_callback=on_progress):
        upgrade_if_due()
        yield step


def until_done(upgrade: Callable[[], list[UpgradeEvent]]) -> Callable[[], None]:
    """Return a function that tries the upgrade, and does nothing once it has happened."""
    pending = True

    def attempt() -> None:
        nonlocal pending
        if pending:
            pending = not upgrade()

    return attempt


def scaled_dot_product_attention(original: Callable[..., mx.array], *args: Any, **kwargs: Any) -> mx.array:
    """Attend over codes where the keys are a compressed cache's; pass everything else through as it came."""
    keys = args[1] if len(args) > 1 else kwargs.get("keys")
    compressed = isinstance(keys, TurboQuantKeysView | BatchKeysView)
    return (attend_over_codes if compressed else original)(*args, **kwargs)


def attend_over_codes(
    queries: mx.array,
    keys: TurboQuantKeysView | BatchKeysView,
    values: Any,
    cache: Any,
    scale: float,
    mask: mx.array | str | None,
    sinks: mx.array | None = None,
) -> mx.array:
    """Take the arguments of mlx-lm's scaled_dot_product_attention; ``cache`` says nothing that the views do not."""
    return attend(queries, keys, values, scale=scale, mask=mask, sinks=sinks)
