"""Generated parts of written documents: what stands between `<!-- contract:NAME -->` and `<!-- /contract:NAME -->`."""


class MarkerError(ValueError):
    """A document's markers are missing, repeated or in the wrong order."""


def put_part(text: str, name: str, content: str) -> str:
    """Return the document with the part's content in place of what stands between its markers.

    Raises:
        MarkerError: the two markers are not there once each, in order.
    """
    opening, closing = f"<!-- contract:{name} -->", f"<!-- /contract:{name} -->"
    if text.count(opening) != 1 or text.count(closing) != 1:
        raise MarkerError(f"write {opening} and {closing} once each, around the table that is generated")
    before, _, rest = text.partition(opening)
    _, found, after = rest.partition(closing)
    if not found:
        raise MarkerError(f"write {opening} before {closing}")
    return f"{before}{opening}\n{content}\n{closing}{after}"
