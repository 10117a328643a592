"""Whether each package exports the names that the contract lists, and each of them is there."""

import ast
import json
from collections.abc import Iterator

from tq_contract.checks.checkout import Checkout, Source
from tq_contract.checks.finding import Finding
from tq_contract.checks.module import Module
from tq_contract.checks.syntax import bound_names, exported
from tq_contract.records.checkout import Package
from tq_contract.source_tree import CONTRACT


def public_api(checkout: Checkout) -> Iterator[Finding]:
    """Each package's `__all__` is the contract's list, and every name on it is bound."""
    promised = {package.name: package for package in checkout.contract.packages}
    sources = {source.name: source for source in checkout.sources}
    for name in promised.keys() - sources.keys():
        yield Finding(CONTRACT, 0, f"package {name} has no folder in packages", "Restore it, or remove its entry.")
    for name, source in sources.items():
        if name in promised:
            yield from _package(source, promised[name], checkout)
        else:
            yield Finding(
                source.project, 0, f"the contract has no package {name}", f"Add it to /packages in {CONTRACT}."
            )


def _package(source: Source, package: Package, checkout: Checkout) -> Iterator[Finding]:
    module = source.modules.get(package.module)
    if module is None:
        yield Finding(source.project, 0, f"{package.module} has no __init__.py", "Restore it.")
        return
    found = exported(module.tree)
    if found is None and package.public:
        yield Finding(module.file, 1, "no __all__ that is a list of strings", "Write one with the public names.")
        return
    line, names = (found[0].lineno, found[1]) if found else (1, [])
    entry = f"{package.name} in /packages of {CONTRACT}"
    as_in_code = f'or write for {entry}: "public": {json.dumps(sorted(set(names)))}.'
    if unlisted := sorted(set(names) - set(package.public)):
        message = f"exports {', '.join(unlisted)}, which the contract does not list"
        yield Finding(module.file, line, message, f"Remove it from __all__, {as_in_code}")
    if unexported := sorted(set(package.public) - set(names)):
        message = f"does not export {', '.join(unexported)}, which the contract lists"
        yield Finding(module.file, line, message, f"Add it to __all__, {as_in_code}")
    bound = bound_names(module.tree)
    for name in sorted(set(names)):
        if not _is_there(name, bound, source.modules, package.module):
            yield Finding(
                module.file, line, f"exports {name}, which is not defined", "Define it, or import it under its name."
            )
    for name in sorted(name for name in set(names) if names.count(name) > 1):
        yield Finding(module.file, line, f"exports {name} twice", "Remove one of them.")


def _is_there(name: str, bound: dict[str, ast.stmt], modules: dict[str, Module], package: str) -> bool:
    """Say whether a package's name is bound and, where it comes from the package's own modules, bound there too."""
    statement = bound.get(name)
    if not isinstance(statement, ast.ImportFrom) or statement.level or not statement.module:
        return statement is not None
    if statement.module.partition(".")[0] != package:
        return True
    (original,) = (alias.name for alias in statement.names if (alias.asname or alias.name) == name)
    if f"{statement.module}.{original}" in modules:
        return True
    home = modules.get(statement.module)
    return home is not None and original in bound_names(home.tree)
