"""`tq-cert bench vector-search`: what is found against NumPy's exact search, and what is stored."""

import msgspec
import numpy as np
import pytest

import tq_mlx  # noqa: F401  (first: it loads OpenBLAS before MLX is imported)

# isort: split
import mlx.core as mx

from tq_cert.cli import main
from tq_cert.errors import OptionError
from tq_cert.lanes.codecs import codec_of
from tq_cert.lanes.forms import Candidate
from tq_cert.lanes.quality.statistics import mean, mean_interval
from tq_cert.lanes.vector_search import index as index_module
from tq_cert.lanes.vector_search.index import best, build, nbytes, search, search_exactly
from tq_cert.lanes.vector_search.record import Recall, SearchReport
from tq_cert.lanes.vector_search.settings import SearchSettings
from tq_cert.lanes.vector_search.vectors import embedding, generated

SMALL = SearchSettings(vectors=1500, queries=60, dim=64, clusters=20, repeats=3)
QUICK = ["--vectors", "1500", "--queries", "60", "--dim", "64", "--clusters", "20", "--repeats", "3"]


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> SearchReport:
    folder = tmp_path_factory.mktemp("report")
    command = ["bench", "vector-search", *QUICK, "--bits", "2,4", "--out", str(folder / "r.json")]
    assert main([*command, "--markdown", str(folder / "r.md")]) == 0
    assert "| exact, float32 |" in (folder / "r.md").read_text()
    return msgspec.json.decode((folder / "r.json").read_bytes(), type=SearchReport)


def by_label(report: SearchReport):
    return {row.candidate.label if row.candidate else "exact": row for row in report.rows}


def nearest(scores: np.ndarray, count: int) -> list[list[int]]:
    return np.argsort(-scores, axis=-1, kind="stable")[:, :count].tolist()


def test_recall_is_that_of_the_decoded_vectors(report: SearchReport) -> None:
    vectors = generated(SMALL)
    exact, queries = (np.array(each, dtype=np.float64) for each in (vectors.indexed, vectors.queries))
    truth = nearest(queries @ exact.T, 10)
    rows = by_label(report)
    for candidate in (Candidate("prod", 4), Candidate("mse_search", 4), Candidate("uniform", 2), Candidate("polar", 4)):
        codec = codec_of(candidate, 0)
        decoded = np.array(codec.decode(codec.encode(vectors.indexed)), dtype=np.float64)
        found = nearest(queries @ decoded.T, 10)
        row = rows[candidate.label]
        shares = {
            "recall_at_1": [float(a[0] == b[0]) for a, b in zip(truth, found, strict=True)],
            "recall_1_at_10": [float(a[0] in b) for a, b in zip(truth, found, strict=True)],
            "recall_at_10": [len(set(a) & set(b)) / 10 for a, b in zip(truth, found, strict=True)],
        }
        for name, values in shares.items():
            # Float32 may order two near-equal scores the other way: one query in sixty, at most.
            assert getattr(row, name).mean == pytest.approx(mean(values), abs=1 / 60)
    assert rows["exact"].recall_at_10 == Recall(1.0, (1.0, 1.0))


def test_more_bits_find_more_and_cost_what_the_codec_says(report: SearchReport) -> None:
    rows = by_label(report)
    for form in ("prod", "mse", "mse_search", "uniform"):
        assert rows[f"{form} 2"].recall_at_10.mean < rows[f"{form} 4"].recall_at_10.mean
    for row in report.rows:
        if row.candidate:
            assert row.bits == codec_of(row.candidate).bits_per_value(64)
            assert row.index_bytes == row.bits * 1500 * 64 / 8
            assert row.build.low > 0
        assert row.query.low > 0
    assert rows["exact"].index_bytes == 1500 * 64 * 4


def test_search_is_the_same_in_blocks_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = generated(SMALL)
    codec = codec_of(Candidate("mse", 4))
    whole = search(codec, build(codec, vectors.indexed), vectors.queries, 10)
    size = nbytes(build(codec, vectors.indexed))
    monkeypatch.setattr(index_module, "BLOCK", 400)
    monkeypatch.setattr(index_module, "QUERIES", 7)
    index = build(codec, vectors.indexed)
    assert [code.tokens for code in index] == [400, 400, 400, 300]
    assert nbytes(index) == size
    assert search(codec, index, vectors.queries, 10).tolist() == whole.tolist()
    truth = nearest(np.array(vectors.queries) @ np.array(vectors.indexed).T, 1)
    assert search_exactly(vectors.indexed, vectors.queries, 1).tolist() == truth


def test_best_counts_places_across_blocks() -> None:
    scores = [mx.array([[1.0, 9.0, 3.0]]), mx.array([[8.0, 2.0]])]
    assert best(scores, 3).tolist() == [[1, 3, 2]]


def test_generated_vectors_are_those_of_their_seed_and_cluster() -> None:
    first, again, other = generated(SMALL), generated(SMALL), generated(msgspec.structs.replace(SMALL, seed=1))
    assert first.info == again.info
    assert first.info.sha256 != other.info.sha256
    x = np.array(first.indexed, dtype=np.float64)
    assert np.linalg.norm(x, axis=-1) == pytest.approx(1, abs=1e-5)
    spectrum = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    assert spectrum[0] > 8 * spectrum[31]  # no isotropic cloud
    cosines = np.sort(x @ x.T, axis=-1)
    assert np.median(cosines[:, -2]) > 0.8 > 0.5 > np.median(cosines)  # a near neighbour each, most are far


def test_a_models_embedding(tiny_llama_loaded) -> None:
    settings = SearchSettings(vectors=100, queries=20)
    vectors = embedding(tiny_llama_loaded, settings)
    table = np.array(tiny_llama_loaded.model.model.embed_tokens.weight)
    table /= np.linalg.norm(table, axis=-1, keepdims=True)
    both = np.concatenate([np.array(vectors.indexed), np.array(vectors.queries)])
    closest = both @ table.T
    assert len(set(closest.argmax(axis=-1).tolist())) == 120  # every one another row
    assert closest.max(axis=-1) == pytest.approx(1, abs=1e-5)
    with pytest.raises(OptionError, match="more than the embedding's 128"):
        embedding(tiny_llama_loaded, SearchSettings(vectors=120, queries=20))


def test_intervals_are_over_queries(report: SearchReport) -> None:
    row = by_label(report)["prod 2"]
    hits = round(row.recall_at_1.mean * 60)
    assert row.recall_at_1.interval == pytest.approx(mean_interval([1.0] * hits + [0.0] * (60 - hits)))


@pytest.mark.parametrize("change", [["--queries", "1"], ["--repeats", "2"], ["--vectors", "9"], ["--bits", "9"]])
def test_options_out_of_range(change, capsys) -> None:
    assert main(["bench", "vector-search", *QUICK, *change]) == 2
    assert change[0] in capsys.readouterr().err
