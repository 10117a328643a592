"""YAML with places: the plain value of a file, and the line of every part of it."""

from dataclasses import dataclass
from typing import Any, cast

import yaml

Path = tuple[str | int, ...]


class YamlError(ValueError):
    """A file that is not YAML, with the line where that shows."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


@dataclass(frozen=True)
class Located:
    """A parsed file.

    Attributes:
        value: mappings, lists and scalars; every key and scalar is the text as written, so `on` is "on".
        lines: line by path, counted from 1.
    """

    value: Any
    lines: dict[Path, int]


def parse(text: str) -> Located:
    """Return the value of a file with one YAML document.

    Raises:
        YamlError: the text is not YAML.
    """
    try:
        root = cast("yaml.Node | None", yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlError(line, error.problem or "not YAML") from error
    except yaml.YAMLError as error:
        raise YamlError(1, str(error)) from error
    lines: dict[Path, int] = {}
    return Located(_plain(root, (), lines) if root else None, lines)


def _plain(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        pairs = cast("list[tuple[yaml.ScalarNode, yaml.Node]]", node.value)
        members: dict[str, Any] = {}
        for key, value in pairs:
            lines[*path, str(key.value)] = key.start_mark.line + 1
            members[str(key.value)] = _plain(value, (*path, str(key.value)), lines)
        return members
    if isinstance(node, yaml.SequenceNode):
        items = cast("list[yaml.Node]", node.value)
        return [_plain(item, (*path, index), lines) for index, item in enumerate(items)]
    return str(node.value)
