"""The list of checks, and running them with the checkout's waivers."""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from tq_contract.checks import waivers
from tq_contract.checks.checkout import Checkout
from tq_contract.checks.distributions import distributions
from tq_contract.checks.evidence import evidence
from tq_contract.checks.finding import Finding
from tq_contract.checks.hooks import hooks
from tq_contract.checks.public_api import public_api
from tq_contract.checks.second_copies import second_copies
from tq_contract.checks.stages import stages
from tq_contract.checks.statements import statements
from tq_contract.checks.versions import versions
from tq_contract.checks.workflows import workflows

Check = Callable[[Checkout], Iterable[Finding]]

CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (public_api, hooks, second_copies, statements, workflows, stages, distributions, versions, evidence)
}


class Result(Struct, frozen=True):
    """What one check found, without and with a waiver."""

    check: str
    findings: tuple[Finding, ...]
    waived: tuple[Finding, ...]


def run(checkout: Checkout, names: Sequence[str] = tuple(CHECKS)) -> list[Result]:
    """Run checks, all or those named, and judge the waivers of those that ran.

    Raises:
        CheckoutError: the checkout cannot be read.
        ContractError: its contract is not valid.
    """
    accepted = waivers.read(checkout)
    used: set[waivers.Waiver] = set()
    results: list[Result] = []
    for name in names:
        found: dict[bool, list[Finding]] = {False: [], True: []}
        for finding in sorted(set(CHECKS[name](checkout))):
            covering = {waiver for waiver in accepted if waiver.covers(name, finding)}
            used |= covering
            found[bool(covering)].append(finding)
        results.append(Result(name, tuple(found[False]), tuple(found[True])))
    of_others = set(CHECKS) - set(names)
    judged = [waiver for waiver in accepted if waiver.check not in of_others]
    left_over = waivers.unused(checkout, judged, used, tuple(CHECKS))
    return [*results, Result(waivers.CHECK, tuple(left_over), ())]
