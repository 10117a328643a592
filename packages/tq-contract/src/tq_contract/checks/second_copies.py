"""Whether source writes down again what the contract says: names, parameters, thresholds, windows."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from tq_contract.checks.checkout import Checkout
from tq_contract.checks.finding import Finding
from tq_contract.checks.module import Module
from tq_contract.checks.syntax import strings
from tq_contract.records import Contract
from tq_contract.window import OPEN_WINDOW

REMEDY = "Read it from tq_contract.load(), or waive it with a reason."
TOKENS = ("sink_tokens", "tail_tokens", "block_tokens", "center_block")
SCHEMA_VERSION = ("schema_version", "state_schema_version")
TELLING = 3  # constants that an expression shares with a preset's codec before it counts as its copy

Copy = tuple[int, str]  # line, what is copied


@dataclass(frozen=True)
class Written:
    """What the contract says that no source may say again.

    Attributes:
        presets: names and aliases.
        families: names and model types.
        windows: of versions, as they are written.
        hooks: names of the hooked functions, with and without their module.
        tokens: parameter of presets and value.
        thresholds: metric and value; whole numbers tell nothing.
        schema_version: of a cache's state.
        codecs: the plain fields of every preset's codecs.
    """

    presets: frozenset[str]
    families: frozenset[str]
    windows: tuple[str, ...]
    hooks: frozenset[str]
    tokens: frozenset[tuple[str, int]]
    thresholds: frozenset[tuple[str, float]]
    schema_version: int
    codecs: tuple[frozenset[tuple[str, Any]], ...]


def second_copies(checkout: Checkout) -> Iterator[Finding]:
    """No package or script repeats presets, allowlists, hooks, thresholds, version windows or the schema version.

    Tests do: what they expect has to be written independently.
    """
    written = _written(checkout.contract)
    for module in (*checkout.modules, *checkout.scripts):
        for line, copy in _copies(module, written):
            yield Finding(module.file, line, f"a second copy of {copy}", REMEDY)


@lru_cache(maxsize=4096)
def _copies(module: Module, written: Written) -> tuple[Copy, ...]:
    """Return what a module copies; most modules are looked at again and again, in checkouts that differ in another."""
    finders = (_texts, _lists, _numbers, _codecs)
    return tuple(sorted({copy for finder in finders for copy in finder(module, written)}))


def _written(contract: Contract) -> Written:
    parameters = [preset.parameters for preset in contract.presets]
    thresholds = {(one.metric, one.value) for stage in contract.certification.stages for one in stage.thresholds}
    codecs = [msgspec.to_builtins(codec) for one in parameters for codec in (one.keys, one.values)]
    return Written(
        presets=frozenset(name for preset in contract.presets for name in (preset.name, *preset.aliases)),
        families=frozenset(name for family in contract.families for name in (family.name, *family.model_types)),
        windows=msgspec.structs.astuple(contract.windows),
        hooks=frozenset(name for hook in contract.hooks for name in (hook.name, f"{hook.module}.{hook.name}")),
        tokens=frozenset((field, value) for one in parameters for field in TOKENS if (value := getattr(one, field))),
        thresholds=frozenset((metric, value) for metric, value in thresholds if value != int(value)),
        schema_version=contract.state.schema_version,
        codecs=tuple(frozenset(_plain(codec).items()) for codec in codecs),
    )


def _texts(module: Module, written: Written) -> Iterator[Copy]:
    for line, text in strings(module):
        if text in written.presets:
            yield line, f"the preset name {text!r}"
        if re.fullmatch(OPEN_WINDOW, text) or any(window in text for window in written.windows):
            yield line, f"a version window, {text!r}"


def _lists(module: Module, written: Written) -> Iterator[Copy]:
    """Two families, model types or hooks side by side, or something compared with a family or model type."""
    for node in module.of(ast.List, ast.Tuple, ast.Set, ast.Dict):
        texts = _texts_among(_items(node))
        if len(families := sorted(texts & written.families)) > 1:
            yield node.lineno, f"the families, {', '.join(families)}"
        if len(hooks := sorted(texts & written.hooks)) > 1:
            yield node.lineno, f"the hooks, {', '.join(hooks)}"
    for line, texts in _compared(module):
        if families := sorted(texts & written.families):
            yield line, f"the families, {', '.join(families)}"


def _compared(module: Module) -> Iterator[tuple[int, set[str]]]:
    """Yield the texts with which something is compared: one by one, with a list of them, by a case, by a beginning."""
    for compare in module.of(ast.Compare):
        sides = [compare.left, *compare.comparators]
        yield compare.lineno, _texts_among([item for side in sides for item in (side, *_items(side))])
    for case in module.of(ast.MatchValue):
        yield case.lineno, _texts_among([case.value])
    for call in module.of(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("startswith", "endswith"):
            yield call.lineno, _texts_among(call.args)


def _items(node: ast.expr) -> Sequence[ast.expr | None]:
    """Return the items of a list, tuple or set and the keys of a dict; nothing for another expression."""
    if isinstance(node, ast.Dict):
        return node.keys
    return node.elts if isinstance(node, ast.List | ast.Tuple | ast.Set) else ()


def _texts_among(items: Sequence[ast.expr | None]) -> set[str]:
    return {item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)}


def _numbers(module: Module, written: Written) -> Iterator[Copy]:
    for line, name, value in _named_numbers(module):
        field = name.lower().lstrip("_")
        if (field, value) in written.tokens:
            yield line, f"a preset parameter, {name} = {value}"
        if any(metric in field and value == limit for metric, limit in written.thresholds):
            yield line, f"a threshold, {name} = {value}"
        if field in SCHEMA_VERSION and value == written.schema_version:
            yield line, f"the state's schema version, {name} = {value}"


def _named_numbers(module: Module) -> Iterator[tuple[int, str, float]]:
    """Yield the numbers that are assigned to a name, compared with it, passed or given as a default under it."""
    for node in module.of(ast.Assign, ast.AnnAssign, ast.keyword, ast.Dict, ast.arguments, ast.Compare):
        match node:
            case ast.Compare(left=ast.Name() | ast.Attribute() as left):
                name = left.id if isinstance(left, ast.Name) else left.attr
                for side in node.comparators:
                    if isinstance(side, ast.Constant) and isinstance(side.value, int | float):
                        yield node.lineno, name, side.value
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=(int() | float()) as value)):
                yield node.lineno, name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=(int() | float()) as value)):
                yield node.lineno, name, value
            case ast.keyword(arg=str(name), value=ast.Constant(value=(int() | float()) as value)):
                yield node.value.lineno, name, value
            case ast.Dict():
                for key, item in zip(node.keys, node.values, strict=True):
                    if (
                        isinstance(key, ast.Constant)
                        and isinstance(item, ast.Constant)
                        and isinstance(item.value, int | float)
                    ):
                        yield key.lineno, str(key.value), item.value
            case ast.arguments():
                positional = [*node.posonlyargs, *node.args]
                given = [*zip(reversed(positional), reversed(node.defaults), strict=False)]
                for argument, default in [*given, *zip(node.kwonlyargs, node.kw_defaults, strict=True)]:
                    if isinstance(default, ast.Constant) and isinstance(default.value, int | float):
                        yield argument.lineno, argument.arg, default.value
            case _:
                pass


def _codecs(module: Module, written: Written) -> Iterator[Copy]:
    """Yield the dicts and calls whose constants all stand in the codec of one preset."""
    for node in module.of(ast.Call, ast.Dict):
        constants = _constants(node)
        telling = [value for value in constants.values() if value not in (None, False)]
        if len(telling) >= TELLING and any(constants.items() <= codec for codec in written.codecs):
            copied = ", ".join(f"{name} = {value}" for name, value in constants.items())
            yield node.lineno, f"a preset's codec, {copied}"


def _constants(node: ast.Call | ast.Dict) -> dict[str, Any]:
    if isinstance(node, ast.Call):
        pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
    else:
        named = zip(node.keys, node.values, strict=True)
        pairs = [(key.value, value) for key, value in named if isinstance(key, ast.Constant)]
    return {str(name): value.value for name, value in pairs if isinstance(value, ast.Constant)}


def _plain(codec: dict[str, Any]) -> dict[str, Any]:
    """Return the members that a constant can equal."""
    return {name: value for name, value in codec.items() if not isinstance(value, dict | list | tuple)}
