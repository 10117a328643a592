"""How the contract's values are called in documents."""

from tq_contract.documents.markdown import code, number
from tq_contract.records import (
    Classification,
    CodecSpec,
    KeyNoiseSpec,
    MseSpec,
    Parameters,
    PolarSpec,
    Preset,
    ProdSpec,
    Threshold,
    TopkSpec,
)
from tq_contract.stored_bits import DENSE_BITS, preset_bits

CLASSIFICATIONS: dict[Classification, str] = {
    "supported": "ours, for use",
    "paper-facing": "as published, to reproduce a paper and to compare with",
    "compatibility-only": "loads and runs historical configurations, for nothing else",
    "research-only": "for experiments; nothing is promised",
}

BOUNDS = {"at_most": "at most", "below": "below", "at_least": "at least", "above": "above"}

ORIGINS = {
    "seed": "the description that the project was created from",
    "turboquant": "TurboQuant, arXiv 2504.19874",
    "qjl": "QJL, arXiv 2406.03482",
    "polarquant": "PolarQuant, arXiv 2502.02617",
}


def codec_in_words(codec: CodecSpec) -> str:
    """Return a codec with its bits, such as "Lloyd–Max, 4 bits"."""
    match codec:
        case PolarSpec():
            first, *rest = codec.level_bits
            return f"PolarQuant, angles of {', '.join(map(str, (first, *_shortened(rest))))} bits"
        case ProdSpec():
            return f"Lloyd–Max, {codec.bits - 1} bits, and a 1-bit sketch"
        case TopkSpec():
            return f"affine, {codec.bits} bits, top {codec.k} of {codec.group_size} residuals"
        case _:
            grid = "Lloyd–Max" if isinstance(codec, MseSpec) else "even grid"
            return f"{grid}, {codec.bits} bits"


def keys_in_words(parameters: Parameters) -> str:
    """Return the keys' codec, with the rule for their bits where there is one."""
    rule = parameters.key_bits
    if rule is None or isinstance(parameters.keys, PolarSpec):
        return codec_in_words(parameters.keys)
    chosen = f"an error of {rule.error:g}" if isinstance(rule, KeyNoiseSpec) else f"{rule.mean:g} bits on average"
    return f"{codec_in_words(parameters.keys).partition(',')[0]}, {chosen}"


def stored_bits(preset: Preset, head_dim: int) -> str:
    """Return the stored bits per value as text."""
    bits = preset_bits(preset.parameters, head_dim)
    return "by the model" if bits is None else number(round(bits, 4))


def compression(preset: Preset, head_dim: int) -> str:
    """Return how many times smaller a coded value is than a dense one, as text."""
    bits = preset_bits(preset.parameters, head_dim)
    return "by the model" if bits is None else f"{DENSE_BITS / bits:.2f} ×"


def threshold_in_words(threshold: Threshold) -> str:
    """Return a threshold without its families, such as "`mean_kl_ratio` at most 0.3 with `lloyd_k4v4`"."""
    with_preset = f" with {code(threshold.preset)}" if threshold.preset else ""
    return f"{code(threshold.metric)} {bound_in_words(threshold)}{with_preset}"


def bound_in_words(threshold: Threshold) -> str:
    """Return a threshold's bound, such as "at most 0.3"."""
    return f"{BOUNDS[threshold.bound]} {number(threshold.value)}"


def _shortened(bits: list[int]) -> list[str | int]:
    """Return the list with its last run of equal numbers written once: 3, 3, 2, 2, 2 as 3, 3, then 2."""
    if not bits:
        return []
    end = len(bits)
    while end > 1 and bits[end - 2] == bits[-1]:
        end -= 1
    return [*bits[: end - 1], f"then {bits[-1]}"]
