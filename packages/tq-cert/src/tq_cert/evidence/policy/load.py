"""The editions that this package carries, each held against its digest when it is read."""

from functools import cache
from importlib.resources import files

from tq_cert.errors import EXIT_REFUSED, TqCertError
from tq_cert.evidence.canonical import sha256
from tq_cert.evidence.policy.edition import Edition
from tq_cert.evidence.reading import decode

CURRENT = "edition-1"
DIGESTS = "SHA256SUMS"


class DamagedEditionError(TqCertError):
    """The package's own file of an edition is not the one that was frozen."""

    exit_code = EXIT_REFUSED

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the packaged policy {name} does not have the digest that {DIGESTS} states",
            "install tq-cert again; in a checkout, run `python -m tq_cert.evidence.policy.freeze`",
        )


@cache
def known_editions() -> dict[str, str]:
    """SHA-256 of every edition by name, oldest first."""
    lines = files("tq_cert.evidence.policy").joinpath(DIGESTS).read_text(encoding="ascii").splitlines()
    return {name.removesuffix(".json"): digest for digest, name in (line.split() for line in lines)}


@cache
def load_edition(name: str) -> Edition:
    """Read an edition that is known.

    Raises:
        DamagedEditionError: the file is not the one that was frozen.
    """
    content = files("tq_cert.evidence.policy").joinpath(f"{name}.json").read_bytes()
    if sha256(content) != known_editions()[name]:
        raise DamagedEditionError(name)
    return decode(content, Edition)
