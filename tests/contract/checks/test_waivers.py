"""Waivers: what they accept, and that one without use is a finding."""

import pytest

from tq_contract.checks.checkout import Checkout, CheckoutError
from tq_contract.checks.run import run

FILE = "packages/tq-mlx/src/tq_mlx/support.py"
WAIVER = """
[[waiver]]
check = "{check}"
file = "{file}"
message = "the preset name 'lloyd_k4v4'"
reason = "A reason that is long enough to be one."
"""


def result(tree, check, names):
    (found,) = (one for one in run(Checkout(tree.root), names) if one.check == check)
    return found


def test_a_waiver_accepts_its_finding_and_no_other(tree):
    tree.append(FILE, '\nA = "lloyd_k4v4"\nB = "uniform_k4v4"\n')
    tree.append("waivers.toml", WAIVER.format(check="second_copies", file=FILE))
    found = result(tree, "second_copies", ["second_copies"])
    assert ["uniform_k4v4" in finding.message for finding in found.findings] == [True]
    assert "'lloyd_k4v4'" in " ".join(finding.message for finding in found.waived)
    assert result(tree, "waivers", ["second_copies"]).findings == ()


def test_an_unused_waiver_is_a_finding_with_its_line(tree):
    tree.append("waivers.toml", WAIVER.format(check="second_copies", file=FILE))
    (finding,) = result(tree, "waivers", ["second_copies"]).findings
    text = (tree.root / "waivers.toml").read_text().splitlines()
    assert text[finding.line - 1] == "message = \"the preset name 'lloyd_k4v4'\""
    assert "does not find" in finding.message


def test_a_waiver_is_not_judged_when_its_check_did_not_run(tree):
    tree.append("waivers.toml", WAIVER.format(check="second_copies", file=FILE))
    assert result(tree, "waivers", ["versions"]).findings == ()


def test_a_waiver_of_no_check_is_a_finding(tree):
    tree.append("waivers.toml", WAIVER.format(check="spelling", file=FILE))
    (finding,) = result(tree, "waivers", ["versions"]).findings
    assert "spelling, which is no check" in finding.message


@pytest.mark.parametrize("reason", ['reason = "because"\n', ""])
def test_a_waiver_needs_a_reason(tree, reason):
    without = WAIVER.format(check="second_copies", file=FILE).partition("reason")[0]
    tree.append("waivers.toml", without + reason)
    with pytest.raises(CheckoutError, match="reason"):
        run(Checkout(tree.root), ["versions"])


def test_no_file_of_waivers_is_none(tree):
    tree.remove("waivers.toml")
    assert result(tree, "second_copies", ["second_copies"]).waived == ()
