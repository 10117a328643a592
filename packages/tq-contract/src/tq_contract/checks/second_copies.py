"""Whether package source writes down again what the contract says: names, parameters, thresholds, windows."""

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tq_contract.checks.checkout import Checkout
from tq_contract.checks.finding import Finding
from tq_contract.checks.syntax import strings
from tq_contract.records import Contract
from tq_contract.window import OPEN_WINDOW

REMEDY = "Read it from tq_contract.load(), or waive it with a reason."
TOKENS = ("sink_tokens", "tail_tokens", "block_tokens")
SCHEMA_VERSION = ("schema_version", "state_schema_version")
TELLING = 3  # constants that an expression shares with a preset's codec before it counts as its copy

Copy = tuple[int, str]  # line, what is copied
Nodes = Sequence[ast.AST]


def second_copies(checkout: Checkout) -> Iterator[Finding]:
    """No package repeats presets, allowlists, thresholds, version windows or the state's schema version."""
    contract = checkout.contract
    for module in checkout.modules:
        copies = {
            *_preset_names(module.nodes, contract),
            *_windows(module.nodes),
            *_allowlists(module.nodes, contract),
            *_numbers(module.nodes, contract),
            *_codecs(module.nodes, contract),
        }
        for line, copy in sorted(copies):
            yield Finding(module.file, line, f"a second copy of {copy}", REMEDY)


def _preset_names(nodes: Nodes, contract: Contract) -> Iterator[Copy]:
    names = {name for preset in contract.presets for name in (preset.name, *preset.aliases)}
    for node in strings(nodes):
        if node.value in names:
            yield node.lineno, f"the preset name {node.value!r}"


def _windows(nodes: Nodes) -> Iterator[Copy]:
    for node in strings(nodes):
        if re.fullmatch(OPEN_WINDOW, str(node.value)):
            yield node.lineno, f"a version window, {node.value!r}"


def _allowlists(nodes: Nodes, contract: Contract) -> Iterator[Copy]:
    """Two families or model types side by side, or something compared with one."""
    names = {name for family in contract.families for name in (family.name, *family.model_types)}
    for node in nodes:
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items) | ast.Dict(keys=items):
                fewest = 2
            case ast.Compare(left=left, comparators=right):
                items, fewest = [left, *right], 1
            case _:
                continue
        found = sorted(names & {item.value for item in items if isinstance(item, ast.Constant) and item.value})
        if len(found) >= fewest:
            yield node.lineno, f"the families, {', '.join(map(str, found))}"


def _numbers(nodes: Nodes, contract: Contract) -> Iterator[Copy]:
    presets = [preset.parameters for preset in contract.presets]
    tokens = {field: {getattr(preset, field) for preset in presets} - {0} for field in TOKENS}
    thresholds = {(one.metric, one.value) for stage in contract.certification.stages for one in stage.thresholds}
    telling = {(metric, value) for metric, value in thresholds if value != int(value)}
    for line, name, value in _named_numbers(nodes):
        field = name.lower().lstrip("_")
        if value in tokens.get(field, ()):
            yield line, f"a preset parameter, {name} = {value}"
        if any(metric in field and value == limit for metric, limit in telling):
            yield line, f"a threshold, {name} = {value}"
        if field in SCHEMA_VERSION and value == contract.state.schema_version:
            yield line, f"the state's schema version, {name} = {value}"


def _named_numbers(nodes: Nodes) -> Iterator[tuple[int, str, float]]:
    """Yield the numbers that are assigned, passed or given as a default under a name."""
    for node in nodes:
        match node:
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


def _codecs(nodes: Nodes, contract: Contract) -> Iterator[Copy]:
    """Yield the dicts and calls whose constants all stand in the codec of one preset."""
    codecs = [
        _plain(msgspec.to_builtins(codec)).items()
        for preset in contract.presets
        for codec in (preset.parameters.keys, preset.parameters.values)
    ]
    for node in nodes:
        constants = _constants(node)
        telling = [value for value in constants.values() if value not in (None, False)]
        if len(telling) >= TELLING and any(constants.items() <= codec for codec in codecs):
            line = node.lineno if isinstance(node, ast.expr) else 0
            yield line, f"a preset's codec, {', '.join(f'{name} = {value}' for name, value in constants.items())}"


def _constants(node: ast.AST) -> dict[str, Any]:
    match node:
        case ast.Call(keywords=keywords):
            pairs = [(keyword.arg, keyword.value) for keyword in keywords]
        case ast.Dict(keys=keys, values=values):
            pairs = [
                (key.value, value) for key, value in zip(keys, values, strict=True) if isinstance(key, ast.Constant)
            ]
        case _:
            return {}
    return {str(name): value.value for name, value in pairs if isinstance(value, ast.Constant)}


def _plain(codec: dict[str, Any]) -> dict[str, Any]:
    """Return the members that a constant can equal."""
    return {name: value for name, value in codec.items() if not isinstance(value, dict | list | tuple)}
