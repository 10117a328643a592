"""The text that a lane measures on, cut into windows of tokens."""

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tq_cert.errors import FileAccessError
from tq_cert.lanes.envelope import TextInfo
from tq_cert.lanes.errors import TextTooShortError


@dataclass(frozen=True)
class Text:
    """A text, its name and the SHA-256 of its bytes."""

    name: str
    sha256: str
    content: str


@dataclass(frozen=True)
class Windows:
    """Token ids of equally long windows, and what the report says of their text."""

    tokens: tuple[tuple[int, ...], ...]
    info: TextInfo


def read_text(path: Path | None) -> Text:
    """The file's text; without a path, the documentation topics that come with every Python.

    Raises:
        FileAccessError: the file cannot be read, or is not UTF-8.
    """
    if path is None:
        return documentation_topics()
    try:
        data = path.read_bytes()
        return Text(path.name, hashlib.sha256(data).hexdigest(), data.decode())
    except (OSError, UnicodeDecodeError) as error:
        raise FileAccessError(str(path), error) from error


def documentation_topics() -> Text:
    """Half a million characters of English prose about Python; the digest tells one version's from another's."""
    from pydoc_data.topics import topics

    content = "\n".join(topics[name] for name in sorted(topics))
    name = f"pydoc_data.topics of Python {platform.python_version()}"
    return Text(name, hashlib.sha256(content.encode()).hexdigest(), content)


def cut(text: Text, tokenizer: Any, *, context: int, windows: int) -> Windows:
    """The first windows of the text, side by side, each with BOS in front if the tokenizer puts one there.

    Raises:
        TextTooShortError: the text has fewer tokens than the windows need.
    """
    bos = leading_bos(tokenizer)
    body = context - len(bos)
    tokens: list[int] = tokenizer.encode(text.content, add_special_tokens=False, verbose=False)
    if len(tokens) < windows * body:
        raise TextTooShortError(text.name, len(tokens), windows * body)
    cuts = tuple((*bos, *tokens[start : start + body]) for start in range(0, windows * body, body))
    return Windows(cuts, TextInfo(text.name, text.sha256, windows * context, bool(bos)))


def leading_bos(tokenizer: Any) -> tuple[int, ...]:
    """The BOS that the tokenizer puts in front of a text, which is what the model was trained with; else nothing."""
    bos = tokenizer.bos_token_id
    return (bos,) if bos is not None and tokenizer.encode("a")[:1] == [bos] else ()
