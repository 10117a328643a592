"""docs/generated/preset_modes.md: what kinds of preset there are, and every parameter of each."""

from tq_contract.documents.markdown import bullets, code, codes, document, table
from tq_contract.documents.wording import CLASSIFICATIONS, codec_in_words, keys_in_words
from tq_contract.records import Classification, CodecSpec, Contract, MseSpec, Parameters, Preset, UniformSpec


def render(contract: Contract) -> str:
    """Return the document."""
    present = {preset.classification for preset in contract.presets}
    used: list[Classification] = [kind for kind in CLASSIFICATIONS if kind in present]
    return document(
        "Preset modes",
        bullets(f"**{kind}**: {CLASSIFICATIONS[kind]}." for kind in used),
        *(
            f"## {kind}\n\n" + "\n\n".join(_preset(one) for one in contract.presets if one.classification == kind)
            for kind in used
        ),
        "What each preset stores at every head dimension is in the [support matrix](support_matrix.md).",
    )


def _preset(preset: Preset) -> str:
    parameters = preset.parameters
    rows = [
        ("keys", keys_in_words(parameters)),
        ("", _detail(parameters.keys)),
        ("values", codec_in_words(parameters.values)),
        ("", _detail(parameters.values)),
        ("key centring", _centring(parameters)),
        (
            "dense tokens",
            f"the first {parameters.sink_tokens} and the newest {parameters.tail_tokens}, coded in blocks of "
            f"{parameters.block_tokens}",
        ),
    ]
    also = f" Also called {codes(preset.aliases)}." if preset.aliases else ""
    return f"### {preset.name}\n\n{preset.summary}{also}\n\n{table(('parameter', 'value'), rows)}"


def _centring(parameters: Parameters) -> str:
    if not parameters.center_keys:
        return "off"
    block = parameters.center_block
    return "on one mean" if block is None else f"on the mean, and on a mean of each block of {block} tokens"


def _detail(codec: CodecSpec) -> str:
    parts = [f"rotation {code(codec.rotation.kind)}, seed {codec.rotation.seed}"]
    if isinstance(codec, MseSpec | UniformSpec):
        group = "one per vector" if codec.gain_group is None else f"one per {codec.gain_group} coordinates"
        parts += [f"gain {code(codec.gain)}, {group}", f"scale search {'on' if codec.scale_search else 'off'}"]
    return "; ".join(parts)
