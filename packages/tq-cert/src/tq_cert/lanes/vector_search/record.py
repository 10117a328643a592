"""The records of a vector-search report."""

import msgspec

from tq_cert.lanes.envelope import Envelope
from tq_cert.lanes.forms import Candidate
from tq_cert.lanes.timing import Timing
from tq_cert.lanes.vector_search.settings import SearchSettings


class DataInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The vectors that were searched.

    Attributes:
        name: where they come from.
        sha256: of all of them, float32, indexed ones first.
        vectors: in the index.
        queries: that are not in it.
        dim: of each.
    """

    name: str
    sha256: str
    vectors: int
    queries: int
    dim: int


class Recall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A share, as a mean over queries, and its 95 % interval."""

    mean: float
    interval: tuple[float, float] | None


class SearchRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One index.

    Attributes:
        candidate: its codec; None for exact search over the float32 vectors.
        data: what was searched.
        index_bytes: of everything that is stored per vector.
        bits: the same per value.
        recall_at_1: share of queries whose nearest vector is found first.
        recall_1_at_10: share of queries whose nearest vector is among the first ten found (the paper's recall).
        recall_at_10: mean share of the ten nearest among the first ten found.
        build: seconds to code all vectors.
        query: seconds to search for all queries.
    """

    candidate: Candidate | None
    data: DataInfo
    index_bytes: int
    bits: float
    recall_at_1: Recall
    recall_1_at_10: Recall
    recall_at_10: Recall
    build: Timing | None
    query: Timing


SearchReport = Envelope[SearchSettings, SearchRow]
