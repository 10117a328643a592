"""Every cache whose keys and values are views."""

from tq_mlx.batch import BatchTurboQuantKVCache
from tq_mlx.cache import TurboQuantKVCache
from tq_mlx.rotating import TurboQuantRotatingKVCache

CompressedCache = TurboQuantKVCache | TurboQuantRotatingKVCache | BatchTurboQuantKVCache
