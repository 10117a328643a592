"""The figures of the README's advice are those of the measured page; written pages name tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODELS = ("SmolLM2-135M-Instruct", "Gemma-3-270M", "Qwen2.5-Coder-0.5B-Instruct")
ADVISED = (
    *("equal_noise_k4v4", "equal_noise_k45v4", "equal_noise_k35v3"),
    *("equal_noise_k3v3", "lloyd_k4v4", "uniform_k4v4"),
)


def measured():
    """Return {model: {preset: KL in units of mlx:kv4}} as docs/quality.md gives it, as text."""
    sections = re.split(r"^### ", (ROOT / "docs/quality.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    tables = {section.split(",")[0]: [line.split("|") for line in section.splitlines()] for section in sections}
    return {model: {row[1].strip(): row[6].strip() for row in rows if len(row) > 6} for model, rows in tables.items()}


def test_the_advice_quotes_the_measurements():
    advice = (ROOT / "README.md").read_text(encoding="utf-8").split("**Which one?**")[1].split("\n\n")[0]
    number = r"(\d\.\d+)"
    quoted = re.findall(rf"{number},\s+{number},?(?:\s+and)?\s+{number}", advice)
    cells = measured()
    assert tuple(re.findall(r"`(\w+)`", advice)) == ADVISED
    assert len(quoted) == len(ADVISED)
    for preset, figures in zip(ADVISED, quoted, strict=True):
        for model, figure in zip(MODELS, figures, strict=True):
            places = len(figure.split(".")[1])
            assert f"{float(cells[model][preset]):.{places}f}" == figure, (preset, model)


def test_the_peak_that_the_limits_quote_is_measured():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    said, tokens = re.search(r"weights aside, was (\S+) of the dense one at (\S+) tokens", text).groups()
    page = (ROOT / "docs/memory.md").read_text(encoding="utf-8")
    (row,) = (line.split("|") for line in page.splitlines() if line.startswith("| preset:lloyd_k4v4 "))
    assert f"{float(row[5]):.2f}" == said
    assert f"{tokens.replace(',', '')} tokens of prompt" in page


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md"])
def test_tests_and_sources_that_a_page_names_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:tests|scripts|docs|packages)/[\w./-]+)`", text))
    placeholders = {name for name in named if "NAME" in name}
    assert len(named) > 6
    assert [name for name in named - placeholders if not (ROOT / name).exists()] == []
