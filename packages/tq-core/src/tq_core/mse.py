"""TurboQuant_mse: Lloyd–Max codes of the rotated coordinates (arXiv 2504.19874, algorithm 1)."""

from dataclasses import dataclass
from typing import ClassVar

import mlx.core as mx

from tq_core.centroids import lloyd_max_values
from tq_core.codebook import nearest_lloyd_max, round_to_lloyd_max
from tq_core.scalar import ScalarCodec


@dataclass(frozen=True)
class MseCodec(ScalarCodec):
    """The Lloyd–Max codebook of N(0, 1) with 1 to 8 bits; with gain="norm" and no search, the paper's own form."""

    name: ClassVar[str] = "mse"

    def nearest(self, u: mx.array) -> mx.array:
        """Return the code of the nearest Lloyd–Max centroid."""
        return nearest_lloyd_max(u, self.bits)

    def round(self, u: mx.array) -> mx.array:
        """Return the nearest Lloyd–Max centroid."""
        return round_to_lloyd_max(u, self.bits)

    def points(self, codes: mx.array) -> mx.array:
        """Return the Lloyd–Max centroids."""
        return lloyd_max_values(codes, self.bits)
