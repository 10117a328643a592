"""`tq-cert bench sweep`: the grid, the Pareto front, the levers' effects, and the command."""

import itertools
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_cert.cli import main
from tq_cert.errors import OptionError
from tq_cert.lanes.quality.methods import names_of
from tq_cert.lanes.sweep.effects import effects
from tq_cert.lanes.sweep.grid import LEVERS, bits_list, make_grid, names_list
from tq_cert.lanes.sweep.pareto import pareto_front
from tq_cert.lanes.sweep.record import SweepReport
from tq_mlx import TurboQuantConfig

NUMBERS = st.sampled_from([0.5, 1.0, 2.0, 3.0])


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=12))
def test_pareto_front(points: list[tuple[float, float]]) -> None:
    front = pareto_front(points)
    for (bits, kl), on in zip(points, front, strict=True):
        better = [p for p in points if p[0] <= bits and p[1] <= kl and p != (bits, kl)]
        assert on == (not better)
    assert front[points.index(min(points))]


def test_grid_has_every_combination_once() -> None:
    points = make_grid(("mse", "uniform"), (3, 4), (2, 3, 4), LEVERS)
    assert len(points) == len(set(points)) == 2 * 2 * 3 * 8
    names = names_of([point.method for point in points])
    assert len(set(names)) == len(points)
    assert names[0] == "mse k3v2"
    assert "uniform k4v3 no-centering no-search no-sinks" in names
    assert len(make_grid(("mse",), (3,), (4,), ("search",))) == 2


def test_every_lever_reaches_the_configuration() -> None:
    for point in make_grid(("mse", "uniform"), (3,), (4,), LEVERS):
        config = TurboQuantConfig.from_dict(point.method.parameters)
        assert (config.keys.bits, config.values.bits, config.keys.name) == (3, 4, point.codec)
        assert config.center_keys == point.centering
        assert config.keys.scale_search == config.values.scale_search == point.search
        assert config.sink_tokens == (4 if point.sinks else 0)


def test_lists() -> None:
    assert bits_list("--k-bits", "2, 4") == (2, 4)
    assert names_list("--levers", "all", LEVERS) == LEVERS
    assert names_list("--levers", "none", LEVERS) == ()
    assert names_list("--levers", "sinks,search", LEVERS) == ("sinks", "search")
    for text in ("9", "x", "", "3,3"):
        with pytest.raises(OptionError, match="--k-bits"):
            bits_list("--k-bits", text)
    with pytest.raises(OptionError, match="heat"):
        names_list("--levers", "heat", LEVERS)


@pytest.fixture(scope="module")
def arguments(tiny_llama_directory: Path, tmp_path_factory) -> list[str]:
    text = tmp_path_factory.mktemp("text") / "prose.txt"
    text.write_text("The quick brown fox jumps over the lazy dog, again and again. " * 5)
    command = ["bench", "sweep", "--model", str(tiny_llama_directory), "--text", str(text), "--context", "48"]
    return [*command, "--windows", "2", "--k-bits", "2,4", "--v-bits", "4", "--levers", "centering,sinks"]


@pytest.fixture(scope="module")
def sweep(arguments: list[str], tmp_path_factory) -> tuple[SweepReport, Path]:
    directory = tmp_path_factory.mktemp("sweep")
    out, plot = directory / "sweep.json", directory / "sweep.svg"
    assert main([*arguments, "--out", str(out), "--plot", str(plot), "--markdown", str(directory / "sweep.md")]) == 0
    assert not (directory / "sweep.json.partial").exists()
    return msgspec.json.decode(out.read_bytes(), type=SweepReport), directory


def test_report(sweep) -> None:
    report, _ = sweep
    grid = [row for row in report.rows if row.point is not None]
    assert (report.lane, len(grid)) == ("sweep", 16)
    assert [row.quality.method for row in report.rows[16:]] == ["mlx:kv4", "mlx:kv8"]
    assert all(row.point.name == row.quality.method for row in grid)
    points = [(row.quality.stored_bits.model16, row.quality.kl.mean) for row in grid]
    assert [row.pareto for row in grid] == pareto_front(points)
    assert not any(row.pareto for row in report.rows[16:])


def test_effects(sweep) -> None:
    report, _ = sweep
    by_lever = {effect.lever: effect for effect in effects(report.rows)}
    assert set(by_lever) == {"centering", "sinks"}
    kl = {row.point: row.quality.kl.mean for row in report.rows if row.point}
    pairs = [(a, b) for a, b in itertools.permutations(kl, 2) if differ_in(a, b, "sinks")]
    ratios = [kl[a] / kl[b] for a, b in pairs]
    assert by_lever["sinks"].pairs == len(ratios) == 8
    assert by_lever["sinks"].most == pytest.approx(max(ratios))
    assert by_lever["sinks"].least <= by_lever["sinks"].ratio <= by_lever["sinks"].most
    assert by_lever["sinks"].bits > 0


def differ_in(one, other, lever: str) -> bool:
    return getattr(one, lever) and msgspec.structs.replace(one, **{lever: False}) == other


def test_plot_and_tables(sweep) -> None:
    report, directory = sweep
    plot, table = (directory / "sweep.svg").read_text(), (directory / "sweep.md").read_text()
    for text in ("Pareto front", "stored bits per value", "references"):
        assert text in plot
    assert "### Pareto front of 16 configurations" in table
    assert "### Levers" in table
    assert all(row.quality.method in table for row in report.rows if row.pareto or row.point is None)


def test_options_are_checked_before_anything_is_measured(arguments, tmp_path: Path, capsys) -> None:
    for change, says in ((["--plot", str(tmp_path / "x.bmp")], "--plot"), (["--codecs", "none"], "--codecs")):
        assert main([*arguments, *change, "--json"]) == 2
        assert says in json.loads(capsys.readouterr().out)["error"]["message"]


def test_without_matplotlib_it_says_what_to_install(arguments, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert main([*arguments, "--plot", str(tmp_path / "x.png")]) == 2
    assert "pip install 'tq-cert[plots]'" in capsys.readouterr().err
