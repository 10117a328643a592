"""Whether the hooks in code are the contract's: each has its replacement, and nothing else upstream is changed."""

import ast
from collections.abc import Iterator
from functools import lru_cache

from tq_contract.checks.checkout import Checkout
from tq_contract.checks.finding import Finding
from tq_contract.checks.module import Module
from tq_contract.checks.syntax import bound_names, dotted, imported
from tq_contract.records import Hook
from tq_contract.source_tree import CONTRACT

UPSTREAM = ("mlx", "mlx_lm")
RUNTIME = "tq_mlx"


def hooks(checkout: Checkout) -> Iterator[Finding]:
    """Every hook has one replacement that takes its parameters, and no other upstream name is assigned."""
    runtime = [module for module in checkout.modules if module.name.partition(".")[0] == RUNTIME]
    for hook in checkout.contract.hooks:
        yield from _replacement(hook, runtime)
    allowed = {f"{hook.module}.{hook.name}" for hook in checkout.contract.hooks}
    for module in checkout.modules:
        for line, target in _changed_upstream(module):
            if target not in allowed:
                yield Finding(
                    module.file,
                    line,
                    f"changes {target}, which is no hook of the contract",
                    f"Remove it, or add the function to /hooks of {CONTRACT}.",
                )


def _replacement(hook: Hook, runtime: list[Module]) -> Iterator[Finding]:
    found = [*_of_its_name(hook, runtime), *_of_a_table(hook, runtime)]
    if not found:
        message = f"hook {hook.module}.{hook.name} has no replacement: nothing of {RUNTIME} is called or listed so"
        yield Finding(CONTRACT, 0, message, "Define the function, or remove the hook.")
    for module, function in found[1:]:
        message = f"a second replacement of {hook.module}.{hook.name}"
        yield Finding(module.file, function.lineno, message, "Keep one function of that name.")
    for module, function in found[:1]:
        arguments = function.args
        taken = {argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        wanted = [name for name in hook.parameters if name != "self"]  # which comes by position
        missing = [] if arguments.kwarg else [name for name in wanted if name not in taken]
        for name in missing:
            message = f"{hook.name} does not take {name}, on which the hook relies"
            yield Finding(module.file, function.lineno, message, f"Take it, or remove it from the hook in {CONTRACT}.")


def _of_its_name(hook: Hook, runtime: list[Module]) -> Iterator[tuple[Module, ast.FunctionDef]]:
    """Yield the functions that are called as the hook is."""
    for module in runtime:
        if isinstance(function := bound_names(module.tree).get(hook.name), ast.FunctionDef):
            yield module, function


def _of_a_table(hook: Hook, runtime: list[Module]) -> Iterator[tuple[Module, ast.FunctionDef]]:
    """Yield the functions that a dict holds under the hook's name, as it must where that is a method's."""
    for module in runtime:
        for table in module.of(ast.Dict):
            for key, value in zip(table.keys, table.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == hook.name:
                    yield from _named_by(value, module, runtime)


def _named_by(value: ast.expr, module: Module, runtime: list[Module]) -> Iterator[tuple[Module, ast.FunctionDef]]:
    """Yield the function that an expression in a module names, with the module that defines it."""
    first, dot, rest = (dotted(value) or "").partition(".")
    home, _, name = (imported(module).get(first, f"{module.name}.{first}") + dot + rest).rpartition(".")
    for one in runtime:
        if one.name == home and isinstance(function := bound_names(one.tree).get(name), ast.FunctionDef):
            yield one, function


@lru_cache(maxsize=4096)
def _changed_upstream(module: Module) -> tuple[tuple[int, str], ...]:
    """Return the line and the dotted name of every attribute that is set or deleted on something of MLX or mlx-lm."""
    return tuple(_upstream_changes(module))


def _upstream_changes(module: Module) -> Iterator[tuple[int, str]]:
    names = imported(module)
    for node in module.of(ast.Assign):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                names[name] = _imported_by_call(call) or names.get(name, "")
            case _:
                pass
    for node in module.of(ast.Attribute, ast.Call):
        for owner, name in _changes(node):
            path = _upstream_path(owner, names)
            if path is not None:
                yield owner.lineno, f"{path}.{name}"


def _changes(node: ast.Attribute | ast.Call) -> Iterator[tuple[ast.expr, str]]:
    match node:
        case ast.Attribute(value=owner, attr=name, ctx=ast.Store() | ast.Del()):
            yield owner, name
        case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[owner, name, *_]):
            yield owner, str(name.value) if isinstance(name, ast.Constant) else "*"
        case _:
            pass


def _upstream_path(owner: ast.expr, names: dict[str, str]) -> str | None:
    """Return the upstream module or class that an expression is, or None."""
    first, dot, rest = (dotted(owner) or "").partition(".")
    path = (_imported_by_call(owner) if isinstance(owner, ast.Call) else None) or names.get(first, "") + dot + rest
    return path if path.partition(".")[0] in UPSTREAM else None


def _imported_by_call(call: ast.Call) -> str | None:
    """Return the module that a call of import_module with a constant gives, or None."""
    match call:
        case ast.Call(func=function, args=[ast.Constant(value=str(path)), *_]):
            return path if (dotted(function) or "").endswith("import_module") else None
        case _:
            return None
