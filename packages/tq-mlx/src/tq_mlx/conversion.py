"""Turn dense layers into compressed ones: all or none, and never all of both in memory.

Two promises pull against each other: a failure leaves the dense cache as it was, and dense and compressed layers never
pile up in memory. They are kept in three passes.

1. Check: the family, the kinds of the caches, head dimensions, NaN and Inf.
2. Rehearse: encode every layer, a chunk of tokens at a time. The first ``MOST_HELD`` bytes of codes are kept, so that
   a short history is encoded once; the rest is dropped again.
3. Commit: put the compressed layers in place, encoding once more what was dropped, and free each layer's dense arrays
   before the next layer is begun.

Whatever goes wrong in the first two passes, an interrupt too, changes nothing. The third repeats what the second has
shown to work, in no more memory; an interrupt waits for its end. What may still fail there is the machine, such as
memory that another process took meanwhile: the layers done stay compressed, the others dense, no token is lost, such a
list generates on, and a second call does the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache, RotatingKVCache

from tq_core.codec import check_finite
from tq_core.errors import NonFiniteError
from tq_mlx.admission import Admission
from tq_mlx.cache import TurboQuantKVCache
from tq_mlx.centring import Centre
from tq_mlx.compressed import CompressedCache
from tq_mlx.config import TurboQuantConfig
from tq_mlx.key_norm import key_norm
from tq_mlx.rotating import TurboQuantRotatingKVCache
from tq_mlx.support import Verdict
from tq_mlx.tensor_parallel import over_all_heads
from tq_mlx.token_chunks import token_chunks
from tq_mlx.upstream import history, window

MOST_HELD = 32 << 20
"""Bytes of codes that exist beside the dense cache."""

Configs = Mapping[int, TurboQuantConfig]
"""Each layer's own configuration, by index, for the layers that are to be compressed."""


@dataclass(frozen=True)
class Plan:
    """What an upgrade will do, and what it found."""

    admission: Admission
    verdicts: Sequence[Verdict]
    configs: Configs
    before: Sequence[tuple[str, int]]
    """Of each layer, the class name of its cache and its bytes."""
    ready: dict[int, CompressedCache]
    """Layers whose codes the rehearsal kept, by index."""


def rehearse(
    cache: Sequence[Any],
    verdicts: Sequence[Verdict],
    config: TurboQuantConfig,
    admission: Admission,
    group: mx.distributed.Group | None,
) -> Plan:
    """Do everything that can fail, and change nothing; the processes of a ``group`` agree on the key bits."""
    chosen = [index for index, verdict in enumerate(verdicts) if verdict.compress]
    for index in chosen:
        check_layer(index, cache[index])
    configs = layer_configs(cache, chosen, config, group)
    ready, held = dict[int, CompressedCache](), 0
    for index, own in configs.items():
        try:
            compressed = compress_layer(cache[index], own, admission)
        except Exception as error:
            error.add_note(f"layer {index} could not be encoded: every layer is as it was")
            raise
        if held + compressed.nbytes <= MOST_HELD:
            ready[index] = compressed
            held += compressed.nbytes
    return Plan(admission, verdicts, configs, [(type(layer).__name__, layer.nbytes) for layer in cache], ready)


def commit(cache: list[Any], plan: Plan) -> KeyboardInterrupt | None:
    """Exchange the layers one by one, dropping the list's hold on each dense one; return an interrupt that came."""
    interrupt = None
    while True:
        try:
            for index, config in plan.configs.items():
                if not isinstance(cache[index], CompressedCache):
                    ready = plan.ready.pop(index, None)
                    cache[index] = ready or compress_layer(cache[index], config, plan.admission)
                    del ready
                    mx.clear_cache()  # MLX keeps freed buffers for itself otherwise
        except KeyboardInterrupt as error:
            interrupt = error
        else:
            return interrupt


def layer_configs(
    cache: Sequence[Any], chosen: Sequence[int], config: TurboQuantConfig, group: mx.distributed.Group | None
) -> Configs:
    """Return the configurations of the chosen layers."""
    if config.key_bits is None:
        return dict.fromkeys(chosen, config)
    norms = [layer_key_norm(cache[index], config) for index in chosen]
    return dict(zip(chosen, config.for_layers(over_all_heads(norms, group)), strict=True))


def layer_key_norm(layer: KVCache | RotatingKVCache, config: TurboQuantConfig) -> float:
    held = history(layer)
    if held is None:
        return 0.0
    keys = held[0][..., config.sink_tokens :, :]
    return key_norm(keys, Centre.of(keys, config.keys, config.center_block) if config.center_keys else None)


def check_layer(index: int, layer: KVCache | RotatingKVCache) -> None:
    """Raise NonFiniteError, naming the layer, if its keys or values hold NaN or Inf."""
    for side, array in zip(("keys", "values"), history(layer) or (), strict=False):
        for chunk in token_chunks(array):
            try:
                check_finite(chunk)
            except NonFiniteError as error:
                raise NonFiniteError(f"layer {index}, {side}: {error}") from error


def compress_layer(layer: KVCache | RotatingKVCache, config: TurboQuantConfig, admission: Admission) -> CompressedCache:
    """Return a compressed cache of the same history."""
    compress = compress_window if isinstance(layer, RotatingKVCache) else compress_all
    compressed = compress(layer, config, admission)
    mx.eval(compressed.state)
    return compressed


def compress_all(layer: KVCache, config: TurboQuantConfig, admission: Admission) -> TurboQuantKVCache:
    compressed = TurboQuantKVCache(config, admission)
    held = history(layer)
    if held is not None:
        compressed.load_history(*held)
    return compressed


def compress_window(layer: Any, config: TurboQuantConfig, admission: Admission) -> TurboQuantRotatingKVCache:
    compressed = TurboQuantRotatingKVCache(config, layer.max_size, admission)
    held = window(layer)
    if held is not None:
        compressed.load_history(*held, layer.offset)
    return compressed
