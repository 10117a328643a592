"""Markdown as it is read here: code with its lines, prose, tables, sentences."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^\s*(?P<marks>```+|~~~+)\s*(?P<language>[\w-]*)")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_ITEM = re.compile(r"([-*>]|\d+\.) ")
_END_OF_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z*_`\[(])")


@dataclass(frozen=True)
class Piece:
    """A piece of a document: the line on which it starts, and its text."""

    line: int
    text: str


@dataclass(frozen=True)
class Block(Piece):
    """A fenced block of code."""

    language: str


def blocks(document: str) -> Iterator[Block]:
    """Yield the fenced blocks; `line` is that of the first line inside."""
    marks, language, start, inside = "", "", 0, [""]
    for number, line in enumerate(document.splitlines(), 1):
        fence = _FENCE.match(line)
        if not marks and fence:
            marks, language, start, inside = fence["marks"], fence["language"], number + 1, []
        elif marks and line.strip().startswith(marks) and not line.strip().strip(marks[0]):
            yield Block(start, "\n".join(inside), language)
            marks = ""
        elif marks:
            inside.append(line)
    if marks:  # never closed: code to the end
        yield Block(start, "\n".join(inside), language)


def prose(document: str) -> list[str]:
    """Return the document's lines, those of fenced blocks emptied."""
    lines = document.splitlines()
    for block in blocks(document):
        length = block.text.count("\n") + 1 if block.text else 0
        start, stop = block.line - 2, min(block.line + length, len(lines))  # a block may lack its end
        lines[start:stop] = [""] * (stop - start)
    return lines


def spans(document: str) -> Iterator[Piece]:
    """Yield the code spans within lines of prose."""
    for number, line in enumerate(prose(document), 1):
        for match in _SPAN.finditer(line):
            yield Piece(number, match[2].strip())


def without_code(line: str) -> str:
    """Return a line of prose without its code spans."""
    return _SPAN.sub("", line)


def first_cells(document: str, heading: str) -> Iterator[Piece]:
    """Yield the first cell of every row of the tables whose first column is headed so, whatever the case."""
    inside = False
    for number, line in enumerate(prose(document), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.strip().startswith("|") else []
        if not cells:
            inside = False
        elif inside and not set(cells[0]) <= set("-: "):
            yield Piece(number, cells[0])
        elif cells[0].lower() == heading:
            inside = True


def sentences(document: str) -> Iterator[Piece]:
    """Yield the sentences of paragraphs, list items and headings, and each row of a table."""
    lines: list[str] = []
    start = 0
    for number, line in enumerate([*prose(document), ""], 1):
        text = line.strip()
        alone = text.startswith(("|", "#"))
        if not text or alone or _ITEM.match(text):
            yield from _sentences(start, lines)
            lines = []
        if alone:
            yield Piece(number, text)
        elif text:
            start = start if lines else number
            lines.append(text)


def _sentences(start: int, lines: list[str]) -> Iterator[Piece]:
    text = "\n".join(lines)
    position = 0
    for sentence in _END_OF_SENTENCE.split(text):
        begin = text.index(sentence, position)
        position = begin + len(sentence)
        if sentence.strip():
            yield Piece(start + text.count("\n", 0, begin), " ".join(sentence.split()))
