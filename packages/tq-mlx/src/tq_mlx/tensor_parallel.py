"""What layers of a sharded model must agree on: each process holds some of the heads, the choice of bits sees all."""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx


def group_of(model: Any) -> mx.distributed.Group | None:
    """Return the group over which a model's layers are sharded (mlx-lm's ``model.shard``), or None."""
    for _, module in model.named_modules() if hasattr(model, "named_modules") else ():
        group = getattr(module, "group", None)
        if isinstance(group, mx.distributed.Group) and group.size() > 1:
            return group
    return None


def over_all_heads(norms: Sequence[float], group: mx.distributed.Group | None) -> list[float]:
    """Return each layer's root mean square norm over the heads of all processes, which hold equally many each.

    Every process of the group must call this at the same point, and gets the same numbers.
    """
    if group is None:
        return list(norms)
    squares = mx.distributed.all_sum(mx.square(mx.array(list(norms))), group=group) / group.size()
    return mx.sqrt(squares).tolist()  # pyright: ignore[reportReturnType]
