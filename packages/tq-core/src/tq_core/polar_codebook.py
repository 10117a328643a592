"""Codebooks for the angles of the polar transform: even on the circle, Lloyd–Max above it.

For coordinates that are independent and Gaussian, the angle of level 1 is uniform on [0, 2π), and those of level ℓ ≥ 2
have a density proportional to sin^(2^(ℓ−1)−1)(2ψ) on [0, π/2]: symmetric about π/4, and the narrower the higher the
level. Constants, each computed to the digits shown by ``scripts/polar_tables.py`` from the optimality conditions alone;
a test recomputes them. Codes count angles in ascending order.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import cast

import mlx.core as mx

from tq_core.errors import InvalidCodecError
from tq_core.parameters import check_count

# fmt: off
OFFSETS: dict[int, dict[int, tuple[float, ...]]] = {  # level → bits → positive distances from π/4
    2: {
        1: (0.2853982,),
        2: (0.1514179, 0.4756420),
        3: (0.0781682, 0.2371432, 0.4054019, 0.5969485),
        4: (0.0397392, 0.1195552, 0.2004231, 0.2831880, 0.3689752, 0.4594986, 0.5578854, 0.6719734),
        5: (
            0.0200388, 0.0601594, 0.1004102, 0.1408822, 0.1816731, 0.2228905, 0.2646567, 0.3071153,
            0.3504397, 0.3948478, 0.4406253, 0.4881665, 0.5380541, 0.5912377, 0.6495214, 0.7175303,
        ),
    },
    3: {
        1: (0.2020648,),
        2: (0.1110132, 0.3591485),
        3: (0.0586516, 0.1793302, 0.3122226, 0.4778816),
        4: (0.0302321, 0.0911437, 0.1534590, 0.2183470, 0.2874402, 0.3633789, 0.4513357, 0.5654565),
        5: (
            0.0153623, 0.0461450, 0.0771043, 0.1083647, 0.1400619, 0.1723484, 0.2054020, 0.2394368,
            0.2747202, 0.3115998, 0.3505484, 0.3922465, 0.4377467, 0.4888545, 0.5492145, 0.6289154,
        ),
    },
    4: {
        1: (0.1422434,),
        2: (0.0794888, 0.2611841),
        3: (0.0425279, 0.1306011, 0.2297478, 0.3596369),
        4: (0.0221032, 0.0667181, 0.1126202, 0.1609016, 0.2131260, 0.2719031, 0.3425424, 0.4402885),
        5: (
            0.0112876, 0.0339168, 0.0567096, 0.0797822, 0.1032621, 0.1272941, 0.1520495, 0.1777375,
            0.2046237, 0.2330601, 0.2635358, 0.2967704, 0.3339070, 0.3769668, 0.4301826, 0.5058546,
        ),
    },
    5: {
        1: (0.1002075,),
        2: (0.0564453, 0.1868949),
        3: (0.0303827, 0.0935112, 0.1653692, 0.2618433),
        4: (0.0158559, 0.0478909, 0.0809470, 0.1158977, 0.1540091, 0.1974244, 0.2505809, 0.3265087),
        5: (
            0.0081179, 0.0243966, 0.0408058, 0.0574385, 0.0743970, 0.0917983, 0.1097813, 0.1285172,
            0.1482252, 0.1691980, 0.1918464, 0.2167816, 0.2449866, 0.2782244, 0.3202539, 0.3822575,
        ),
    },
    6: {
        1: (0.0706991,),
        2: (0.0399745, 0.1328576),
        3: (0.0215791, 0.0664890, 0.1178894, 0.1877239),
        4: (0.0112835, 0.0340914, 0.0576607, 0.0826456, 0.1099992, 0.1413458, 0.1800748, 0.2362416),
        5: (
            0.0057839, 0.0173838, 0.0290813, 0.0409459, 0.0530546, 0.0654951, 0.0783723, 0.0918158,
            0.1059919, 0.1211239, 0.1375264, 0.1556699, 0.1763155, 0.2008373, 0.2321880, 0.2792465,
        ),
    },
    7: {
        1: (0.0499313,),
        2: (0.0282839, 0.0941780),
        3: (0.0152895, 0.0471356, 0.0836828, 0.1336274),
        4: (0.0080023, 0.0241814, 0.0409129, 0.0586721, 0.0781535, 0.1005444, 0.1283314, 0.1689268),
        5: (
            0.0041043, 0.0123361, 0.0206389, 0.0290631, 0.0376645, 0.0465074, 0.0556680, 0.0652410,
            0.0753481, 0.0861530, 0.0978869, 0.1108962, 0.1257428, 0.1434444, 0.1661960, 0.2006304,
        ),
    },
    8: {
        1: (0.0352845,),
        2: (0.0200052, 0.0666737),
        3: (0.0108217, 0.0333710, 0.0592837, 0.0947977),
        4: (0.0056665, 0.0171244, 0.0289778, 0.0415673, 0.0553913, 0.0713029, 0.0910926, 0.1201085),
        5: (
            0.0029071, 0.0087378, 0.0146194, 0.0205879, 0.0266836, 0.0329523, 0.0394488, 0.0462413,
            0.0534170, 0.0610940, 0.0694387, 0.0787009, 0.0892864, 0.1019312, 0.1182258, 0.1429867,
        ),
    },
    9: {
        1: (0.0249420,),
        2: (0.0141476, 0.0471731),
        3: (0.0076557, 0.0236110, 0.0419586, 0.0671404),
        4: (0.0040096, 0.0121175, 0.0205068, 0.0294200, 0.0392121, 0.0504911, 0.0645342, 0.0851614),
        5: (
            0.0020573, 0.0061836, 0.0103460, 0.0145704, 0.0188854, 0.0233233, 0.0279236, 0.0327345,
            0.0378185, 0.0432598, 0.0491770, 0.0557486, 0.0632645, 0.0722509, 0.0838461, 0.1015008,
        ),
    },
    10: {
        1: (0.0176338,),
        2: (0.0100045, 0.0333661),
        3: (0.0054146, 0.0167004, 0.0296827, 0.0475134),
        4: (0.0028361, 0.0085713, 0.0145061, 0.0208125, 0.0277425, 0.0357277, 0.0456752, 0.0602995),
        5: (
            0.0014552, 0.0043739, 0.0073184, 0.0103066, 0.0133590, 0.0164990, 0.0197539, 0.0231584,
            0.0267568, 0.0306087, 0.0347985, 0.0394531, 0.0447785, 0.0511488, 0.0593738, 0.0719094,
        ),
    },
}
# fmt: on


CIRCLE_WIDTHS = range(2, 9)
"""Bits of an angle of level 1: with one, half a circle would share an angle."""

DEEPEST = max(OFFSETS)
"""Levels with a codebook: enough for blocks of 1024 coordinates."""


def check_level_bits(level_bits: object) -> None:
    """Raise InvalidCodecError unless there is a codebook for every level's width."""
    if not isinstance(level_bits, tuple):
        raise InvalidCodecError(f"level_bits is {level_bits!r}: use a tuple of widths")
    widths = cast("tuple[object, ...]", level_bits)
    if not 1 <= len(widths) <= DEEPEST:
        raise InvalidCodecError(f"level_bits {widths} has {len(widths)} levels: use 1 to {DEEPEST}")
    for level, bits in enumerate(widths, start=1):
        known = CIRCLE_WIDTHS if level == 1 else OFFSETS[level]
        check_count(f"width {level} of level_bits {widths}", bits, min(known), max(known))


@lru_cache
def angles(level: int, bits: int) -> tuple[float, ...]:
    """Return the 2^bits angles of a level, ascending."""
    if level == 1:
        return tuple((k + 0.5) * math.tau / 2**bits for k in range(2**bits))
    offsets = OFFSETS[level][bits]
    return tuple(math.pi / 4 + x for x in (*(-x for x in reversed(offsets)), *offsets))


@lru_cache
def directions(level: int, bits: int) -> mx.array:
    """Return (cos, sin) of the angles of a level, [2^bits, 2], float32."""
    return mx.array([[math.cos(psi), math.sin(psi)] for psi in angles(level, bits)])


def nearest_angle(a: mx.array, b: mx.array, level: int, bits: int) -> mx.array:
    """Return the code of the angle nearest to that of each point (a, b), uint8; above level 1, a and b are ≥ 0."""
    if level > 1:
        return count_below(a, b, [(x + y) / 2 for x, y in pairwise(angles(level, bits))])
    quarter = 1 << (bits - 2)
    rank = count_below(mx.abs(a), mx.abs(b), [k * math.tau / 2**bits for k in range(1, quarter)])
    upper = mx.where(a < 0, 2 * quarter - 1 - rank, rank)
    return mx.where(b < 0, 4 * quarter - 1 - upper, upper)


def count_below(a: mx.array, b: mx.array, thresholds: Sequence[float]) -> mx.array:
    """Return how many thresholds the angle of each point (a, b) of the first quadrant exceeds, uint8."""
    count = mx.zeros(a.shape, dtype=mx.uint8)
    for threshold in thresholds:  # comparing tangents beats an arctangent several times
        count = count + (b > a * math.tan(threshold))
    return count
