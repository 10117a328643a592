"""A module of a package as the checks see it: source, parsed once, with its nodes by kind."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar, cast

Node = TypeVar("Node", bound=ast.AST)


@dataclass(frozen=True)
class Module:
    """A module: its dotted name, its path within the checkout, its source."""

    name: str
    file: str
    source: str

    @property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return parsed(self.source)[0]

    def of(self, *kinds: type[Node]) -> Iterator[Node]:
        """Yield every node that is exactly of one of these kinds, one kind after the other."""
        for kind in kinds:
            yield from cast("list[Node]", parsed(self.source)[1].get(kind, []))


@lru_cache(maxsize=4096)
def parsed(source: str) -> tuple[ast.Module, dict[type[ast.AST], list[ast.AST]]]:
    """Return the tree of a source text and its nodes by kind; most checks want them, and of several checkouts.

    Raises:
        SyntaxError: the text is not Python.
        ValueError: it holds a NUL byte.
    """
    tree = ast.parse(source)
    nodes: defaultdict[type[ast.AST], list[ast.AST]] = defaultdict(list)
    for node in ast.walk(tree):
        nodes[type(node)].append(node)
    return tree, dict(nodes)
