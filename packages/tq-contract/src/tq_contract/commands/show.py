"""`tq-contract show`: the packaged contract, for people or as JSON."""

import argparse
from collections.abc import Iterator, Sequence

import msgspec

from tq_contract.digest import digest
from tq_contract.exit_code import ExitCode
from tq_contract.load import load
from tq_contract.records import Contract, KeyNoiseSpec, Parameters
from tq_contract.records.codecs import label

HELP = "print the contract that this package carries"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes from the command line."""
    parser.add_argument("--json", action="store_true", help="print it as one JSON object")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Print the contract."""
    contract = load()
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(contract), indent=2).decode())
    else:
        print("\n".join(_readable(contract)))
    return ExitCode.GOOD


def _readable(contract: Contract) -> Iterator[str]:
    windows = contract.windows
    yield f"TurboQuant for MLX {contract.release} (contract version {contract.contract_version})"
    yield f"python {windows.python}, mlx {windows.mlx}, mlx-lm {windows.mlx_lm}"
    yield f"cache state schema version {contract.state.schema_version}, contract SHA-256 {digest()}"
    yield "\nPresets"
    yield from _table(
        ("name", "classification", "keys", "key bits", "values", "centred", "sink", "tail"),
        [
            (
                preset.name,
                preset.classification,
                label(preset.parameters.keys),
                _key_bits(preset.parameters),
                label(preset.parameters.values),
                "yes" if preset.parameters.center_keys else "no",
                str(preset.parameters.sink_tokens),
                str(preset.parameters.tail_tokens),
            )
            for preset in contract.presets
        ],
    )
    for preset in contract.presets:
        also = f" (also {', '.join(preset.aliases)})" if preset.aliases else ""
        yield f"  {preset.name}{also}: {preset.summary}"
    yield "\nModel families"
    yield from _table(
        ("name", "status", "evidence", "model types"),
        [(family.name, family.status, family.evidence, ", ".join(family.model_types)) for family in contract.families],
    )
    yield "\nPlatforms"
    yield from _table(
        ("system", "machine", "backend", "role"),
        [(platform.system, platform.machine, platform.backend, platform.role) for platform in contract.platforms],
    )
    entry = contract.entry_point
    yield "\nEntry point"
    yield f"  {entry.module}.{entry.name}({', '.join(entry.parameters)})"
    yield "\nHooks"
    for hook in contract.hooks:
        yield f"  {hook.module}.{hook.name}({', '.join(hook.parameters)})"
    yield "\nCertification stages"
    yield from _table(
        ("name", "families", "thresholds", "covers"),
        [
            (stage.name, ", ".join(stage.families) or "-", str(len(stage.thresholds)), ", ".join(stage.covers))
            for stage in contract.certification.stages
        ],
    )


def _key_bits(parameters: Parameters) -> str:
    rule = parameters.key_bits
    if rule is None:
        return "-"
    return f"error {rule.error:g}" if isinstance(rule, KeyNoiseSpec) else f"mean {rule.mean:g}"


def _table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    for row in (heading, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()
