"""The lane as a whole on a tiny model: its numbers against an independent oracle, and how it goes on after a stop."""

from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import msgspec
import numpy as np
import pytest
from mlx_lm.models.cache import QuantizedKVCache

from tq_cert.lanes.errors import UnservedMethodError
from tq_cert.lanes.journal import Journal
from tq_cert.lanes.provenance import collect
from tq_cert.lanes.quality import lane
from tq_cert.lanes.quality.methods import parse_methods
from tq_cert.lanes.quality.record import QualityRow, WindowMeasurement
from tq_cert.lanes.quality.settings import Scope
from tq_cert.lanes.quality.summary import summarize
from tq_cert.lanes.texts import Text, cut
from tq_cert.progress import Silent
from tq_mlx import TurboQuantConfig, TurboQuantKVCache

SCOPE = Scope(context=96, windows=3, chunk=40)
METHODS = parse_methods("dense,mlx:kv4,preset:paper_mse,preset:uniform_k4v4,preset:lloyd_k4v4")
TEXT = Text("prose", "0" * 64, "The quick brown fox jumps over the lazy dog, again. " * 20)
PROVENANCE = collect(device="test", openblas="test")


def measure(loaded, *, scope=SCOPE, methods=METHODS, journal=None, progress=None, keep=False):
    windows = cut(TEXT, loaded.tokenizer, context=scope.context, windows=scope.windows)
    journal = journal or Journal(None, WindowMeasurement)
    progress = progress or Silent()
    return lane.quality_rows(loaded, windows, methods, scope, PROVENANCE, journal, progress, keep_positions=keep)


def without_seconds(rows: tuple[QualityRow, ...]) -> list[object]:
    def strip(value: object) -> object:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items() if key != "seconds"}
        return [strip(item) for item in value] if isinstance(value, list | tuple) else value

    return strip(msgspec.to_builtins(rows))


def oracle(loaded, tokens: tuple[int, ...], make) -> tuple[np.ndarray, np.ndarray]:
    """log p of a dense run without any cache and log q of a chunked run with these caches, float64."""

    def log_softmax(logits: mx.array) -> np.ndarray:
        x = np.array(logits.astype(mx.float32)).astype(np.float64)
        return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))

    ids, caches = mx.array(tokens)[None], [make() for _ in loaded.model.layers]
    chunks = [loaded.model(ids[:, i : i + SCOPE.chunk], cache=caches) for i in range(0, len(tokens), SCOPE.chunk)]
    return log_softmax(loaded.model(ids)[0]), log_softmax(mx.concatenate(chunks, axis=1)[0])


@pytest.mark.parametrize("name", ["mlx:kv4", "preset:lloyd_k4v4"])
def test_agrees_with_an_independent_measurement(name: str, tiny_llama_loaded) -> None:
    stress = replace(TurboQuantConfig.from_preset("lloyd_k4v4"), tail_tokens=0, block_tokens=1)
    build = {"mlx:kv4": lambda: QuantizedKVCache(64, 4), "preset:lloyd_k4v4": lambda: TurboQuantKVCache(stress)}[name]
    (row,) = measure(tiny_llama_loaded, methods=parse_methods(name), keep=True)
    windows = cut(TEXT, tiny_llama_loaded.tokenizer, context=SCOPE.context, windows=SCOPE.windows)
    kls, nlls, dense_nlls, flips = [], [], [], 0
    for tokens in windows.tokens:
        p, q = oracle(tiny_llama_loaded, tokens, build)
        kls.append((np.exp(p) * (p - q)).sum(axis=-1))
        rows, targets = np.arange(len(tokens) - 1), list(tokens[1:])
        nlls.append(-q[rows, targets])
        dense_nlls.append(-p[rows, targets])
        flips += (p.argmax(axis=-1) != q.argmax(axis=-1)).sum()
    pooled = np.concatenate(kls)
    assert row.kl.mean == pytest.approx(pooled.mean(), rel=1e-3)
    for value, share in ((row.kl.p50, 0.5), (row.kl.p99, 0.99), (row.kl.p999, 0.999), (row.kl.largest, 1.0)):
        assert value == pytest.approx(np.quantile(pooled, share), rel=1e-2)
    assert row.flip_rate == pytest.approx(flips / pooled.size, abs=1.01 / pooled.size)
    perplexities = [np.exp(np.concatenate(nll).mean()) for nll in (nlls, dense_nlls)]
    assert row.perplexity == pytest.approx(perplexities[0], rel=1e-5)
    assert row.perplexity_change == pytest.approx(perplexities[0] / perplexities[1] - 1, abs=1e-5)
    assert row.windows[1].kl_positions == pytest.approx(kls[1], rel=2e-2, abs=1e-8)


def test_rows(tiny_llama_loaded) -> None:
    rows = {row.method: row for row in measure(tiny_llama_loaded)}
    assert list(rows) == [method.name for method in METHODS]
    dense = rows.pop("dense")
    assert (dense.kl.mean, dense.kl.largest, dense.flip_rate, dense.perplexity_change) == (0, 0, 0, 0)
    assert dense.stored_bits.model16 == 16
    assert dense.compressed_layers == 0
    assert dense.parameters is None
    for row in rows.values():
        assert 0 < row.kl.p50 <= row.kl.p99 <= row.kl.p999 <= row.kl.largest
        assert row.kl.interval[0] < row.kl.mean < row.kl.interval[1]
        assert row.compressed_layers == row.layers == 2
        assert row.stored_bits.model16 < 6
        assert len(row.windows) == SCOPE.windows
    assert rows["preset:lloyd_k4v4"].kl.mean < rows["preset:paper_mse"].kl.mean
    assert rows["preset:lloyd_k4v4"].parameters["preset"] == "lloyd_k4v4"


def test_a_row_follows_from_its_windows(tiny_llama_loaded) -> None:
    for row in measure(tiny_llama_loaded, keep=True):
        assert summarize(row.parameters, row.windows, keep_positions=True) == row


def test_positions_are_left_out_unless_asked_for(tiny_llama_loaded) -> None:
    rows = measure(tiny_llama_loaded)
    assert all(window.kl_positions is None for row in rows for window in row.windows)


def test_service_keeps_the_tail_and_stores_more(tiny_llama_loaded) -> None:
    methods = parse_methods("preset:lloyd_k4v4")
    long = msgspec.structs.replace(SCOPE, context=320, windows=1)
    (stress,) = measure(tiny_llama_loaded, scope=long, methods=methods)
    (service,) = measure(tiny_llama_loaded, scope=msgspec.structs.replace(long, mode="service"), methods=methods)
    assert service.kl.mean < stress.kl.mean
    assert service.stored_bits.model16 > stress.stored_bits.model16 + 4


def test_equal_noise_bits_run(tiny_llama_loaded, tmp_path: Path) -> None:
    file = tmp_path / "equal.json"
    config = {"keys": {"codec": "mse", "bits": 4}, "values": {"codec": "mse", "bits": 4}, "center_block": 64}
    file.write_bytes(msgspec.json.encode({**config, "key_bits": {"kind": "mean", "mean": 3.5}}))
    (row,) = measure(tiny_llama_loaded, methods=parse_methods(f"config:{file}"))
    (plain,) = measure(tiny_llama_loaded, methods=parse_methods("preset:lloyd_k4v4"))
    assert plain.stored_bits.model16 - row.stored_bits.model16 == pytest.approx(0.25, abs=0.02)


def test_a_method_that_does_not_serve_is_refused_before_anything_is_measured(tiny_llama_loaded) -> None:
    journal = Journal(None, WindowMeasurement)
    with pytest.raises(UnservedMethodError):
        measure(tiny_llama_loaded, methods=parse_methods("dense,mlx:kv4g128"), journal=journal)
    assert not journal.found


class StopAfter(Silent):
    """Interrupts when so many tokens have been fed."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def reach(self, done: int) -> None:
        if done > self.tokens:
            raise KeyboardInterrupt


@pytest.mark.parametrize("tokens", [0, 700, 1300])
def test_an_interrupted_run_goes_on(tokens: int, tiny_llama_loaded, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "report.json.partial"
    with pytest.raises(KeyboardInterrupt):
        measure(tiny_llama_loaded, journal=Journal(path, WindowMeasurement), progress=StopAfter(tokens))
    finished = len(Journal(path, WindowMeasurement).found)
    assert finished == tokens // (SCOPE.context * (len(METHODS) + 1)) * len(METHODS)
    windows: list[int] = []
    monkeypatch.setattr(lane, "measure_window", spy(lane.measure_window, windows))
    resumed = measure(tiny_llama_loaded, journal=Journal(path, WindowMeasurement))
    assert len(windows) == SCOPE.windows - finished // len(METHODS)
    assert without_seconds(resumed) == without_seconds(measure(tiny_llama_loaded))


def spy(function, calls: list[int]):
    def wrapper(*arguments, **options):
        calls.append(len(arguments[3]))
        return function(*arguments, **options)

    return wrapper


def test_only_what_is_missing_is_measured(tiny_llama_loaded, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "report.json.partial"
    fewer = msgspec.structs.replace(SCOPE, windows=2)
    measure(tiny_llama_loaded, scope=fewer, methods=METHODS[:2], journal=Journal(path, WindowMeasurement))
    contenders: list[int] = []
    monkeypatch.setattr(lane, "measure_window", spy(lane.measure_window, contenders))
    measure(tiny_llama_loaded, journal=Journal(path, WindowMeasurement))
    assert contenders == [3, 3, 5]  # the other methods on two windows, all on the third


def test_other_settings_are_measured_anew(tiny_llama_loaded, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "report.json.partial"
    measure(tiny_llama_loaded, methods=METHODS[:2], journal=Journal(path, WindowMeasurement))
    contenders: list[int] = []
    monkeypatch.setattr(lane, "measure_window", spy(lane.measure_window, contenders))
    for change in ({"chunk": 41}, {"mode": "service"}, {"layers": "all"}, {"context": 97}):
        scope = msgspec.structs.replace(SCOPE, **change)
        measure(tiny_llama_loaded, scope=scope, methods=METHODS[:2], journal=Journal(path, WindowMeasurement))
    assert contenders == [2] * 12
    measure(tiny_llama_loaded, methods=METHODS[:2], journal=Journal(path, WindowMeasurement))
    assert len(contenders) == 12


def test_many_methods_take_several_dense_runs(tiny_llama_loaded, monkeypatch) -> None:
    together = without_seconds(measure(tiny_llama_loaded))
    monkeypatch.setattr(lane, "MOST_CONTENDERS", 2)
    assert without_seconds(measure(tiny_llama_loaded)) == together


def test_a_damaged_journal_costs_only_its_damaged_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, dict)
    for index in range(3):
        journal.add(f"key{index}", {"value": index})
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    cut_short = Journal(path, dict)
    assert set(cut_short.found) == {"key0", "key1"}
    cut_short.add("key2", {"value": 2})
    assert path.read_bytes() == whole
    path.write_bytes(whole.replace(b'"key1"', b'"key1') + b"\xff\n")
    assert set(Journal(path, dict).found) == {"key0", "key2"}
    journal.discard()
    assert not path.exists()
