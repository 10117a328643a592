"""Scalar codebooks for N(0, 1): Lloyd–Max centroids and the best evenly spaced grids.

Constants, each computed to the digits shown by ``scripts/codebook_tables.py`` from the optimality conditions alone
(Lloyd 1982, Max 1960); a test recomputes them. Codes count centroids in ascending order, so code c of b bits sits at
the centred index c − (2^b − 1)/2 and a codebook is an odd function of it.
"""

from functools import lru_cache
from itertools import pairwise

import mlx.core as mx

from tq_core.step_function import MOST_SELECTED, step_function

# fmt: off
LLOYD_MAX: dict[int, tuple[float, ...]] = {  # bits → positive centroids
    1: (
        0.7978846,
    ),
    2: (
        0.4527800, 1.5104176,
    ),
    3: (
        0.2450942, 0.7560053, 1.3439093, 2.1519457,
    ),
    4: (
        0.1283950, 0.3880483, 0.6567591, 0.9423405, 1.2562312, 1.6180464, 2.0690172, 2.7325896,
    ),
    5: (
        0.0658897, 0.1980518, 0.3313783, 0.4666995, 0.6049336, 0.7471357, 0.8945651, 1.0487833,
        1.2118044, 1.3863403, 1.5762281, 1.7872332, 2.0287284, 2.3177394, 2.6911196, 3.2607325,
    ),
    6: (
        0.0334095, 0.1002783, 0.1672969, 0.2345670, 0.3021928, 0.3702826, 0.4389497, 0.5083138,
        0.5785030, 0.6496556, 0.7219219, 0.7954677, 0.8704766, 0.9471549, 1.0257363, 1.1064882,
        1.1897201, 1.2757945, 1.3651410, 1.4582764, 1.5558312, 1.6585889, 1.7675419, 1.8839772,
        2.0096110, 2.1468102, 2.2989812, 2.4713048, 2.6722738, 2.9174068, 3.2404371, 3.7441013,
    ),
    7: (
        0.0168282, 0.0504909, 0.0841726, 0.1178863, 0.1516446, 0.1854607, 0.2193476, 0.2533187,
        0.2873876, 0.3215679, 0.3558740, 0.3903203, 0.4249216, 0.4596934, 0.4946515, 0.5298122,
        0.5651927, 0.6008105, 0.6366843, 0.6728333, 0.7092778, 0.7460391, 0.7831396, 0.8206030,
        0.8584542, 0.8967200, 0.9354285, 0.9746100, 1.0142967, 1.0545232, 1.0953267, 1.1367474,
        1.1788286, 1.2216174, 1.2651651, 1.3095276, 1.3547663, 1.4009486, 1.4481489, 1.4964500,
        1.5459437, 1.5967331, 1.6489339, 1.7026770, 1.7581114, 1.8154077, 1.8747625, 1.9364046,
        2.0006018, 2.0676715, 2.1379934, 2.2120275, 2.2903392, 2.3736343, 2.4628114, 2.5590405,
        2.6638865, 2.7795143, 2.9090471, 3.0572462, 3.2319332, 3.4474303, 3.7349366, 4.1896942,
    ),
    8: (
        0.0084462, 0.0253394, 0.0422350, 0.0591346, 0.0760399, 0.0929524, 0.1098737, 0.1268056,
        0.1437496, 0.1607073, 0.1776805, 0.1946707, 0.2116798, 0.2287092, 0.2457608, 0.2628362,
        0.2799372, 0.2970656, 0.3142230, 0.3314114, 0.3486324, 0.3658880, 0.3831800, 0.4005102,
        0.4178806, 0.4352932, 0.4527499, 0.4702527, 0.4878036, 0.5054048, 0.5230583, 0.5407663,
        0.5585310, 0.5763547, 0.5942396, 0.6121881, 0.6302026, 0.6482855, 0.6664394, 0.6846668,
        0.7029703, 0.7213526, 0.7398166, 0.7583650, 0.7770008, 0.7957270, 0.8145467, 0.8334630,
        0.8524793, 0.8715989, 0.8908253, 0.9101621, 0.9296130, 0.9491818, 0.9688726, 0.9886894,
        1.0086364, 1.0287182, 1.0489392, 1.0693042, 1.0898181, 1.1104860, 1.1313133, 1.1523054,
        1.1734682, 1.1948076, 1.2163300, 1.2380418, 1.2599499, 1.2820615, 1.3043840, 1.3269253,
        1.3496937, 1.3726976, 1.3959463, 1.4194493, 1.4432166, 1.4672587, 1.4915870, 1.5162131,
        1.5411497, 1.5664098, 1.5920076, 1.6179578, 1.6442765, 1.6709804, 1.6980875, 1.7256170,
        1.7535894, 1.7820269, 1.8109531, 1.8403933, 1.8703751, 1.9009281, 1.9320842, 1.9638784,
        1.9963485, 2.0295357, 2.0634852, 2.0982465, 2.1338741, 2.1704282, 2.2079755, 2.2465899,
        2.2863545, 2.3273619, 2.3697171, 2.4135387, 2.4589621, 2.5061426, 2.5552594, 2.6065215,
        2.6601740, 2.7165076, 2.7758707, 2.8386858, 2.9054729, 2.9768821, 3.0537420, 3.1371325,
        3.2285002, 3.3298485, 3.4440717, 3.5755880, 3.7316663, 3.9256378, 4.1865954, 4.6035356,
    ),
}
# fmt: on

UNIFORM_STEP = {  # bits → spacing of the grid with the least D_mse
    1: 1.5957691,
    2: 0.9956867,
    3: 0.5860194,
    4: 0.3352006,
    5: 0.1881388,
    6: 0.1040630,
    7: 0.0568677,
    8: 0.0307624,
}

ODD_POLYNOMIAL = {  # bits → coefficients of t, t³, t⁵ … with t the centred index over its largest value
    1: (0.79788456,),
    2: (1.33933042, 0.17108719),
    3: (1.70989454, 0.28135513, 0.05245436, 0.10824167),
    4: (1.92416676, 0.39495336, 0.16860538, 0.10861395, -0.05935883, 0.36555082, -0.45238009, 0.28243822),
}
"""The odd polynomials through all positive centroids: a codebook without a table, exact to float32."""


@lru_cache
def lloyd_max(bits: int) -> mx.array:
    """Return the 2^bits Lloyd–Max centroids of N(0, 1), ascending, float32."""
    positive = LLOYD_MAX[bits]
    return mx.array([-c for c in reversed(positive)] + list(positive))


@lru_cache
def positive_thresholds(bits: int) -> tuple[float, ...]:
    """Return the 2^(bits−1) − 1 midpoints between positive Lloyd–Max centroids, ascending."""
    return tuple((a + b) / 2 for a, b in pairwise(LLOYD_MAX[bits]))


def nearest_lloyd_max(x: mx.array, bits: int) -> mx.array:
    """Return the code of the nearest centroid of each element, uint32."""
    ranks = tuple(float(rank) for rank in range(1 << (bits - 1)))
    return code_of_rank(x, step_function(mx.abs(x), positive_thresholds(bits), ranks), bits)


def round_to_lloyd_max(x: mx.array, bits: int) -> mx.array:
    """Return the nearest centroid of each element: ``lloyd_max(bits)[nearest_lloyd_max(x, bits)]``."""
    centroid = step_function(mx.abs(x), positive_thresholds(bits), LLOYD_MAX[bits])
    return mx.where(x < 0, -centroid, centroid)


def nearest_uniform(x: mx.array, bits: int) -> mx.array:
    """Return the code of the nearest point of the evenly spaced grid of each element, uint32."""
    steps, last = mx.abs(x) / UNIFORM_STEP[bits], 2 ** (bits - 1) - 1
    return code_of_rank(x, mx.minimum(mx.floor(steps), last), bits)


def round_to_uniform(x: mx.array, bits: int) -> mx.array:
    """Return the nearest point of the evenly spaced grid of each element."""
    step, half = UNIFORM_STEP[bits], 1 << (bits - 1)
    if half - 1 <= MOST_SELECTED:
        thresholds = tuple(rank * step for rank in range(1, half))
        point = step_function(mx.abs(x), thresholds, tuple((rank + 0.5) * step for rank in range(half)))
    else:
        point = (mx.minimum(mx.floor(mx.abs(x) / step), half - 1) + 0.5) * step
    return mx.where(x < 0, -point, point)


def code_of_rank(x: mx.array, rank: mx.array, bits: int) -> mx.array:
    """Return the code (uint32) of the centroid that has the sign of x and ``rank`` others between itself and zero."""
    half = 1 << (bits - 1)
    return mx.where(x < 0, half - 1 - rank, half + rank).astype(mx.uint32)
