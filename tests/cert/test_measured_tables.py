"""The written pages' tables are what the committed reports say."""

from pathlib import Path

import pytest

from tq_cert.report.measured_tables import BLOCK, filled

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [page for page in sorted(DOCS.glob("*.md")) if BLOCK.search(page.read_text())]


def test_every_lane_of_a_page_has_reports() -> None:
    lanes = {block[2] for page in PAGES for block in BLOCK.finditer(page.read_text())}
    assert {"vector_search", "inner_product_bias", "kv_paper_eval", "memory"} <= lanes
    assert all(list((DOCS / "measurements" / lane).glob("*.json")) for lane in lanes)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_those_of_the_reports(page: Path) -> None:
    text = page.read_text()
    assert filled(text, DOCS / "measurements") == text
    assert text.count("| --- |") >= 1
