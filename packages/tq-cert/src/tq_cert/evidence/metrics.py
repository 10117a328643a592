"""How each metric of the contract comes from raw series: the half of the policy that the contract does not state.

A metric is computed for every family and preset that its threshold holds for, from the series of that family and
preset alone. A baseline's series have no preset; each is paired with the series of the same family, context, prompt and
seed, sample by sample. `samples` is the fewest that mean something: in all, or of every pair for `largest_ratio`.
"""

from typing import Literal, TypeAlias

from tq_cert.evidence.fields import Count, EvidenceRecord, Name

How: TypeAlias = Literal[
    "sum",
    "mean",
    "p99",
    "max",
    "min",
    "series",
    "distinct",
    "ratio_of_means",
    "largest_ratio",
]


class Measure(EvidenceRecord, frozen=True):
    """The way from samples to one metric.

    Attributes:
        metric: of the contract.
        how: of all samples: their sum, mean, 99th percentile, largest, smallest, or number of different values;
            the number of series; the mean over the baseline's mean; or, of the median ratios of samples to those of
            the baseline that were taken with them, the largest over all pairs of series.
        series: name of the series that are read.
        baseline: name of the series of the other run, or None.
        samples: the fewest that are enough.
        context: series at shorter contexts are left out.
        never_zero: a series of nothing but zeros fails: nothing was compressed, or nothing was measured.
    """

    metric: Name
    how: How
    series: Name
    baseline: Name | None = None
    samples: Count = 1
    context: Count = 0
    never_zero: bool = False


MEASURES = (
    Measure("failed_checks", "sum", "failed_checks"),
    Measure("unequal_arrays", "sum", "unequal_arrays"),
    Measure("attention_error", "max", "attention_error"),
    Measure("layers_not_read", "sum", "layers_not_read"),
    Measure("non_finite_logits", "sum", "non_finite_logits"),
    Measure("mean_kl", "mean", "kl", samples=16, never_zero=True),
    Measure("p99_kl", "p99", "kl", samples=1000, never_zero=True),  # ten samples beyond the percentile
    Measure("flip_rate", "mean", "flips", samples=1000),
    Measure("mean_kl_ratio", "ratio_of_means", "kl", "baseline_kl", samples=1000, never_zero=True),
    Measure("stored_bits", "max", "stored_bits", never_zero=True),
    Measure("windows", "series", "kl"),
    Measure("key_error", "mean", "key_error", never_zero=True),
    Measure("value_error", "mean", "value_error", never_zero=True),
    Measure("logit_difference", "max", "logit_difference"),
    Measure("context_tokens", "min", "context_tokens"),
    Measure("generated_tokens", "min", "generated_tokens"),
    Measure("prompt_lengths", "distinct", "prompt_tokens"),
    Measure("peak_memory_ratio", "largest_ratio", "peak_bytes", "dense_peak_bytes"),
    Measure("cache_bytes_ratio", "largest_ratio", "cache_bytes", "dense_cache_bytes"),
    Measure("decode_time_ratio", "largest_ratio", "decode_seconds", "baseline_decode_seconds", samples=8, context=4096),
    Measure("kernel_error_float32", "max", "kernel_error_float32"),
    Measure("kernel_error_bfloat16", "max", "kernel_error_bfloat16"),
)
