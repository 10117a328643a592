"""What the contract and the written documents say of the code, held against the code as it is read, not run."""

import ast
import re
from functools import cache
from pathlib import Path

import msgspec
import pytest

import tq_contract
from tq_cert.commands.bench import LANES
from tq_cert.lanes.envelope import Envelope, ModelInfo, TextInfo
from tq_cert.lanes.provenance import Provenance

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
CONTRACT = tq_contract.load()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def functions_of(file):
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page):
    named = NAMED.findall(page.read_text())
    assert [f"{file}::{name}" for file, name in named if name not in functions_of(file)] == []
    assert len(named) == page.read_text().count("::")  # none is written in another way and so overlooked


def test_every_claim_of_the_theory_names_a_test_or_says_why_not():
    rows = [line for line in (ROOT / "docs/theory.md").read_text().splitlines() if line.startswith("| ")]
    claims = [row for row in rows if not row.startswith(("| claim", "| addition"))]
    assert len(claims) >= 20
    untested = [row for row in claims if not NAMED.search(row)]
    assert all("not a unit test" in row or "not traced" in row for row in untested)
    assert len(untested) <= 2


INDEX = ROOT / "docs/README.md"
PROMISED = (
    *("architecture", "theory", "runtime-certification", "validation-local", "benchmark_methodology", "integration"),
    *("evaluation", "bit_budget_sweep", "kv_paper_eval", "vector_search", "vendored-upstream-boundary"),
)


def test_every_promised_page_is_there():
    assert set(PROMISED) <= {page.stem for page in DOCS}


def links_of(page):
    targets = re.findall(r"\]\(([^)#\s]+\.md)", page.read_text())
    return {(page.parent / target).resolve() for target in targets if "://" not in target}


def test_every_page_is_in_the_index_and_the_index_in_the_readme():
    assert INDEX in links_of(ROOT / "README.md")
    assert {page for page in (ROOT / "docs").rglob("*.md") if page != INDEX} == links_of(INDEX) - {ROOT / "README.md"}


@pytest.mark.parametrize("page", [page for page in DOCS if page != INDEX], ids=lambda page: page.name)
def test_every_page_names_its_owner_in_the_code(page):
    first = page.read_text().partition("\n\n")[2].partition("\n\n")[0]
    assert re.search(r"\]\(\.\./[\w/.-]+\)", first), first


def test_every_make_target_is_explained():
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    page = (ROOT / "docs/validation-local.md").read_text()
    assert [target for target in targets if f"`make {target}`" not in page and target != "help"] == []


MODULE = re.compile(r"`([a-z_]+\.py)`")


def test_every_module_that_the_architecture_names_exists():
    here = {path.name for path in (ROOT / "packages/tq-mlx/src/tq_mlx").rglob("*.py")}
    named = set(MODULE.findall((ROOT / "docs/architecture.md").read_text()))
    assert len(named) > 12
    assert named <= here


def public_names(package):
    file = ROOT / "packages" / package.replace("_", "-") / "src" / package / "__init__.py"
    (names,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Assign) and [getattr(one, "id", "") for one in node.targets] == ["__all__"]
    )
    return set(names)


def test_the_entry_point_is_public_and_takes_its_parameters():
    entry = CONTRACT.entry_point
    assert entry.name in public_names(entry.module)
    file = ROOT / "packages" / entry.module.replace("_", "-") / "src" / entry.module / "upgrade.py"
    (function,) = (
        node
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == entry.name
    )
    arguments = [one.arg for one in (*function.args.args, *function.args.kwonlyargs)]
    assert list(entry.parameters) == [name for name in arguments if name in entry.parameters]


@pytest.mark.parametrize("surface", CONTRACT.secondary_surfaces, ids=lambda surface: surface.name)
def test_surfaces_are_there_unless_they_are_not_provided(surface):
    if surface.status == "not-provided":
        name = surface.name.removesuffix("()").rpartition(".")[2]
        sources = (ROOT / "packages/tq-mlx/src").rglob("*.py")
        assert not any(f"def {name}(" in file.read_text() for file in sources)
    elif surface.kind == "python":
        package, _, name = surface.name.partition(".")
        assert name in public_names(package)
    elif surface.kind == "keyword":
        function, _, keywords = surface.name.partition("(")
        sources = [file.read_text() for file in (ROOT / "packages/tq-mlx/src").rglob("*.py")]
        ours = re.findall(r"(turboquant_\w+)=", keywords)
        assert ours
        assert all(any(f"    {keyword}: " in source for source in sources) for keyword in ours)
        assert function.startswith("mlx_lm.")
    else:
        command, name = surface.name.split()
        assert (ROOT / "packages" / command / "src" / command.replace("-", "_") / "cli" / f"{name}.py").is_file()


def test_a_lane_is_available_if_and_only_if_there_is_a_command():
    available = {lane.name for lane in CONTRACT.benchmarks if lane.status == "available"}
    assert available == {lane.__name__.rpartition(".bench_")[2] for lane in LANES}
    for lane in CONTRACT.benchmarks:
        assert lane.command == f"tq-cert bench {lane.name.replace('_', '-')}"


def test_reports_carry_every_field_that_is_to_be_published():
    records = {"": Envelope, "provenance": Provenance, "model": ModelInfo, "text": TextInfo}
    for field in CONTRACT.publication.fields:
        record, _, name = field.rpartition(".")
        assert name in {one.name for one in msgspec.structs.fields(records[record])}
