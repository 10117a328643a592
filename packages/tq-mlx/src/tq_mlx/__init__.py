"""Compressed KV caches for mlx-lm.

Importing this package installs hooks in mlx-lm (see ``hooks``) unless the environment says
``TURBOQUANT_HOOKS=off``. The command ``tq-mlx`` installs them where it needs them, and says in its own words where it
cannot.
"""

import os
import sys

from tq_mlx import openblas  # first: it must run before anything imports MLX

# isort: split
from tq_mlx import operating_system as operating_system  # before anything of another system is missed

# isort: split
from tq_core import NonFiniteError, TurboQuantError, UnsupportedHeadDimError
from tq_mlx.attention import streaming_attention
from tq_mlx.batch import BatchTurboQuantKVCache
from tq_mlx.cache import SegmentMemory, TurboQuantKVCache
from tq_mlx.cache_file import cache_metadata, load_cache, save_cache
from tq_mlx.config import TurboQuantConfig
from tq_mlx.default_compression import compress_by_default, dense_by_default
from tq_mlx.errors import (
    CacheFileError,
    CacheStateError,
    ConfigError,
    DamagedCacheFileError,
    HookError,
    UnsupportedAttentionError,
    UnsupportedCacheError,
    UnsupportedCacheFileError,
    UnsupportedFamilyError,
    WrongModelError,
)
from tq_mlx.events import UpgradeEvent
from tq_mlx.hooks import hooks_installed, install, installed, uninstall
from tq_mlx.rotating import TurboQuantRotatingKVCache
from tq_mlx.status import CacheStatus, LayerStatus, status
from tq_mlx.support import family_of
from tq_mlx.upgrade import upgrade_cache_list

__all__ = [
    "BatchTurboQuantKVCache",
    "CacheFileError",
    "CacheStateError",
    "CacheStatus",
    "ConfigError",
    "DamagedCacheFileError",
    "HookError",
    "LayerStatus",
    "NonFiniteError",
    "SegmentMemory",
    "TurboQuantConfig",
    "TurboQuantError",
    "TurboQuantKVCache",
    "TurboQuantRotatingKVCache",
    "UnsupportedAttentionError",
    "UnsupportedCacheError",
    "UnsupportedCacheFileError",
    "UnsupportedFamilyError",
    "UnsupportedHeadDimError",
    "UpgradeEvent",
    "WrongModelError",
    "cache_metadata",
    "compress_by_default",
    "dense_by_default",
    "family_of",
    "hooks_installed",
    "install",
    "installed",
    "load_cache",
    "openblas",
    "save_cache",
    "status",
    "streaming_attention",
    "uninstall",
    "upgrade_cache_list",
]

if os.environ.get("TURBOQUANT_HOOKS") != "off" and os.path.basename(sys.argv[0]) != "tq-mlx":
    install()
