"""Runs of codes of several widths by Python integers: one big number per vector, cut into bytes."""

from collections.abc import Sequence


def bytes_of(runs: Sequence[Sequence[int]], widths: Sequence[int]) -> list[int]:
    stream, place = 0, 0
    for run, width in zip(runs, widths, strict=True):
        for code in run:
            stream += int(code) * 2**place
            place += width
    return list(stream.to_bytes(-(-place // 8), "little"))


def runs_of(stream: Sequence[int], lengths: Sequence[int], widths: Sequence[int]) -> list[list[int]]:
    rest, runs = int.from_bytes(bytes(stream), "little"), []
    for length, width in zip(lengths, widths, strict=True):
        run = []
        for _ in range(length):
            rest, code = divmod(rest, 2**width)
            run.append(code)
        runs.append(run)
    assert rest == 0, "bits beyond the last code"
    return runs
