"""Typed errors of the mlx-lm integration: each names the offending value and the remedy."""

from tq_core import TurboQuantError


class ConfigError(TurboQuantError, ValueError):
    """A field of the configuration is out of range, unknown or contradictory."""


class UnsupportedSystemError(TurboQuantError, ImportError):
    """The operating system is not in the contract."""


class UnsupportedFamilyError(TurboQuantError, ValueError):
    """The model family is not in the contract, or was not named."""


class UnsupportedCacheError(TurboQuantError, TypeError):
    """A layer's cache is of a type, or in a state, that cannot be compressed."""


class UnsupportedAttentionError(TurboQuantError, AttributeError):
    """A model computes attention by itself instead of calling mlx-lm's scaled_dot_product_attention."""


class HookError(TurboQuantError, RuntimeError):
    """The hooks cannot be installed over this version of mlx-lm."""


class CacheStateError(TurboQuantError, ValueError):
    """The parts of a cache's state do not fit together."""


class CacheFileError(TurboQuantError, ValueError):
    """A cache file cannot be loaded; its subclasses say why."""


class DamagedCacheFileError(CacheFileError):
    """A cache file is not as it was written: truncated, changed or forged."""


class UnsupportedCacheFileError(CacheFileError):
    """A file is of another kind, or of another schema version, than this release reads."""


class WrongModelError(CacheFileError):
    """A cache file belongs to another model, or does not say to which."""
