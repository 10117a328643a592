"""Typed errors of the mlx-lm integration: each names the offending value and the remedy."""

from tq_core import TurboQuantError


class ConfigError(TurboQuantError, ValueError):
    """A field of the configuration is out of range, unknown or contradictory."""


class UnsupportedFamilyError(TurboQuantError, ValueError):
    """The model family is not in the contract, or was not named."""


class UnsupportedCacheError(TurboQuantError, TypeError):
    """A layer's cache is of a type, or in a state, that cannot be compressed."""


class UnsupportedAttentionError(TurboQuantError, AttributeError):
    """A model computes attention by itself instead of calling mlx-lm's scaled_dot_product_attention."""


class HookError(TurboQuantError, RuntimeError):
    """The hooks cannot be installed over this version of mlx-lm."""
