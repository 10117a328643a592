"""upgrade_cache_list: compress a model's caches in place, behind the support gate, and tell what was done."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx

from tq_mlx.compressed import CompressedCache
from tq_mlx.config import TurboQuantConfig, check_config
from tq_mlx.conversion import Plan, commit, rehearse
from tq_mlx.errors import UnsupportedCacheError
from tq_mlx.event_file import append_events, check_appendable
from tq_mlx.events import UpgradeEvent, UpgradeFailure
from tq_mlx.reader import require_reader
from tq_mlx.support import Verdict, admit_family, judge
from tq_mlx.upstream import tokens_seen


def upgrade_cache_list(
    cache: list[Any],
    k_start: int = 0,
    *,
    config: TurboQuantConfig,
    model_family: str | None,
    research: bool = False,
    events_path: Path | str | None = None,
    group: mx.distributed.Group | None = None,
) -> list[UpgradeEvent]:
    """Compress every layer that supports it, in place.

    Does nothing, and returns no events, while the longest layer holds fewer than ``k_start`` tokens, and where all
    layers have been dealt with before by the same configuration. Codes are never recoded: see ``recoding``.

    Args:
        cache: one cache per layer, as made by mlx-lm's make_prompt_cache; its elements are replaced.
        k_start: tokens from which on to compress.
        config: what to compress to.
        model_family: name of a family in the contract.
        research: opt in to a family that the contract lists as research-only.
        events_path: file to which the events are appended as JSON lines, a failure's too; None writes nothing.
        group: processes over which the model's heads are sharded, all of which must make this call; None for one.

    Returns:
        One event per layer, compressed or not.

    Raises:
        ConfigError: the configuration is none.
        UnsupportedFamilyError: the family is None, not in the contract, or research-only without the opt-in.
        UnsupportedCacheError: a layer's cache is of a kind that is refused or compressed by another configuration, or
            no layer can be compressed.
        UnsupportedHeadDimError: the codecs do not serve a layer's head dimension.
        NonFiniteError: a layer holds NaN or Inf.
        HookError: mlx-lm's attention is not replaced, so that nothing could read the codes.
        OSError: the events cannot be appended; raised before anything is done unless the disk fills up meanwhile.
        The cache is as it was then, and after any other error, except where the machine fails in the last pass (see
        ``conversion``).
    """
    check_config(config)
    label = config.label
    try:
        check_list(cache)
        require_reader()
        admission = admit_family(model_family, research=research)
        verdicts = judge(cache, config)
        if not due(cache, verdicts, k_start, config):
            return []
        if events_path is not None:
            check_appendable(events_path)
        plan = rehearse(cache, verdicts, config, admission, group)
    except BaseException as error:
        record(events_path, [failure(error, model_family, label, rollback=True)], about=error)
        raise
    try:
        interrupt = commit(cache, plan)
    except Exception as error:
        done = sum(isinstance(cache[index], CompressedCache) for index in plan.configs)
        error.add_note(f"{done} of {len(plan.configs)} layers are compressed; upgrade the list again for the others")
        record(events_path, [failure(error, model_family, label, rollback=not done)], about=error)
        raise
    events = [event_of(index, layer, plan, label) for index, layer in enumerate(cache)]
    record(events_path, events, about=interrupt)
    if interrupt is not None:
        raise interrupt
    return events


def check_list(cache: object) -> None:
    """Raise UnsupportedCacheError unless this is a list, whose elements can be exchanged."""
    if not isinstance(cache, list):
        raise UnsupportedCacheError(f"the cache is a {type(cache).__name__}: pass the list of one cache per layer")


def due(cache: Sequence[Any], verdicts: Sequence[Verdict], k_start: int, config: TurboQuantConfig) -> bool:
    """Return whether there is something to compress and the time has come.

    A rule for key bits needs keys beyond the sink to look at.
    """
    if not any(verdict.compress for verdict in verdicts):
        return False
    held = max(tokens_seen(layer) for layer in cache)
    return held >= k_start and (config.key_bits is None or held > config.sink_tokens)


def event_of(index: int, layer: Any, plan: Plan, label: str) -> UpgradeEvent:
    """Return what became of a layer."""
    own = layer.config if isinstance(layer, CompressedCache) else None
    name, old_bytes = plan.before[index]
    return UpgradeEvent(
        layer=index,
        compressed=own is not None,
        reason=plan.verdicts[index].reason,
        before=name,
        after=type(layer).__name__,
        offset=tokens_seen(layer),
        old_bytes=old_bytes,
        new_bytes=layer.nbytes,
        family=plan.admission.family,
        research=plan.admission.research,
        config=label,
        keys=own.keys.label if own else "dense",
        values=own.values.label if own else "dense",
    )


def failure(error: BaseException, family: str | None, label: str, *, rollback: bool) -> UpgradeFailure:
    """Return the event of a failed upgrade."""
    message = "; ".join([str(error), *getattr(error, "__notes__", ())])
    return UpgradeFailure(type(error).__name__, message, rollback, family, label)


def record(
    path: Path | str | None, events: Sequence[UpgradeEvent | UpgradeFailure], *, about: BaseException | None
) -> None:
    """Append the events if a path is given; if that fails while an error is being raised, the error gets a note."""
    if path is None:
        return
    try:
        append_events(path, events)
    except OSError as error:
        if about is None:
            raise
        about.add_note(f"not recorded in {path}: {error}")
