"""This checkout, and checkouts that cannot be read."""

from pathlib import Path

import pytest

from tq_contract import ContractError
from tq_contract.checks.checkout import Checkout, CheckoutError, line_of
from tq_contract.checks.run import run
from tq_contract.source_tree import CONTRACT

ROOT = Path(__file__).parents[3]


def test_this_checkout_has_no_finding():
    assert [str(finding) for result in run(Checkout(ROOT)) for finding in result.findings] == []


def test_sources_are_read_without_importing_them(tree):
    tree.write("packages/tq-core/src/tq_core/packing.py", "raise SystemExit('imported')\n")
    checkout = Checkout(tree.root)
    assert "tq_core.packing" in {module.name for module in checkout.modules}
    assert {"tq-core", "tq-mlx", "tq-contract", "tq-cert"} <= {source.name for source in checkout.sources}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("packages/tq-core/src/tq_core/packing.py", "def f(:\n"),
        ("packages/tq-core/src/tq_core/packing.py", "x = '\0'\n"),
        ("packages/tq-core/pyproject.toml", "[project\n"),
        ("waivers.toml", '[[waiver]]\ncheck = "hooks"\n'),
        ("uv.lock", "= 1\n"),
    ],
)
def test_a_file_that_is_not_of_its_language_is_named(file, text, tree):
    tree.write(file, text)
    with pytest.raises(CheckoutError, match=file):
        run(Checkout(tree.root))


def test_the_checkouts_own_contract_counts(tree):
    tree.replace(CONTRACT, '"contract_version": 1', '"contract_version": 2')
    with pytest.raises(ContractError, match="/contract_version"):
        run(Checkout(tree.root))


def test_make_targets_are_rules_and_not_settings(tree):
    tree.append("Makefile", "\nshade := dark\n\nboth one: two\n")
    targets = Checkout(tree.root).make_targets
    assert {"both", "one", "test-static"} <= targets
    assert "shade" not in targets


def test_the_line_of_a_part():
    assert [line_of("a\nb\nc", part) for part in ("a", "c", "d")] == [1, 3, 0]
