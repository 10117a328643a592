"""One broken bundle for every fault that the verifier knows: the valid example with one thing wrong.

What is broken is sealed again wherever a forger could have done so, so that each example is caught by the check that
it is for and not by a digest.
"""

import io
import json
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import evidence_bundle as eb
from tq_cert.evidence.archive import packed
from tq_cert.evidence.canonical import digest_of, encode, encode_line, sha256
from tq_cert.evidence.dsse import DsseEnvelope, to_base64
from tq_cert.evidence.listing import listing_of
from tq_cert.evidence.paths import DIGESTS, LOG, MANIFEST, STATEMENT, record_path
from tq_cert.evidence.run_directory import Link
from tq_cert.evidence.signing import Signer
from tq_cert.evidence.statement import StageClaim

replace = msgspec.structs.replace
KEY, OTHER_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
PUBLIC = KEY.public_key().public_bytes_raw()


class Broken(NamedTuple):
    """A broken bundle.

    Attributes:
        content: files by path, or the bytes of a zip file, or None for a bundle that is not there.
        file: that the fault has to name.
        options: of `verify`.
    """

    content: dict[str, bytes] | bytes | None
    file: str
    options: Mapping[str, Any] = MappingProxyType({})


EXAMPLES: dict[str, Callable[[], Broken]] = {}


def example(make: Callable[[], Broken]) -> Callable[[], Broken]:
    EXAMPLES[make.__name__] = make
    return make


def write(broken: Broken, folder: Path) -> Path:
    """Put the bundle into a folder."""
    if isinstance(broken.content, bytes):
        path = folder / "bundle.zip"
        path.write_bytes(broken.content)
        return path
    path = folder / "bundle"
    for name, content in (broken.content or {}).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


# The container


def zipped(members: Mapping[str, bytes], change: Callable[[zipfile.ZipInfo], None] = lambda member: None) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            change(member)
            archive.writestr(member, data)
    return content.getvalue()


@example
def unreadable() -> Broken:
    return Broken(None, "bundle")


@example
def too_large() -> Broken:
    return Broken(packed({f"stages/{number}.md": b"" for number in range(1001)}), "bundle.zip")


@example
def damaged_zip() -> Broken:
    return Broken(packed(eb.bundle())[:-30], "bundle.zip")


@example
def damaged_member() -> Broken:
    content = packed(eb.bundle())
    return Broken(content.replace(b"| 4096 | 110 |", b"| 4096 | 910 |"), "stages/dense_vs_tq.md")


@example
def compressed_member() -> Broken:
    def compress(member: zipfile.ZipInfo) -> None:
        member.compress_type = zipfile.ZIP_DEFLATED

    return Broken(zipped(eb.bundle(), compress), "'manifest.json'")


@example
def repeated_member() -> Broken:
    content = zipped({MANIFEST: b"{}", "manifest.jsom": b"{}"})
    return Broken(content.replace(b"manifest.jsom", b"manifest.json"), "'manifest.json'")


@example
def bad_path() -> Broken:
    return Broken(zipped({**eb.bundle(), "../outside.json": b"{}"}), "'../outside.json'")


@example
def not_a_plain_file() -> Broken:
    def link(member: zipfile.ZipInfo) -> None:
        if member.filename == MANIFEST:
            member.external_attr = (stat.S_IFLNK | 0o777) << 16

    return Broken(zipped({**eb.bundle(), MANIFEST: b"/etc/passwd"}, link), "'manifest.json'")


@example
def other_zip_form() -> Broken:
    def date(member: zipfile.ZipInfo) -> None:
        member.date_time = (2026, 1, 2, 3, 4, 6)

    return Broken(zipped(dict(sorted(eb.bundle().items())), date), "bundle.zip")


# The files


def edited(path: str, change: Callable[[Any], None]) -> dict[str, bytes]:
    """The valid bundle with one JSON file changed and sealed again."""
    files = eb.bundle()
    document = json.loads(files[path])
    change(document)
    files[path] = json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
    return eb.resealed(files)


@example
def missing_file() -> Broken:
    files = eb.bundle()
    del files["stages/memory.json"]
    return Broken(files, "stages/memory.json")


@example
def extra_file() -> Broken:
    return Broken(eb.resealed({**eb.bundle(), "notes.txt": b"all is well"}), "notes.txt")


@example
def wrong_digest() -> Broken:
    files = eb.bundle()
    files[MANIFEST] = files[MANIFEST].replace(b"Mac15,9", b"Mac15,3")
    return Broken(files, MANIFEST)


@example
def not_json() -> Broken:
    files = eb.bundle()
    twice = files[MANIFEST].replace(b'"release"', b'"release": "0.0.1",\n  "release"')
    return Broken(eb.resealed({**files, MANIFEST: twice}), MANIFEST)


@example
def not_a_record() -> Broken:
    return Broken(edited("stages/memory.json", lambda record: record.update(verdict="passed")), "stages/memory.json")


@example
def not_canonical() -> Broken:
    files = eb.bundle()
    return Broken(eb.resealed({**files, MANIFEST: json.dumps(json.loads(files[MANIFEST])).encode()}), MANIFEST)


@example
def future_schema() -> Broken:
    return Broken(edited(MANIFEST, lambda record: record.update(schema_version=2, energy="unknown")), MANIFEST)


# The statement and its signature


@example
def wrong_seal() -> Broken:
    files = eb.bundle()
    listing = listing_of({path: data for path, data in files.items() if path not in (DIGESTS, STATEMENT)})
    return Broken({**files, DIGESTS: encode(replace(listing, files=listing.files[::-1]))}, DIGESTS)


@example
def not_a_statement() -> Broken:
    files = eb.bundle()
    payload = encode(eb.statement(files)).replace(b"Statement/v1", b"Statement/v0.1")
    return Broken({**files, STATEMENT: encode(DsseEnvelope(to_base64(payload), PAYLOAD_TYPE, ()))}, STATEMENT)


PAYLOAD_TYPE = "application/vnd.in-toto+json"


@example
def wrong_signature() -> Broken:
    files = eb.bundle(signer=Signer(KEY))
    claimed = eb.statement(files)
    payload = encode(claimed)
    signature = replace(Signer(OTHER_KEY).sign(payload), keyid=Signer(KEY).claim.keyid)
    return Broken({**files, STATEMENT: encode(DsseEnvelope(to_base64(payload), PAYLOAD_TYPE, (signature,)))}, STATEMENT)


@example
def unsigned() -> Broken:
    return Broken(eb.bundle(), STATEMENT, {"key": PUBLIC})


@example
def other_signer() -> Broken:
    return Broken(eb.bundle(signer=Signer(OTHER_KEY)), STATEMENT, {"key": PUBLIC})


@example
def wrong_subject() -> Broken:
    files = eb.bundle()
    claimed = eb.statement(files)
    other = replace(claimed.subject[0], digest=replace(claimed.subject[0].digest, sha256=eb.digest("another wheel")))
    return Broken(eb.with_statement(files, replace(claimed, subject=(other, *claimed.subject[1:]))), STATEMENT)


@example
def wrong_chain_head() -> Broken:
    """The last record and its line of the log changed together: no later record contradicts them."""
    files = eb.bundle()
    records = eb.chained(eb.APPLE, eb.runs(), eb.TABLE)
    last = replace(records[-1], series=tuple(replace(one, values=one.values[:-1]) for one in records[-1].series))
    return Broken(eb.resealed({**files, **eb.contents([*records[:-1], last])}), STATEMENT)


@example
def wrong_policy() -> Broken:
    files = eb.bundle()
    lax = replace(eb.statement(files).predicate.policy, sha256=eb.digest("laxer bounds"))
    return Broken(eb.resealed(files, policy=lax), STATEMENT)


@example
def wrong_verdict() -> Broken:
    return Broken(eb.resealed(eb.bundle(eb.manifest(eb.LINUX)), verdict="passed"), STATEMENT)


@example
def wrong_outcome() -> Broken:
    files = eb.bundle(stages=eb.runs()[:-1])
    claims = eb.statement(files).predicate.stages
    return Broken(eb.resealed(files, stages=(*claims[:-1], StageClaim(claims[-1].stage, "held"))), STATEMENT)


# The manifest


@example
def unknown_edition() -> Broken:
    return Broken(edited(MANIFEST, lambda record: record.update(policy="edition-99")), MANIFEST)


@example
def stale_contract() -> Broken:
    return Broken(eb.bundle(eb.manifest(contract_sha256=eb.digest("last month's contract"))), MANIFEST)


@example
def other_release() -> Broken:
    return Broken(eb.bundle(eb.manifest(release="0.0.9")), MANIFEST)


@example
def wrong_wheel() -> Broken:
    wheels = eb.manifest().wheels
    return Broken(eb.bundle(eb.manifest(wheels=(*wheels, replace(wheels[0], sha256=eb.digest("twin"))))), MANIFEST)


@example
def unknown_family() -> Broken:
    valid = eb.manifest()
    model = replace(valid.models[0], family="qwen2", model_type="qwen2")
    return Broken(eb.bundle(eb.manifest(families=(*valid.families, "qwen2"), models=(*valid.models, model))), MANIFEST)


@example
def wrong_model() -> Broken:
    first, *others = eb.manifest().models
    return Broken(eb.bundle(eb.manifest(models=(replace(first, model_type="mistral"), *others))), MANIFEST)


@example
def wrong_refusals() -> Broken:
    return Broken(eb.bundle(eb.manifest(eb.LINUX, refusals=())), MANIFEST)


@example
def wrong_clock() -> Broken:
    stages = eb.runs()
    stages[3] = replace(stages[3], ended=eb.time(14), started=eb.time(15))
    return Broken(eb.bundle(stages=stages), f"stages/{stages[3].stage}.json")


# The chain and its records


def relinked(change: Callable[[list[Link]], list[Link]]) -> dict[str, bytes]:
    """The valid bundle with other lines in its log, sealed again."""
    files = eb.bundle()
    links = [msgspec.json.decode(line, type=Link) for line in files[LOG].splitlines()]
    return eb.resealed({**files, LOG: b"".join(map(encode_line, change(links)))})


@example
def unknown_stage() -> Broken:
    return Broken(relinked(lambda links: [replace(links[0], stage="warm_up"), *links[1:]]), LOG)


@example
def repeated_stage() -> Broken:
    return Broken(relinked(lambda links: [links[0], *links]), LOG)


@example
def wrong_order() -> Broken:
    stages = eb.runs()
    stages[2], stages[3] = stages[3], stages[2]
    return Broken(eb.bundle(stages=stages), LOG)


@example
def wrong_link() -> Broken:
    """A measurement made better by hand, with every digest corrected but the chain's."""

    def improve(record: Any) -> None:
        record["series"][0]["values"][0] /= 2

    return Broken(edited("stages/memory.json", improve), "stages/memory.json")


@example
def broken_chain() -> Broken:
    """The same, with the line of the log corrected too: the next record still names the one that was measured."""
    files = wrong_link().content
    assert isinstance(files, dict)
    after = record_path(following("memory"))

    def correct(link: Link) -> Link:
        return replace(link, sha256=sha256(files[link.path])) if link.stage == "memory" else link

    lines = [correct(msgspec.json.decode(line, type=Link)) for line in files[LOG].splitlines()]
    return Broken(eb.resealed({**files, LOG: b"".join(map(encode_line, lines))}), after)


def following(stage: str) -> str:
    names = [one.name for one in eb.EDITION.stages]
    return names[names.index(stage) + 1]


@example
def other_stage() -> Broken:
    """The last stage's place in the chain taken by a copy of the one before."""
    records = eb.chained(eb.APPLE, eb.runs(), eb.TABLE)
    last = records[-1].stage
    copy = replace(records[-2], previous=records[-1].previous, artifacts=())
    files = eb.bundle()
    content = encode(copy)
    lines = [msgspec.json.decode(line, type=Link) for line in files[LOG].splitlines()]
    lines[-1] = replace(lines[-1], sha256=sha256(content))
    files = {**files, record_path(last): content, LOG: b"".join(map(encode_line, lines))}
    return Broken(eb.resealed(files), record_path(last))


def with_run(stage: str, **changes: object) -> Broken:
    """An otherwise valid bundle with one stage's run changed, chained and sealed as if it had been run so."""
    stages = [replace(one, **changes) if one.stage == stage else one for one in eb.runs()]
    return Broken(eb.bundle(stages=stages), record_path(stage))


@example
def other_environment() -> Broken:
    return with_run("memory", environment_sha256=digest_of(eb.LINUX))


@example
def contradictory_status() -> Broken:
    return with_run("memory", reason="it went well")


@example
def contradictory_case() -> Broken:
    case = eb.runs()[0].cases[0]
    return with_run("memory", cases=(replace(case, message="almost"),))


@example
def repeated_case() -> Broken:
    case = eb.runs()[0].cases[0]
    return with_run("memory", cases=(case, case))


def series_of(stage: str) -> tuple[Any, ...]:
    return next(one.series for one in eb.runs() if one.stage == stage)


@example
def repeated_series() -> Broken:
    series = series_of("preset_quality")
    return with_run("preset_quality", series=(*series, series[0]))


@example
def foreign_series() -> Broken:
    series = series_of("memory")
    return with_run("memory", series=(*series, replace(series[0], preset="legacy_topk")))


@example
def wrong_artifact() -> Broken:
    path = "stages/dense_vs_tq.md"
    files = eb.bundle()
    return Broken(eb.resealed({**files, path: files[path].replace(b"110", b"910")}), path)


@example
def wrong_report() -> Broken:
    path = "stages/memory.xml"
    files = eb.bundle()
    return Broken(eb.resealed({**files, path: files[path].replace(b'failures="0"', b'failures="9"')}), path)


# What was asked


@example
def other_verdict() -> Broken:
    return Broken(eb.bundle(eb.manifest(eb.LINUX)), "bundle", {"require": "passed"})


@example
def uncertified_wheel() -> Broken:
    return Broken(eb.bundle(), Path(__file__).name, {"wheels": [Path(__file__)]})
