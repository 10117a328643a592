"""Recall, bytes and times of every codec as an index, beside exact search."""

from collections.abc import Sequence
from typing import Any, cast

import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.lanes.codecs import codec_of
from tq_cert.lanes.forms import Candidate, candidates
from tq_cert.lanes.models import LoadedModel
from tq_cert.lanes.quality.statistics import mean, mean_interval
from tq_cert.lanes.timing import Timing
from tq_cert.lanes.turns import Job, clocked_in_turns
from tq_cert.lanes.vector_search.index import Index, build, nbytes, search, search_exactly
from tq_cert.lanes.vector_search.record import Recall, SearchRow
from tq_cert.lanes.vector_search.settings import NEAREST, SearchSettings
from tq_cert.lanes.vector_search.vectors import Vectors, embedding, generated
from tq_cert.progress import Progress
from tq_core import Codec

Places = list[list[int]]


def search_rows(settings: SearchSettings, loaded: LoadedModel | None, progress: Progress) -> tuple[SearchRow, ...]:
    """Exact search of a model's token embedding, or of generated vectors without a model; then every codec."""
    vectors = generated(settings) if loaded is None else embedding(loaded, settings)
    truth = places(search_exactly(vectors.indexed, vectors.queries, NEAREST))
    compared: list[Candidate | None] = [None, *candidates(settings.codecs, settings.bits)]
    sizes: dict[Candidate | None, int] = {None: vectors.indexed.nbytes}
    found: dict[Candidate | None, Places] = {None: truth}
    jobs: dict[tuple[Candidate | None, str], Job] = {(None, "query"): exact_search(vectors)}
    progress.phase("indexes", len(compared))
    for candidate in compared:
        if candidate is not None:
            codec = codec_of(candidate, settings.seed)
            index = build(codec, vectors.indexed)
            found[candidate] = places(search(codec, index, vectors.queries, NEAREST))
            sizes[candidate] = nbytes(index)
            jobs[candidate, "build"] = building(codec, vectors)
            jobs[candidate, "query"] = searching(codec, index, vectors)
        progress.reach(len(found))
    progress.phase("timings", settings.repeats + 1)
    timings = clocked_in_turns(jobs, settings.repeats, progress)
    return tuple(row(candidate, vectors, sizes[candidate], truth, found[candidate], timings) for candidate in compared)


def row(
    candidate: Candidate | None,
    vectors: Vectors,
    size: int,
    truth: Places,
    found: Places,
    timings: dict[tuple[Candidate | None, str], Timing],
) -> SearchRow:
    pairs = list(zip(truth, found, strict=True))
    return SearchRow(
        candidate=candidate,
        data=vectors.info,
        index_bytes=size,
        bits=8 * size / vectors.indexed.size,
        recall_at_1=recall([float(first[0] == second[0]) for first, second in pairs]),
        recall_1_at_10=recall([float(first[0] in second) for first, second in pairs]),
        recall_at_10=recall([len(set(first) & set(second)) / NEAREST for first, second in pairs]),
        build=timings.get((candidate, "build")),
        query=timings[candidate, "query"],
    )


def recall(shares: Sequence[float]) -> Recall:
    """The mean over queries."""
    return Recall(mean(shares), mean_interval(shares))


def places(found: mx.array) -> Places:
    return cast("Places", found.tolist())


def exact_search(vectors: Vectors) -> Job:
    return lambda: search_exactly(vectors.indexed, vectors.queries, NEAREST)


def building(codec: Codec[Any], vectors: Vectors) -> Job:
    return lambda: [array for code in build(codec, vectors.indexed) for array in code.arrays().values()]


def searching(codec: Codec[Any], index: Index, vectors: Vectors) -> Job:
    return lambda: search(codec, index, vectors.queries, NEAREST)
