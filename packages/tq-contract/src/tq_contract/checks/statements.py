"""Whether what README and documents state is so: commands, presets, families, versions, imported names."""

import ast
import re
import shlex
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache

from tq_contract.checks.checkout import Checkout
from tq_contract.checks.command_lines import Program, programs
from tq_contract.checks.finding import Finding
from tq_contract.prose import Piece, blocks, first_cells, spans
from tq_contract.source_tree import CONTRACT

PRESET = re.compile(r"""from_preset\(\s*["'](?P<a>\w+)["']|--preset[ =](?P<b>[a-z]\w*)|\bpreset=["'](?P<c>\w+)["']""")
FAMILY = re.compile(r"""model_family=["'](?P<a>\w+)["']|--family[ =](?P<b>[a-z]\w*)""")
WINDOW = re.compile(
    r"\b(?P<name>mlx[-_]lm|mlx|python)`?\s*`?(?P<window>>=\s*[0-9.]+(?:\s*,\s*<\s*[0-9.]+)?)", re.IGNORECASE
)
LEAST_PYTHON = re.compile(
    r"\bpython\s+(?:≥\s*)?(?P<version>3\.\d+)(?:\s+(?:or|and)\s+(?:newer|later|above)|\+)", re.IGNORECASE
)
MAY_BE_OURS = re.compile(r"\b(?:make|tq-[a-z]+) ")
ALIKE = 0.87  # how alike a code span and a preset's name are before it counts as that name misspelt


def statements(checkout: Checkout) -> Iterator[Finding]:
    """Every command, preset, family, version and import that a document names exists and agrees."""
    declared = programs(checkout)
    for file, text in checkout.documents.items():
        for check in (_presets, _families, _windows, _imports):
            yield from (Finding(file, *found) for found in check(text, checkout))
        for line in _command_lines(text):
            yield from (Finding(file, line.line, *found) for found in _command(line.text, declared, checkout))


Found = tuple[int, str, str]  # line, message, remedy


def _presets(text: str, checkout: Checkout) -> Iterator[Found]:
    presets = checkout.contract.presets
    known = [name for preset in presets for name in (preset.name, *preset.aliases)]
    named = [*_matches(PRESET, text), *_cells(text, "preset")]
    for piece in named:
        if piece.text not in known:
            yield (
                piece.line,
                f"names the preset {piece.text}, which the contract does not have",
                _nearest(piece.text, known),
            )
    elsewhere = {(piece.line, piece.text) for piece in named}
    for span in spans(text):
        likely = _misspelt(span.text, tuple(known))
        if likely and (span.line, span.text) not in elsewhere and not _is_another_name(span.text, checkout):
            yield span.line, f"names {span.text}, which is no preset of the contract", f"Did you mean {likely}?"


@lru_cache(maxsize=4096)
def _misspelt(text: str, known: tuple[str, ...]) -> str | None:
    """Return the known name that a text is nearly; documents have the same spans again and again."""
    likely = get_close_matches(text, known, n=1, cutoff=ALIKE) if text not in known else []
    return likely[0] if likely else None


def _is_another_name(text: str, checkout: Checkout) -> bool:
    contract = checkout.contract
    return any(text in package.public for package in contract.packages) or contract.family_of(text) is not None


def _families(text: str, checkout: Checkout) -> Iterator[Found]:
    known = [family.name for family in checkout.contract.families]
    for piece in [*_matches(FAMILY, text), *_cells(text, "family")]:
        if piece.text not in known:
            yield (
                piece.line,
                f"names the family {piece.text}, which the contract does not have",
                _nearest(piece.text, known),
            )


def _windows(text: str, checkout: Checkout) -> Iterator[Found]:
    windows = checkout.contract.windows
    wanted = {"python": windows.python, "mlx": windows.mlx, "mlx-lm": windows.mlx_lm}
    for number, line in enumerate(text.splitlines(), 1):
        for match in WINDOW.finditer(line):
            name, window = match["name"].lower().replace("_", "-"), "".join(match["window"].split())
            if window != wanted[name]:
                message = f"says {name} {window}, but the contract says {wanted[name]}"
                yield number, message, f"Write {name} {wanted[name]}, or change {CONTRACT}."
        for match in LEAST_PYTHON.finditer(line):
            if f">={match['version']}" != windows.python.partition(",")[0]:
                message = f"says Python {match['version']}, but the contract says {windows.python}"
                yield number, message, f"State the contract's version, or change {CONTRACT}."


def _imports(text: str, checkout: Checkout) -> Iterator[Found]:
    """Yield the names of a package that an example uses although the package does not export them."""
    public = {package.module: set(package.public) for package in checkout.contract.packages}
    for block in blocks(text):
        if block.language not in ("python", "py"):
            continue
        try:
            tree = ast.parse(block.text)
        except SyntaxError as error:
            yield block.line + (error.lineno or 1) - 1, f"an example is not Python: {error.msg}", "Correct it."
            continue
        for line, module, names in _used(tree):
            for name in sorted(names - public.get(module, names)):
                message = f"an example uses {name}, which {module} does not export"
                yield block.line + line - 1, message, "Name something that it exports."


def _used(tree: ast.Module) -> Iterator[tuple[int, str, set[str]]]:
    """Yield what an example imports from a module, and what it names as an attribute of one."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)):
                yield node.lineno, module, {alias.name for alias in node.names}
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                yield node.lineno, module, {name}
            case _:
                pass


def _command_lines(text: str) -> Iterator[Piece]:
    """Yield the lines of shell blocks and the code spans, which may be commands."""
    for block in blocks(text):
        if block.language in ("bash", "sh", "shell", "console"):
            joined = block.text.replace("\\\n", "  ")
            yield from (Piece(block.line + number, line) for number, line in enumerate(joined.split("\n")))
    yield from spans(text)


def _command(line: str, declared: dict[str, Program], checkout: Checkout) -> Iterator[tuple[str, str]]:
    if not MAY_BE_OURS.search(line):
        return  # most lines: splitting them as a shell does takes long
    words = _words(line)
    if words[:2] == ["uv", "run"]:
        words = words[2:]
    if len(words) > 1 and words[0] == "make":
        for target in words[1:]:
            if re.fullmatch(r"[a-z][a-z0-9-]*", target) and target not in checkout.make_targets:
                yield (
                    f"names make {target}, which the Makefile does not have",
                    _nearest(target, sorted(checkout.make_targets)),
                )
    if len(words) > 1 and words[0] in declared:
        program = declared[words[0]]
        if re.fullmatch(r"[a-z][a-z0-9-]*", words[1]) and words[1] not in program.subcommands:
            message = f"names {words[0]} {words[1]}, which does not exist"
            yield message, _nearest(words[1], sorted(program.subcommands))
        for option in {word.partition("=")[0] for word in words[1:] if re.match(r"--[a-z]", word)}:
            if option not in program.options:
                message = f"gives {words[0]} {words[1]} the option {option}, which does not exist"
                yield message, _nearest(option, sorted(program.options))
    elif len(words) > 1 and re.fullmatch(r"tq-[a-z]+", words[0]):
        yield f"runs {words[0]}, which no package installs", _nearest(words[0], sorted(declared))


def _words(line: str) -> list[str]:
    """Return a command's words without prompt, comment, settings before it and what it is piped into."""
    try:
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
    except ValueError:  # a quote that is not closed: no command
        return []
    while words and re.match(r"[A-Z_][A-Z0-9_]*=", words[0]):
        words = words[1:]
    ends = [index for index, word in enumerate(words) if word in ("|", "||", "&&", ";", ">", ">>")]
    return words[: ends[0]] if ends else words


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[Piece]:
    for number, line in enumerate(text.splitlines(), 1):
        for match in pattern.finditer(line):
            yield Piece(number, next(name for name in match.groups() if name))


def _cells(text: str, heading: str) -> Iterator[Piece]:
    """Yield the names in code spans in the first column of the tables headed so."""
    for cell in first_cells(text, heading):
        yield from (Piece(cell.line, name) for name in re.findall(r"`([^`]+)`", cell.text))


def _nearest(name: str, known: list[str]) -> str:
    matches = get_close_matches(name, known, n=1)
    return f"Did you mean {matches[0]}?" if matches else f"Known: {', '.join(known) or 'none'}."
