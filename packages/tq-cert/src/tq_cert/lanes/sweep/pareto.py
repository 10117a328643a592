"""Which of some points no other point beats: fewer bits and less divergence at once."""

from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """For each (bits, divergence) whether it is on the front: none is as good in both and better in one."""
    return [not any(beats(other, point) for other in points) for point in points]


def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one != other
