"""What the checks look for in parsed Python: names that a module binds, string constants that are not documentation."""

import ast
from collections.abc import Iterator
from functools import lru_cache

from tq_contract.checks.module import Module


@lru_cache(maxsize=4096)
def bound_names(tree: ast.Module) -> dict[str, ast.stmt]:
    """Return the names that a module binds at its top level, each with its last statement."""
    return {name: statement for statement in _top_level(tree.body) for name in _names(statement)}


def exported(tree: ast.Module) -> tuple[ast.stmt, list[str]] | None:
    """Return the statement that sets `__all__` and its names; None where it is not one list of strings, or changed."""
    if any(map(_changes_all, ast.walk(tree))):
        return None
    statement = bound_names(tree).get("__all__")
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.List | ast.Tuple):
        items = [item.value for item in statement.value.elts if isinstance(item, ast.Constant)]
        names = [item for item in items if isinstance(item, str)]
        if len(names) == len(statement.value.elts):
            return statement, names
    return None


def _changes_all(node: ast.AST) -> bool:
    match node:
        case ast.AugAssign(target=ast.Name(id="__all__")) | ast.Attribute(value=ast.Name(id="__all__")):
            return True
        case _:
            return False


def strings(module: Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of every string constant except documentation and other bare strings."""
    bare = {id(node.value) for node in module.of(ast.Expr)}
    for node in module.of(ast.Constant):
        if isinstance(node.value, str) and id(node) not in bare:
            yield node.lineno, node.value


def dotted(node: ast.expr) -> str | None:
    """Return `a.b.c` for a chain of attributes of a name, else None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return None if owner is None else f"{owner}.{node.attr}"
    return None


def imported(module: Module) -> dict[str, str]:
    """Return what each imported name stands for, wherever in the module it is imported: local name → dotted path."""
    names: dict[str, str] = {}
    for node in module.of(ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            names[alias.asname or top] = alias.name if alias.asname else top
    for node in module.of(ast.ImportFrom):
        if node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _top_level(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in statements:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            yield from _top_level(statement.body)
            if isinstance(statement, ast.If | ast.Try):
                yield from _top_level(statement.orelse)


def _names(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield statement.name
        case ast.Import() | ast.ImportFrom():
            yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
        case ast.Assign():
            yield from (
                node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)
            )
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case _:
            pass
