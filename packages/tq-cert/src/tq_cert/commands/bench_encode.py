"""`tq-cert bench encode`: what coding costs per value, and beside a model's decode step."""

import argparse

from tq_cert import sample_models
from tq_cert.commands import Subcommands
from tq_cert.commands.bench_arguments import add_output, add_research
from tq_cert.commands.bench_run import publish
from tq_cert.errors import EXIT_GOOD
from tq_cert.lanes import runtime
from tq_cert.lanes.decode.settings import DEVICES
from tq_cert.lanes.encode.presets import own_presets, parse_head_dims, parse_presets
from tq_cert.lanes.encode.record import EncodeReport
from tq_cert.lanes.encode.settings import HEAD_DIMS, EncodeSettings
from tq_cert.lanes.encode.table import grids
from tq_cert.lanes.envelope import SCHEMA_VERSION, Envelope, now
from tq_cert.lanes.provenance import collect
from tq_cert.progress import open_progress

DEFAULTS = EncodeSettings(presets=())


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "encode",
        help="what coding new tokens costs, per value and as a share of decoding",
        description="Times the coding and decoding of a block of tokens with each preset and, with a model, one "
        "decode step beside it: all in one run, in turns. On a GPU the fused kernel is timed beside the reference.",
    )
    parser.add_argument(
        "--model",
        metavar="|".join((*sample_models.NAMES, "DIR")),
        help="also time decode steps of a sample model or of a directory that mlx-lm loads",
    )
    parser.add_argument("--device", choices=DEVICES, help="of MLX (default: MLX's own choice)")
    parser.add_argument("--presets", metavar="P1,P2,…", help="of the contract (default: those that we recommend)")
    parser.add_argument(
        "--head-dims",
        default=",".join(map(str, HEAD_DIMS)),
        metavar="D1,D2,…",
        help="head dimensions to time without a model (default: %(default)s)",
    )
    for option, default, what in (
        ("--heads", DEFAULTS.heads, "KV heads of the vectors that are timed without a model"),
        ("--context", DEFAULTS.context, "tokens in the cache when a decode step is timed"),
        ("--repeats", DEFAULTS.repeats, "timings of everything"),
    ):
        parser.add_argument(option, type=int, default=default, metavar="N", help=f"{what} (default: %(default)s)")
    parser.add_argument(
        "--tokens", type=int, metavar="N", help="tokens that are coded without a model (default: a preset's block)"
    )
    add_research(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure; print or write the report."""
    settings = EncodeSettings(
        presets=own_presets() if arguments.presets is None else parse_presets(arguments.presets),
        head_dims=parse_head_dims(arguments.head_dims),
        heads=arguments.heads,
        tokens=arguments.tokens,
        repeats=arguments.repeats,
        context=arguments.context,
        research=arguments.research,
    )
    settings.check()
    runtime.require()
    runtime.use_device(arguments.device)
    report = measure(settings, arguments.model, quiet=arguments.json)
    publish(arguments, report, grids(report))
    return EXIT_GOOD


def measure(settings: EncodeSettings, model: str | None, *, quiet: bool) -> EncodeReport:
    """Load the model, where there is one, and time everything."""
    from tq_cert.lanes.encode.lane import encode_rows
    from tq_cert.lanes.models import load_model

    with open_progress(quiet=quiet) as progress:
        loaded = None if model is None else load_model(model, progress)
    provenance = collect(device=runtime.device(), openblas=runtime.openblas())
    with open_progress(quiet=quiet, unit="turns") as progress, runtime.refusals():
        rows = encode_rows(settings, loaded, progress)
    info = None if loaded is None else loaded.info
    return Envelope("encode", SCHEMA_VERSION, now(), settings, provenance, info, None, rows)
