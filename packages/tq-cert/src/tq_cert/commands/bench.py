"""`tq-cert bench LANE`: the measurement lanes, one module each."""

from tq_cert.commands import (
    Subcommands,
    bench_decode,
    bench_dense_vs_tq,
    bench_encode,
    bench_inner_product_bias,
    bench_kv_paper_eval,
    bench_layer_error,
    bench_memory,
    bench_quality,
    bench_sweep,
    bench_vector_search,
)

LANES = (
    bench_quality,
    bench_sweep,
    bench_dense_vs_tq,
    bench_memory,
    bench_decode,
    bench_encode,
    bench_kv_paper_eval,
    bench_layer_error,
    bench_inner_product_bias,
    bench_vector_search,
)


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
