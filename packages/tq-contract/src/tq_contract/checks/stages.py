"""Whether the stages of certification in code are the contract's, and certification runs them all."""

import ast
import re
from collections.abc import Iterator

from tq_contract.checks.checkout import Checkout, line_of
from tq_contract.checks.finding import Finding
from tq_contract.checks.module import Module
from tq_contract.checks.syntax import bound_names
from tq_contract.source_tree import CONTRACT

PACKAGE = "tq_cert.stages"
FUNCTION = "measure"
LIMITS = "SECONDS"

_SOME_STAGES = re.compile(r"(?i)certify|tq-cert")
_ONLY = re.compile(r"--only\b")


def stages(checkout: Checkout) -> Iterator[Finding]:
    """Each stage has its module with a function and a time limit, and no command of ours leaves stages out."""
    modules = {module.name: module for module in checkout.modules}
    listed = [stage.name for stage in checkout.contract.certification.stages]
    for stage in listed:
        module = modules.get(f"{PACKAGE}.{stage}")
        if module is None or FUNCTION not in bound_names(module.tree):
            message = f"the stage {stage} has no function {PACKAGE}.{stage}.{FUNCTION}"
            line = line_of(checkout.read(CONTRACT), f'"name": "{stage}"')
            yield Finding(CONTRACT, line, message, "Define it, or remove the stage.")
    package = modules.get(PACKAGE)
    if package is not None:
        yield from _limits(package, listed)
    for file, text in _commands(checkout):
        for number, line in enumerate(text.splitlines(), 1):
            if _ONLY.search(line) and _SOME_STAGES.search(line):
                message = f"certifies with some stages alone: {line.strip()!r}"
                yield Finding(file, number, message, "Remove --only: a certificate takes every stage.")


def _limits(package: Module, listed: list[str]) -> Iterator[Finding]:
    match bound_names(package.tree).get(LIMITS):
        case ast.Assign(value=ast.Dict(keys=keys)) as statement:
            limited = [str(key.value) for key in keys if isinstance(key, ast.Constant)]
        case _:
            yield Finding(package.file, 1, f"has no table {LIMITS}", "Write one with a limit for each stage.")
            return
    for stage in sorted(set(listed) ^ set(limited)):
        has, lacks = ("the contract", LIMITS) if stage in listed else (LIMITS, "the contract")
        message = f"{has} has the stage {stage}, and {lacks} has not"
        yield Finding(package.file, statement.lineno, message, f"Add it to {lacks}, or remove it from {has}.")


def _commands(checkout: Checkout) -> Iterator[tuple[str, str]]:
    """Yield the files whose commands certify, with their text."""
    yield "Makefile", checkout.read("Makefile")
    for path in sorted(checkout.root.glob("scripts/*.sh")):
        yield checkout.place(path), checkout.read(checkout.place(path))
    yield from checkout.workflows.items()
