"""Links of Markdown files: what is followed, what is found broken, and where."""

import pytest

from tq_contract.documents.links import broken_links
from tq_contract.source_tree import markdown_files


@pytest.fixture
def site(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/page (1).md").write_text("# A page\n## `code` & *more*\n## Twice\n## Twice\n<a id='mark'></a>\n")
    (tmp_path / "docs/data.json").write_text("{}")
    return tmp_path


def found(site, text):
    (site / "README.md").write_text(text)
    return [(link.line, link.target) for link in broken_links(site)]


GOOD = [
    "[a](docs/data.json)",
    "[a](docs/)",
    "[a](<docs/page (1).md>)",
    "[a](docs/page%20(1).md)",
    "[a](docs/page%20(1).md#a-page)",
    "[a](docs/page%20(1).md#code--more)",
    "[a](docs/page%20(1).md#twice) [b](docs/page%20(1).md#twice-1)",
    "[a](docs/page%20(1).md#mark)",
    "[a](docs/data.json#anything)",
    '[a](docs/data.json "title")',
    "[a](https://example.org/none) [b](mailto:a@example.org) [c](//example.org)",
    "[a][b]\n\n[b]: docs/data.json",
    "# Here\n[a](#here)",
    "# [Linked](https://example.org) heading\n[a](#linked-heading)",
    "`[a](none.md)` and ``[a](`none.md)``",
    "```\n[a](none.md)\n```",
    "~~~~\n~~~\n[a](none.md)\n~~~~",
    "[![image](docs/data.json)](docs/data.json)",
    "text (none.md) and [none.md]",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_leads_somewhere_or_elsewhere_is_good(text, site):
    assert found(site, text) == []


BROKEN = [
    ("one\n[a](none.md)", [(2, "none.md")]),
    ("[a](docs/none.md)", [(1, "docs/none.md")]),
    ("![a](none.png)", [(1, "none.png")]),
    ("[![image](none.png)](gone.md)", [(1, "none.png"), (1, "gone.md")]),
    ("[a](docs/page%20(1).md#none)", [(1, "docs/page%20(1).md#none")]),
    ("[a](docs/page%20(1).md#twice-2)", [(1, "docs/page%20(1).md#twice-2")]),
    ("# Here\n[a](#there)", [(2, "#there")]),
    ("```\n# Here\n```\n[a](#here)", [(4, "#here")]),
    ("[a](../outside.md)", [(1, "../outside.md")]),
    ("[a](/etc/hosts)", [(1, "/etc/hosts")]),
    ("[b]: none.json", [(1, "none.json")]),
    ("`code` [a](none.md) `code`", [(1, "none.md")]),
    ("```\n```\n[a](none.md)", [(3, "none.md")]),
]


@pytest.mark.parametrize(("text", "links"), BROKEN)
def test_what_leads_nowhere_is_found_with_its_line(text, links, site):
    assert found(site, text) == links


def test_the_reason_is_named(site):
    (site / "README.md").write_text("[a](none.md) [b](docs/page%20(1).md#none) [c](../x.md)")
    reasons = [str(link) for link in broken_links(site)]
    assert reasons == [
        "README.md:1: none.md: there is no such file",
        "README.md:1: docs/page%20(1).md#none: docs/page (1).md has no heading with this anchor",
        "README.md:1: ../x.md: leads out of the repository",
    ]


def test_which_files_are_looked_at(site):
    for name in ("README.md", "docs/a/b.md", "examples/x.md", "packages/p/README.md", ".venv/lib/x.md", "src/x.md"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("")
    names = [file.relative_to(site).as_posix() for file in markdown_files(site)]
    assert names == ["README.md", "docs/a/b.md", "docs/page (1).md", "examples/x.md", "packages/p/README.md"]
