"""A synthetic run of the whole certification, and its bundle: the valid example that tests of evidence break.

The measurements are drawn at random so that every gate is kept; the machine is made up. Nothing here was measured.
"""

import random
from collections.abc import Iterable, Mapping
from functools import cache

import msgspec

import tq_contract
from tq_cert.evidence import (
    CURRENT,
    Artifact,
    Case,
    Environment,
    Manifest,
    Model,
    Series,
    StageRecord,
    StageRun,
    Wheel,
    digest_of,
    load_edition,
    refusals_of,
)
from tq_cert.evidence.bundle import sealed_files
from tq_cert.evidence.canonical import encode, encode_line, sha256
from tq_cert.evidence.dsse import DsseEnvelope, from_base64, to_base64
from tq_cert.evidence.listing import listing_of
from tq_cert.evidence.paths import DIGESTS, LOG, STATEMENT, record_path
from tq_cert.evidence.policy.edition import StagePolicy
from tq_cert.evidence.run_directory import Link
from tq_cert.evidence.statement import Statement

EDITION = load_edition(CURRENT)
MODEL_TYPES = {"llama": "llama", "gemma": "gemma3_text"}
WINDOWS, POSITIONS, CONTEXTS = 8, 125, (512, 2048, 4096)


def digest(name: str) -> str:
    return sha256(name.encode())


APPLE = Environment(
    system="Darwin",
    system_version="macOS 15.5",
    machine="arm64",
    python="3.12.4",
    mlx="0.32.4",
    mlx_lm="0.32.2",
    backend="metal",
    device="Apple M3 Max",
    hardware="Mac15,9",
    memory_bytes=64 * 2**30,
    virtual_gpu=False,
    rosetta=False,
    editable=(),
    dirty=None,
    sources_sha256=digest("sources"),
    overrides=(),
)
LINUX = msgspec.structs.replace(
    APPLE, system="Linux", system_version="glibc 2.36", machine="x86_64", backend="cpu", device="cpu", hardware="PC"
)


def time(minutes: float) -> str:
    return f"2026-01-02T{int(minutes) // 60:02d}:{int(minutes) % 60:02d}:{int(minutes % 1 * 60):02d}.000000+00:00"


def manifest(environment: Environment = APPLE, **changes: object) -> Manifest:
    """A manifest whose refusals follow from its facts, unless `changes` has others."""
    wheels = tuple(
        Wheel(name, EDITION.release, f"{name.replace('-', '_')}-{EDITION.release}-py3-none-any.whl", digest(name))
        for name in ("tq-contract", "tq-core", "tq-mlx", "tq-cert")
    )
    families = tuple(family.name for family in EDITION.families)
    models = tuple(
        Model(name, f"Sample {name}", MODEL_TYPES[name], True, None, digest(name), digest(f"{name} config"), "bfloat16")
        for name in families
    )
    made = Manifest(
        schema_version=1,
        release=EDITION.release,
        policy=EDITION.edition,
        contract_sha256=tq_contract.digest(),
        created=time(0),
        sealed=time(5 * len(EDITION.stages) + 1),
        commit="c" * 40,
        lock_sha256=digest("uv.lock"),
        wheels=wheels,
        families=families,
        models=models,
        environment=environment,
        refusals=(),
    )
    made = msgspec.structs.replace(made, **{name: value for name, value in changes.items() if name != "refusals"})
    derived = refusals_of(made.environment, made.wheels, made.models, EDITION)
    return msgspec.structs.replace(made, refusals=changes.get("refusals", derived))


@cache
def series_of(stage: StagePolicy) -> tuple[Series, ...]:
    """Samples by which the stage keeps all its gates."""
    drawn = random.Random(stage.name)
    names = {EDITION.measure(gate.metric).series for gate in stage.gates}
    baselines = {EDITION.measure(gate.metric).baseline for gate in stage.gates} - {None}
    if stage.name == "dense_vs_tq":  # which records more than its gates bound
        names |= {"cache_bytes", "peak_bytes"}
        baselines |= {"dense_cache_bytes", "dense_peak_bytes"}
    families = stage.families or (None,)
    ours = (
        one
        for family in families
        for preset in stage.presets or (None,)
        for name in sorted(names)
        for one in draw(name, family, preset, drawn)
    )
    theirs = (one for family in families for name in sorted(baselines) for one in draw(name, family, None, drawn))
    return (*ours, *theirs)


def draw(name: str, family: str | None, preset: str | None, drawn: random.Random) -> Iterable[Series]:
    def series(unit: str, values: Iterable[float], context: int | None = None, prompt: str | None = None) -> Series:
        return Series(name, unit, family, preset, context, prompt, None, tuple(map(float, values)))

    match name:
        case "kl" | "baseline_kl":
            median = 0.006 if name == "kl" else 0.1
            for window in range(WINDOWS):
                values = (round(drawn.lognormvariate(0, 0.5) * median, 8) for _ in range(POSITIONS))
                yield series("nats", values, 512, f"window {window}")
        case "flips":
            for window in range(WINDOWS):
                values = (drawn.random() < 0.02 for _ in range(POSITIONS))
                yield series("flips", values, 512, f"window {window}")
        case "decode_seconds" | "baseline_decode_seconds":
            for context in CONTEXTS:
                values = (round(drawn.uniform(0.009, 0.0095), 6) for _ in range(16))
                yield series("s", values, context, "prose")
        case "peak_bytes" | "dense_peak_bytes":
            yield series("bytes", [8e8 if name == "peak_bytes" else 9e8], 4096, "prose")
        case "cache_bytes" | "dense_cache_bytes":
            yield series("bytes", [2.5e7 if name == "cache_bytes" else 9e7], 4096, "prose")
        case "stored_bits":
            yield series("bits per value", [3.25] * WINDOWS)
        case "context_tokens":
            yield series("tokens", [4096])
        case "generated_tokens":
            yield series("tokens", [256])
        case "prompt_tokens":
            yield series("tokens", CONTEXTS)
        case "key_error":
            yield series("relative", [0.0351] * 4)
        case "value_error":
            yield series("relative", [0.0098] * 4)
        case "attention_error" | "kernel_error_float32" | "kernel_error_bfloat16":
            yield series("absolute", [drawn.uniform(1e-6, 5e-5) for _ in range(6)])
        case _:
            yield series("count", [0] * 6)


def runs(environment: Environment = APPLE) -> list[StageRun]:
    """One measured run of every stage, in the policy's order."""
    return [
        StageRun(
            schema_version=1,
            stage=stage.name,
            status="measured",
            reason=None,
            needs=None,
            started=time(5 * index),
            ended=time(5 * index + 4.5),
            environment_sha256=digest_of(environment),
            cases=(Case("it runs", "passed", 1.5, None), Case("not on this machine", "skipped", 0.0, "no network")),
            series=series_of(stage),
        )
        for index, stage in enumerate(EDITION.stages)
    ]


def chained(
    environment: Environment, stages: Iterable[StageRun], artifacts: Mapping[str, bytes] | None = None
) -> list[StageRecord]:
    """The records that these runs make, each naming the one before it."""
    records: list[StageRecord] = []
    previous = digest_of(environment)
    for run in stages:
        records.append(record(run, previous, artifacts))
        previous = digest_of(records[-1])
    return records


def record(run: StageRun, previous: str = "0" * 64, artifacts: Mapping[str, bytes] | None = None) -> StageRecord:
    """The record that a run makes after the one of this digest."""
    fields = {field: getattr(run, field) for field in StageRun.__struct_fields__}
    own = {path: data for path, data in (artifacts or {}).items() if path.startswith(f"stages/{run.stage}.")}
    listed = tuple(Artifact(path, len(data), sha256(data)) for path, data in own.items())
    return StageRecord(**fields, artifacts=listed, previous=previous)


TABLE = {"stages/dense_vs_tq.md": b"| context | tokens/s |\n|---|---|\n| 4096 | 110 |\n"}


def bundle(
    facts: Manifest | None = None, stages: Iterable[StageRun] | None = None, signer: object = None
) -> dict[str, bytes]:
    """A sealed bundle's files by path: valid, if the arguments are."""
    if facts is stages is signer is None:
        return dict(_valid())
    return _sealed(facts or manifest(), stages, signer)


@cache
def _valid() -> dict[str, bytes]:
    return _sealed(manifest(), None, None)


def _sealed(facts: Manifest, stages: Iterable[StageRun] | None, signer: object) -> dict[str, bytes]:
    stages = runs(facts.environment) if stages is None else stages
    records = chained(facts.environment, stages, TABLE)
    files, _ = sealed_files(contents(records), facts, tuple(records), signer)
    return files


def contents(records: Iterable[StageRecord]) -> dict[str, bytes]:
    """The files that a run's directory holds."""
    links, files = [], {}
    for record in records:
        path, content = record_path(record.stage), encode(record)
        links.append(Link(record.stage, path, sha256(content), record.previous))
        files |= {path: content} | {artifact.path: TABLE[artifact.path] for artifact in record.artifacts}
    return {**files, LOG: b"".join(map(encode_line, links))}


def statement(files: Mapping[str, bytes]) -> Statement:
    envelope = msgspec.json.decode(files[STATEMENT], type=DsseEnvelope)
    return msgspec.json.decode(from_base64(envelope.payload), type=Statement)


def with_statement(files: Mapping[str, bytes], claimed: Statement) -> dict[str, bytes]:
    """The files with another statement, unsigned."""
    envelope = DsseEnvelope(to_base64(encode(claimed)), "application/vnd.in-toto+json", ())
    return {**files, STATEMENT: encode(envelope)}


def resealed(files: Mapping[str, bytes], **claims: object) -> dict[str, bytes]:
    """The files with a listing and a statement that seal them as they are now; other claims stay, or become these."""
    listing = listing_of({path: data for path, data in files.items() if path not in (DIGESTS, STATEMENT)})
    seals = {"digests_sha256": digest_of(listing), "manifest_sha256": sha256(files["manifest.json"])}
    claimed = statement(files)
    predicate = msgspec.structs.replace(claimed.predicate, **{**seals, **claims})
    return with_statement({**files, DIGESTS: encode(listing)}, msgspec.structs.replace(claimed, predicate=predicate))
