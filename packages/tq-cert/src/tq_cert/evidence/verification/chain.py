"""Whether the records follow one another as they were written: each names the one before it, byte for byte."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from tq_cert.evidence.canonical import digest_of, sha256
from tq_cert.evidence.manifest import Manifest
from tq_cert.evidence.paths import LOG, MANIFEST, record_path
from tq_cert.evidence.policy.edition import Edition
from tq_cert.evidence.run_directory import Link
from tq_cert.evidence.stage_record import StageRecord
from tq_cert.evidence.verification import faults
from tq_cert.evidence.verification.faults import Fault


def misplaced_links(links: Sequence[Link], edition: Edition) -> Iterator[Fault]:
    """Lines of the log that name no stage, or one out of turn."""
    order = [stage.name for stage in edition.stages]
    for link in links:
        if link.stage not in order:
            yield faults.UNKNOWN_STAGE.of(LOG, f"names the stage {link.stage}, which {edition.edition} does not have")
        elif link.path != record_path(link.stage):
            yield faults.WRONG_LINK.of(LOG, f"has the record of {link.stage} in {link.path}")
    stages = [link.stage for link in links if link.stage in order]
    for before, after in pairwise(stages):
        if order.index(after) < order.index(before):
            yield faults.WRONG_ORDER.of(LOG, f"has {after} after {before}")
    for stage in sorted({stage for stage in stages if stages.count(stage) > 1}):
        yield faults.REPEATED_STAGE.of(LOG, f"has {stage} {stages.count(stage)} times")


def broken_links(
    files: Mapping[str, bytes], links: Sequence[Link], records: Sequence[StageRecord], manifest: Manifest
) -> Iterator[Fault]:
    """Records that are not those of the log, or that do not follow the one before."""
    environment = digest_of(manifest.environment)
    previous = environment
    for link, record in zip(links, records, strict=True):
        if (actual := sha256(files[link.path])) != link.sha256:
            yield faults.WRONG_LINK.of(link.path, f"has SHA-256 {actual}; {LOG} names {link.sha256}")
        if link.previous != previous:
            yield faults.BROKEN_CHAIN.of(LOG, f"{link.stage} follows {link.previous}, not {previous}")
        if record.previous != previous:
            yield faults.BROKEN_CHAIN.of(link.path, f"follows {record.previous}, not {previous}")
        if record.stage != link.stage:
            yield faults.OTHER_STAGE.of(link.path, f"is the record of {record.stage}, not of {link.stage}")
        if record.environment_sha256 != environment:
            yield faults.OTHER_ENVIRONMENT.of(link.path, "was measured in another environment than the manifest states")
        previous = link.sha256


def wrong_times(records: Sequence[StageRecord], manifest: Manifest) -> Iterator[Fault]:
    """Stages that ended before they began, or ran before the one before them had ended."""
    last = manifest.created
    for record in records:
        path = record_path(record.stage)
        if record.ended < record.started:
            yield faults.WRONG_CLOCK.of(path, f"ended at {record.ended}, before it started at {record.started}")
        if record.started < last:
            yield faults.WRONG_CLOCK.of(
                path, f"started at {record.started}, before {last}, when it was not its turn yet"
            )
        last = record.ended
    if manifest.sealed < last:
        yield faults.WRONG_CLOCK.of(MANIFEST, f"was sealed at {manifest.sealed}, before the last stage ended at {last}")
