"""Render the tables of docs/vendored-upstream-boundary.md from the contract, our sources and the installed mlx-lm.

Usage: python scripts/upstream_boundary.py [--check]

Reads source files alone and imports no model. With --check nothing is written: exit code 1 and a diff where the page's
tables differ from what they would be.
"""

import argparse
import ast
import difflib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tq_contract

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "vendored-upstream-boundary.md"
BEGIN, END = "<!-- begin: scripts/upstream_boundary.py -->", "<!-- end -->"
ATTENTION = "scaled_dot_product_attention"


@dataclass(frozen=True)
class ModelModule:
    """One of mlx-lm's model modules, as its source says.

    Attributes:
        name: module name.
        binds: whether it binds the hooked attention function.
        own_attention: classes and functions that attend by themselves, with how.
        shares: whether a layer reads another layer's keys and values through keys_and_values.
    """

    name: str
    binds: bool
    own_attention: tuple[str, ...]
    shares: bool


def upstream() -> Path:
    """Return the folder of the installed mlx-lm, without importing it."""
    spec = importlib.util.find_spec("mlx_lm")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("mlx-lm is not installed: run `make setup`")
    return Path(spec.submodule_search_locations[0])


def model_modules(folder: Path) -> list[ModelModule]:
    """Return every module of mlx_lm.models but the two that define caches and attention."""
    paths = sorted((folder / "models").glob("*.py"))
    return [read_module(path) for path in paths if path.stem not in ("__init__", "base", "cache")]


def read_module(path: Path) -> ModelModule:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    binds = any(alias.name == ATTENTION for node in imports for alias in node.names)
    own = [how for node in tree.body for how in own_attention(node)]
    return ModelModule(path.stem, binds, tuple(own), any(True for _ in calls(tree, "keys_and_values")))


def own_attention(node: ast.stmt) -> Iterator[str]:
    """Yield how a class or function attends without the hooked function, if it does."""
    if not isinstance(node, ast.ClassDef | ast.FunctionDef):
        return
    if any(isinstance(call.func, ast.Attribute) for call in calls(node, ATTENTION)):
        yield f"`{node.name}` calls `mx.fast.{ATTENTION}`"
    elif any(calls(node, "update_and_fetch")) and not any(calls(node, ATTENTION)):
        yield f"`{node.name}` fetches keys and uses them itself"


def calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    """Yield the calls of a function or method of that name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name in (getattr(node.func, "id", None), getattr(node.func, "attr", None)):
            yield node


def names_used() -> dict[str, set[str]]:
    """Return what our packages import from mlx-lm → the packages' modules that do."""
    used: dict[str, set[str]] = {}
    for path in sorted(ROOT.glob("packages/*/src/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "mlx_lm":
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names if alias.name.partition(".")[0] == "mlx_lm"]
            else:
                continue
            for name in names:
                used.setdefault(name, set()).add(".".join(path.relative_to(ROOT).with_suffix("").parts[3:]))
    return used


def render() -> str:
    """Return the tables."""
    modules = model_modules(upstream())
    binding = [module for module in modules if module.binds]
    bypassing = [module for module in modules if module.own_attention]
    sharing = [module for module in modules if module.shares]
    lines = [
        f"From mlx-lm {importlib.metadata.version('mlx-lm')}; the contract admits {tq_contract.load().windows.mlx_lm}.",
        "",
        "### Functions that are replaced",
        "",
        "| function | parameters that must be there |",
        "|---|---|",
        *(f"| `{hook.module}.{hook.name}` | {', '.join(hook.parameters)} |" for hook in tq_contract.load().hooks),
        "",
        "### Names of mlx-lm that our packages import",
        "",
        "| name | imported by |",
        "|---|---|",
        *(
            f"| `{name}` | {', '.join(f'`{user}`' for user in sorted(users))} |"
            for name, users in sorted(names_used().items())
        ),
        "",
        "### Model modules",
        "",
        f"Of {len(modules)} modules in `mlx_lm.models`, {len(binding)} bind `{ATTENTION}`; {len(bypassing)} have code "
        "that fetches keys or attends without it:",
        "",
        "| module | what does |",
        "|---|---|",
        *(f"| `{module.name}` | {'; '.join(module.own_attention)} |" for module in bypassing),
        "",
        f"{len(sharing)} let a layer read another layer's history through `keys_and_values`: "
        + ", ".join(f"`{module.name}`" for module in sharing)
        + ".",
    ]
    return "\n".join(lines)


def page(text: str) -> str:
    """Return the page with its tables rendered anew."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{PAGE} has no lines {BEGIN} and {END}: put them where the tables belong")
    return f"{before}{BEGIN}\n\n{render()}\n\n{END}{after}"


def main() -> int:
    """Write the page, or with --check compare it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the tables are out of date")
    check = parser.parse_args().check
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if not check:
        PAGE.write_text(new, encoding="utf-8")
        return 0
    diff = difflib.unified_diff(old.splitlines(), new.splitlines(), "as it is", "as it would be", lineterm="")
    found = "\n".join(diff)
    if found:
        print(f"{found}\n{PAGE.name} is out of date: run python scripts/upstream_boundary.py", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
