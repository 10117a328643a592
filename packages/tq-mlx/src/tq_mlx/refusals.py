"""Refusals that several replacements of mlx-lm's functions share."""

from collections.abc import Generator, Mapping
from typing import Any, TypeVar

from tq_mlx.batch_views import BatchKeysView, BatchValuesView
from tq_mlx.errors import ConfigError, UnsupportedAttentionError
from tq_mlx.views import TurboQuantKeysView, TurboQuantValuesView

Step = TypeVar("Step")

VIEWS = (TurboQuantKeysView, TurboQuantValuesView, BatchKeysView, BatchValuesView)
"""What compressed caches hand out in the place of arrays."""


def no_second_compression(kwargs: Mapping[str, Any]) -> None:
    """Raise ConfigError if mlx-lm's own cache quantization is asked for as well."""
    if kwargs.get("kv_bits") is not None:
        raise ConfigError(
            f"kv_bits is {kwargs['kv_bits']} and turboquant_config is given: a cache is compressed one way, use either"
        )


def typed_bypass(steps: Generator[Step, None, None]) -> Generator[Step, None, None]:
    """Yield the steps of a generation; where MLX refuses a view that a model handed to it, raise a typed error.

    Raises:
        UnsupportedAttentionError: the model computes attention by itself.
    """
    try:
        yield from steps
    except (TypeError, ValueError) as error:
        if any(view.__name__ in str(error) for view in VIEWS):
            first = str(error).partition("\n")[0]
            raise UnsupportedAttentionError(
                f"the model hands a compressed cache's keys or values to MLX itself ({first}) instead of calling "
                "mlx_lm.models.base.scaled_dot_product_attention; leave its cache dense"
            ) from error
        raise
