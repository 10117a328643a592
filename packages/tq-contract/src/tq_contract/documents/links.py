"""Links of a checkout's Markdown files: relative ones lead to a file there, and to one of its headings.

Links to other hosts are not followed.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from msgspec import Struct

from tq_contract.prose import prose, without_code
from tq_contract.source_tree import markdown_files

_INLINE = re.compile(r"\]\(\s*(?:<([^<>]*)>|((?:[^\s()]|\([^\s()]*\))*))(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s*(?:<([^<>]*)>|(\S+))")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)(?:\s+#+)?\s*$")
_ANCHOR = re.compile(r"<a\s[^>]*\b(?:id|name)=[\"']([^\"']+)[\"']")
_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:|^//")


class BrokenLink(Struct, frozen=True):
    """A link that leads nowhere.

    Attributes:
        file: that has it, as a path in the checkout.
        line: of that file, counted from 1.
        target: as written.
        reason: what is missing.
    """

    file: str
    line: int
    target: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.target}: {self.reason}"


def broken_links(root: Path) -> list[BrokenLink]:
    """Return the broken links of every Markdown file of the checkout, in order.

    Raises:
        OSError: a file cannot be read.
    """
    root = root.resolve()
    anchors_of = cache(_anchors)  # for this run only: files change between runs
    found: list[BrokenLink] = []
    for file in markdown_files(root):
        for line, target in _targets(file.read_text("utf-8", "replace")):
            path, _, fragment = target.partition("#")
            aim = (file.parent / unquote(path)).resolve() if path else file
            reason = None
            if not aim.is_relative_to(root):
                reason = "leads out of the repository"
            elif not aim.exists():
                reason = "there is no such file"
            elif fragment and aim.suffix == ".md" and unquote(fragment) not in anchors_of(aim):
                reason = f"{aim.relative_to(root).as_posix()} has no heading with this anchor"
            if reason:
                found.append(BrokenLink(file.relative_to(root).as_posix(), line, target, reason))
    return found


def _targets(text: str) -> Iterator[tuple[int, str]]:
    """Yield the relative targets of inline links, images and definitions, with their lines."""
    for number, line in enumerate(prose(text), 1):
        plain = without_code(line)
        for match in (*_INLINE.finditer(plain), *_DEFINITION.finditer(plain)):
            target = match[1] or match[2] or ""
            if target and not _SCHEME.match(target):
                yield number, target


def _anchors(file: Path) -> frozenset[str]:
    """Return the anchors that GitHub gives a file's headings, and those written as HTML."""
    anchors: set[str] = set()
    counts: dict[str, int] = {}
    for line in prose(file.read_text("utf-8", "replace")):
        anchors.update(_ANCHOR.findall(line))
        if match := _HEADING.match(line):
            slug = _slug(match[1])
            count = counts.get(slug, 0)
            counts[slug] = count + 1
            anchors.add(f"{slug}-{count}" if count else slug)
    return frozenset(anchors)


def _slug(heading: str) -> str:
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
