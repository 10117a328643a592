"""What theory says of estimated inner products, for large D: of the codecs whose form it covers.

With D_mse the distortion of the Lloyd–Max codebook, the paper's mse form shortens every vector by 1 - D_mse and errs by
D_mse in all; prod estimates without bias and errs by π/2 of its mse stage's D_mse (arXiv 2504.19874, theorem 2).
"""

import math

import msgspec

from tq_cert.lanes.forms import Candidate

LLOYD_MAX_D_MSE = {0: 1.0, 1: 1 - 2 / math.pi, 2: 0.117482, 3: 0.0345478, 4: 0.00950096}
"""Bits → D_mse; with none, everything is missed."""


class Theory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is expected.

    Attributes:
        slope_error: of the estimates over the true inner products, less one.
        error_times_dim: D · E(estimate - truth)² for unit vectors and independent unit queries.
    """

    slope_error: float
    error_times_dim: float


def theory_of(candidate: Candidate) -> Theory | None:
    """The expectation, or None where no formula is known."""
    match candidate.form:
        case "prod" if candidate.bits - 1 in LLOYD_MAX_D_MSE:
            return Theory(0.0, math.pi / 2 * LLOYD_MAX_D_MSE[candidate.bits - 1])
        case "mse" if candidate.bits in LLOYD_MAX_D_MSE:
            return Theory(-LLOYD_MAX_D_MSE[candidate.bits], LLOYD_MAX_D_MSE[candidate.bits])
        case _:
            return None
