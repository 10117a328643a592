"""Methods by name: what parses, and what is refused with which error."""

import json
import sys
from pathlib import Path

import pytest

import tq_contract
from tq_cert.errors import FileAccessError, OptionError
from tq_cert.lanes.errors import UnknownMethodError
from tq_cert.lanes.quality.methods import Dense, MlxQuantized, TurboQuant, default_methods, names_of, parse_methods


def test_every_kind(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"keys": {"codec": "mse", "bits": 4}, "values": {"codec": "mse", "bits": 3}}))
    methods = parse_methods(f"dense, mlx:kv8,mlx:kv4g32,preset:lloyd_k4v4,config:{file}")
    assert methods[0] == Dense()
    assert methods[1] == MlxQuantized("mlx:kv8", 8, 64)
    assert methods[2] == MlxQuantized("mlx:kv4g32", 4, 32)
    assert isinstance(methods[3], TurboQuant)
    assert methods[3].parameters["keys"]["bits"] == 4
    assert methods[3].parameters["preset"] == "lloyd_k4v4"
    assert methods[4] == TurboQuant("config:mine.json", json.loads(file.read_text()))  # no directory in a report


def test_default_methods_have_every_preset() -> None:
    names = names_of(parse_methods(default_methods()))
    assert names[:3] == ("dense", "mlx:kv8", "mlx:kv4")
    assert names[3:] == tuple(f"preset:{preset.name}" for preset in tq_contract.load().presets)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kv4", "no such kind"),
        ("dense:x", "no such kind"),
        ("mlx:4", "are called mlx:kv4"),
        ("mlx:kv4g", "are called mlx:kv4"),
        ("mlx:kv7", "7 bits"),
        ("mlx:kv4g48", "48 values to a group"),
        ("preset:lloyd_k4v5", "Did you mean 'lloyd_k4v4'"),
        ("dense,dense", "comes twice"),
        ("mlx:kv4,mlx:kv8,mlx:kv4", "'mlx:kv4': it comes twice"),
    ],
)
def test_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(UnknownMethodError, match=says) as caught:
        parse_methods(text)
    assert caught.value.remedy
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["", " , "])
def test_an_empty_list(text: str) -> None:
    with pytest.raises(OptionError, match="empty"):
        parse_methods(text)


def test_config_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match=r"missing\.json"):
        parse_methods(f"config:{tmp_path / 'missing.json'}")
    file = tmp_path / "bad.json"
    for content in ("{", "[1]", "\xff"):
        file.write_bytes(content.encode("latin-1"))
        with pytest.raises(UnknownMethodError, match="holds no JSON"):
            parse_methods(f"config:{file}")


def test_parsing_needs_no_mlx() -> None:
    import subprocess

    code = (
        "import sys; sys.modules['mlx'] = sys.modules['tq_mlx'] = sys.modules['numpy'] = None\n"
        "from tq_cert.lanes.quality import methods, statistics, summary, record, table\n"
        "from tq_cert.lanes.sweep import grid, pareto, record, effects, table, plot\n"
        "methods.parse_methods(methods.default_methods())"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
