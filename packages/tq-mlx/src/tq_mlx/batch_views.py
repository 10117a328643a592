"""What a batch of compressed caches hands to attention: each row's view, and where its tokens stand."""

from dataclasses import dataclass

import mlx.core as mx

from tq_mlx.views import Bypassed, TurboQuantKeysView, TurboQuantValuesView


@dataclass(frozen=True)
class Run:
    """A row's own tokens among those that were fed to a batch.

    Attributes:
        skipped: padding before them.
        count: how many.
        columns: of the mask: the row's history and these tokens.
    """

    skipped: int
    count: int
    columns: slice

    @property
    def fed(self) -> slice:
        """Where they are among the tokens fed."""
        return slice(self.skipped, self.skipped + self.count)


@dataclass(frozen=True)
class BatchView(Bypassed):
    """One side (keys or values) of all rows.

    Attributes:
        shape: (B, KV heads, columns, head_dim) of the padded dense history that the view stands for.
        dtype: of the tokens.
        runs: each row's tokens among those fed last.
    """

    shape: tuple[int, int, int, int]
    dtype: mx.Dtype
    runs: tuple[Run, ...]

    @property
    def ndim(self) -> int:
        """Return 4."""
        return len(self.shape)


@dataclass(frozen=True)
class BatchKeysView(BatchView):
    """The keys of a batch; ``rows`` has each row's view, None where nothing was ever fed to it."""

    rows: tuple[TurboQuantKeysView | None, ...]


@dataclass(frozen=True)
class BatchValuesView(BatchView):
    """The values of a batch; ``rows`` as in the keys' view."""

    rows: tuple[TurboQuantValuesView | None, ...]
