"""The commands that the packages' source declares, as argparse is told of them: subcommands and options."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tq_contract.checks.checkout import Checkout
from tq_contract.checks.module import Module
from tq_contract.checks.syntax import bound_names


@dataclass(frozen=True)
class Program:
    """An installed program: what its package declares anywhere as a subcommand or as an option."""

    subcommands: frozenset[str]
    options: frozenset[str]


def programs(checkout: Checkout) -> dict[str, Program]:
    """Return the programs of all packages by name."""
    found: dict[str, Program] = {}
    for source in checkout.sources:
        declared = [_declared(module) for module in source.modules.values()]
        subcommands = frozenset(name for one in declared for name in one.subcommands)
        options = frozenset(name for one in declared for name in one.options) | {"-h", "--help"}
        found |= dict.fromkeys(source.metadata.get("scripts", {}), Program(subcommands, options))
    return found


@lru_cache(maxsize=4096)
def _declared(module: Module) -> Program:
    """Return what one module declares."""
    options = (text for text in _arguments_of("add_argument", module) if text[:1] == "-")
    return Program(frozenset((*_arguments_of("add_parser", module), *_table(module))), frozenset(options))


def _arguments_of(method: str, module: Module) -> Iterator[str]:
    """Yield the strings, written there or named by a constant of the module, that calls of a method begin with."""
    bound = bound_names(module.tree)
    for node in module.of(ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr == method:
            for argument in node.args:
                statement = bound.get(argument.id) if isinstance(argument, ast.Name) else None
                value = statement.value if isinstance(statement, ast.Assign) else argument
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value


def _table(module: Module) -> Iterator[str]:
    """Yield the keys of a module's table COMMANDS, if it has one."""
    match bound_names(module.tree).get("COMMANDS"):
        case ast.Assign(value=ast.Dict(keys=keys)):
            yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
        case _:
            pass
