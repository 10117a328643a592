"""`tq-cert bench LANE`: the measurement lanes, one module each."""

from tq_cert.commands import Subcommands, bench_decode, bench_encode, bench_memory, bench_quality, bench_sweep

LANES = (bench_quality, bench_sweep, bench_encode, bench_decode, bench_memory)


def add_parser(subcommands: Subcommands) -> None:
    """Declare the lanes."""
    parser = subcommands.add_parser(
        "bench",
        help="measure quality, speed and memory",
        description="Measures through the real codecs, the real cache and the real attention.",
    )
    lanes = parser.add_subparsers(metavar="LANE", required=True)
    for lane in LANES:
        lane.add_parser(lanes)
