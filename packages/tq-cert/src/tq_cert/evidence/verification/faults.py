"""Everything that can be wrong with a bundle: one code each, with its remedy and its exit code."""

from collections.abc import Iterable
from typing import NoReturn

import msgspec

from tq_cert.errors import EXIT_FINDINGS, EXIT_REFUSED, EXIT_USAGE_OR_IO


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a bundle.

    Attributes:
        code: which kind of fault.
        file: in the bundle, or the bundle itself.
        message: what is wrong.
        remedy: what to do about it.
    """

    code: str
    file: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message} [{self.code}]\n  remedy: {self.remedy}"


class Kind(msgspec.Struct, frozen=True):
    """A kind of fault: its code, its remedy, and the exit code where nothing else is wrong."""

    code: str
    remedy: str
    exit_code: int = EXIT_FINDINGS

    def of(self, file: str, message: str) -> Fault:
        """A fault of this kind."""
        return Fault(self.code, file, message, self.remedy)


class RejectedError(Exception):
    """A bundle with faults that leave nothing to go on with."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def reject(*faults: Fault) -> NoReturn:
    """Stop here, with these faults."""
    raise RejectedError(faults)


_GET_AGAIN = "Get the bundle again from whoever published it, and compare its digest."
_CHANGED = "It was changed after it was sealed: trust nothing in it, and get the bundle again."
_RUN_AGAIN = "No honest run writes this: trust nothing in it, and certify again."
_UPDATE = "Verify with the release of tq-cert that the bundle names, or a newer one."

# The container
UNREADABLE = Kind(
    "unreadable", "Give a bundle's directory or its zip file, with permission to read it.", EXIT_USAGE_OR_IO
)
TOO_LARGE = Kind("too_large", "No certification is as large: do not unpack it.", EXIT_REFUSED)
DAMAGED_ZIP = Kind("damaged_zip", _GET_AGAIN)
DAMAGED_MEMBER = Kind("damaged_member", _GET_AGAIN)
COMPRESSED_MEMBER = Kind(
    "compressed_member", "Pack the bundle's directory with `tq-cert pack`, which stores files as they are."
)
REPEATED_MEMBER = Kind("repeated_member", "Two files of one name hide one another: get the bundle again.")
BAD_PATH = Kind("bad_path", "Do not unpack it: its files would be written elsewhere.")
NOT_A_PLAIN_FILE = Kind("not_a_plain_file", "A bundle holds plain files alone: replace the link by what it leads to.")
OTHER_ZIP_FORM = Kind(
    "other_zip_form", "Pack the bundle's directory with `tq-cert pack`: it writes the only accepted form."
)

# The files
MISSING_FILE = Kind("missing_file", _GET_AGAIN)
EXTRA_FILE = Kind("extra_file", "Remove it if you put it there; otherwise get the bundle again.")
WRONG_DIGEST = Kind("wrong_digest", _CHANGED)
NOT_JSON = Kind("not_json", _CHANGED)
NOT_A_RECORD = Kind("not_a_record", _CHANGED)
NOT_CANONICAL = Kind("not_canonical", _CHANGED)
FUTURE_SCHEMA = Kind("future_schema", _UPDATE, EXIT_REFUSED)

# The statement and its signature
WRONG_SEAL = Kind("wrong_seal", _CHANGED)
NOT_A_STATEMENT = Kind("not_a_statement", _RUN_AGAIN)
WRONG_SIGNATURE = Kind("wrong_signature", "Whoever signed did not sign this: trust nothing in it.")
UNSIGNED = Kind("unsigned", "Leave out --key to verify without a signature, or get the signed bundle.")
OTHER_SIGNER = Kind("other_signer", "Give the public key of whoever is said to have signed it, or do not trust it.")
WRONG_SUBJECT = Kind("wrong_subject", "The claim is about other wheels than were tested: do not use it.")
WRONG_CHAIN_HEAD = Kind("wrong_chain_head", _CHANGED)
WRONG_POLICY = Kind("wrong_policy", "The verdict was claimed by other bounds than the edition's: certify again.")
WRONG_VERDICT = Kind("wrong_verdict", "Believe the derived verdict, not the claimed one; ask who claimed it.")
WRONG_OUTCOME = Kind("wrong_outcome", "Believe the derived outcome, not the claimed one; ask who claimed it.")

# The manifest
UNKNOWN_EDITION = Kind("unknown_edition", _UPDATE, EXIT_REFUSED)
STALE_CONTRACT = Kind("stale_contract", "Certify again by the contract that the edition of the policy was made from.")
OTHER_RELEASE = Kind("other_release", "Certify the release that the edition of the policy is for.")
WRONG_WHEEL = Kind("wrong_wheel", _RUN_AGAIN)
UNKNOWN_FAMILY = Kind("unknown_family", "Certify allowlisted families alone; the contract lists them.")
WRONG_MODEL = Kind("wrong_model", _RUN_AGAIN)
WRONG_REFUSALS = Kind("wrong_refusals", "Believe the derived refusals; ask who left them out or put them in.")
WRONG_CLOCK = Kind("wrong_clock", "Set the machine's clock right and certify again.")

# The chain and its records
UNKNOWN_STAGE = Kind("unknown_stage", _RUN_AGAIN)
REPEATED_STAGE = Kind("repeated_stage", _RUN_AGAIN)
WRONG_ORDER = Kind("wrong_order", _RUN_AGAIN)
WRONG_LINK = Kind("wrong_link", _CHANGED)
BROKEN_CHAIN = Kind("broken_chain", _CHANGED)
OTHER_STAGE = Kind("other_stage", _CHANGED)
OTHER_ENVIRONMENT = Kind("other_environment", "The machine or its software changed during the run: certify again.")
CONTRADICTORY_STATUS = Kind("contradictory_status", _RUN_AGAIN)
CONTRADICTORY_CASE = Kind("contradictory_case", _RUN_AGAIN)
REPEATED_CASE = Kind("repeated_case", _RUN_AGAIN)
REPEATED_SERIES = Kind("repeated_series", "The same samples would count twice: certify again.")
FOREIGN_SERIES = Kind("foreign_series", _RUN_AGAIN)
WRONG_ARTIFACT = Kind("wrong_artifact", _CHANGED)
WRONG_REPORT = Kind("wrong_report", "Believe the record, not the XML made from it; get the bundle again.")

# What was asked
OTHER_VERDICT = Kind(
    "other_verdict", "Read the reasons in the report; a certificate is a bundle whose verdict is `passed`."
)
UNCERTIFIED_WHEEL = Kind("uncertified_wheel", "Do not publish or install this wheel on the strength of this bundle.")

KINDS = {kind.code: kind for kind in list(globals().values()) if isinstance(kind, Kind)}


def exit_code(faults: Iterable[Fault]) -> int:
    """A finding outweighs a refusal to judge; without faults it is 0."""
    codes = {KINDS[fault.code].exit_code for fault in faults}
    return next((code for code in (EXIT_FINDINGS, EXIT_USAGE_OR_IO, EXIT_REFUSED) if code in codes), 0)
