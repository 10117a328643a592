"""What must hold between the fields of a contract, which no single field's type can say.

Each rule reads the plain document and passes over parts of another shape (`conform.py` reports
those), so that broken rules are found in the same run as broken shapes.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from tq_contract.places import at, objects, select, texts
from tq_contract.problems import Problem
from tq_contract.references import (
    coverage_is_what_stages_show,
    references_lead_somewhere,
    thresholds_are_of_what_their_stage_runs,
)
from tq_contract.strict_json import Json
from tq_contract.window import OPEN_WINDOW, ends


def broken_rules(document: Json) -> Iterator[Problem]:
    """Yield every problem of every rule."""
    for rule in RULES:
        yield from rule(document)


def preset_names_are_unique(document: Json) -> Iterator[Problem]:
    """A preset's name or alias leads to one preset."""
    names = [*texts(document, "presets/*/name"), *texts(document, "presets/*/aliases/*")]
    return _repeated(names, "Give each preset and alias a name of its own.")


def family_names_are_unique(document: Json) -> Iterator[Problem]:
    """A family's name leads to one family."""
    return _repeated(texts(document, "families/*/name"), "Give each family a name of its own.")


def model_types_have_one_family(document: Json) -> Iterator[Problem]:
    """A model type belongs to one family."""
    return _repeated(texts(document, "families/*/model_types/*"), "Keep it in one family.")


def coverage_is_listed_once(document: Json) -> Iterator[Problem]:
    """A family lists each kind of coverage once."""
    for place, coverage in select(document, "families/*/coverage"):
        items = ((place + below, text) for below, text in texts(coverage, "*"))
        yield from _repeated(items, "Remove one of them.")


def hooks_are_unique(document: Json) -> Iterator[Problem]:
    """An upstream function is hooked once and its parameters are listed once."""
    targets = _joined(objects(document, "hooks/*"), ("module", "name"), ".")
    yield from _repeated(targets, "Keep one entry for each function.")
    for place, parameters in select(document, "hooks/*/parameters"):
        items = ((place + below, text) for below, text in texts(parameters, "*"))
        yield from _repeated(items, "Remove one of them.")


def packages_are_unique(document: Json) -> Iterator[Problem]:
    """A package stands in the contract once, and so does each name that it exports."""
    yield from _repeated(texts(document, "packages/*/name"), "Keep one entry for each package.")
    for place, public in select(document, "packages/*/public"):
        items = ((place + below, text) for below, text in texts(public, "*"))
        yield from _repeated(items, "Remove one of them.")


def workflows_are_unique(document: Json) -> Iterator[Problem]:
    """A workflow stands in the contract once, and so does each of its jobs."""
    yield from _repeated(texts(document, "workflows/*/file"), "Keep one entry for each workflow.")
    for place, workflow in objects(document, "workflows/*"):
        jobs = ((place + below, text) for below, text in texts(workflow, "jobs/*/name"))
        yield from _repeated(jobs, "Keep one entry for each job.")


def platforms_are_unique(document: Json) -> Iterator[Problem]:
    """A machine kind has one role."""
    kinds = _joined(objects(document, "platforms/*"), ("system", "machine", "backend"), "/")
    return _repeated(kinds, "Keep one entry for each system, machine and backend.")


def certification_is_for_apple_silicon(document: Json) -> Iterator[Problem]:
    """Metal exists on Apple Silicon alone, and only Metal is certified."""
    for place, platform in objects(document, "platforms/*"):
        other_machine = platform.get("system") == "Linux" or platform.get("machine") in ("x86_64", "aarch64")
        other_backend = platform.get("backend") in ("cpu", "cuda")
        if platform.get("backend") == "metal" and other_machine:
            message = "metal is named for a machine that has none"
            yield Problem(at(place, "backend"), message, "Write cpu or cuda, or Darwin and arm64.")
        if platform.get("role") == "certified" and (other_machine or other_backend):
            message = "certified, but not Darwin/arm64/metal"
            yield Problem(at(place, "role"), message, "Write tested.")


def windows_are_not_empty(document: Json) -> Iterator[Problem]:
    """A window's lower end lies below its upper end."""
    for place, window in (pair for name in _WINDOWS for pair in texts(document, f"windows/{name}")):
        if re.fullmatch(OPEN_WINDOW, window):
            low, high = ends(window)
            if high is not None and low >= high:
                yield Problem(place, f"{window} admits no version", "Raise the upper end.")


def evidence_fits_status(document: Json) -> Iterator[Problem]:
    """An allowlisted family has evidence, and evidence says what it covers."""
    for place, family in objects(document, "families/*"):
        evidence, coverage = family.get("evidence"), family.get("coverage")
        if family.get("status") == "allowlisted" and evidence == "none":
            message = "allowlisted without evidence"
            yield Problem(at(place, "evidence"), message, "Write research-only, or the evidence.")
        if evidence in ("stronger", "narrower") and coverage == []:
            message = f"evidence is {evidence} but nothing is covered"
            yield Problem(at(place, "coverage"), message, "List what the evidence covers.")
        if evidence == "none" and isinstance(coverage, list) and coverage:
            message = "coverage is listed but evidence is none"
            yield Problem(at(place, "coverage"), message, "Empty the list, or state the evidence.")


def scale_search_needs_a_fitted_gain(document: Json) -> Iterator[Problem]:
    """A searched scale is undone by a gain fitted to the codes; the norm alone does not undo it."""
    for place, codec in _codecs(document):
        if codec.get("scale_search") is True and codec.get("gain") == "norm":
            message = "scale_search is true but gain is norm"
            yield Problem(at(place, "scale_search"), message, "Set gain to norm_preserving.")


def topk_keeps_no_more_than_a_group(document: Json) -> Iterator[Problem]:
    """A group of coordinates has no more residuals than coordinates."""
    for place, codec in _codecs(document):
        group_size, k = codec.get("group_size"), codec.get("k")
        if codec.get("codec") == "topk" and type(group_size) is int and type(k) is int and k > group_size > 0:
            message = f"k is {k} but a group has {group_size}"
            yield Problem(at(place, "k"), message, "Lower it, or raise group_size.")


def polar_levels_have_codebooks(document: Json) -> Iterator[Problem]:
    """The angles of the circle are told apart, and each level above it has codebooks of few bits."""
    for place, codec in _codecs(document):
        for level, (below, bits) in enumerate(select(codec, "level_bits/*"), start=1):
            low, high = _CIRCLE_BITS if level == 1 else _LEVEL_BITS
            if level > _LEVELS:
                message = f"level {level} of at most {_LEVELS}"
                yield Problem(place + below, message, "Remove it: levels that a head dimension lacks are passed over.")
            elif type(bits) is int and _BITS[0] <= bits <= _BITS[1] and not low <= bits <= high:
                yield Problem(place + below, f"no codebook of {bits} bits at level {level}", f"Write {low} to {high}.")


def key_bits_need_a_number_of_bits(document: Json) -> Iterator[Problem]:
    """Chosen key bits take the place of the key codec's own, and polar states bits level by level."""
    for place, parameters in objects(document, "presets/*/parameters"):
        keys = parameters.get("keys")
        if isinstance(parameters.get("key_bits"), dict) and isinstance(keys, dict) and keys.get("codec") == "polar":
            message = "key_bits is set but keys has no number of bits"
            yield Problem(at(place, "key_bits"), message, "Write null, or give keys a codec other than polar.")


def blocks_of_keys_are_centred(document: Json) -> Iterator[Problem]:
    """A block's mean key is a deviation from the mean of all."""
    for place, parameters in objects(document, "presets/*/parameters"):
        block = parameters.get("center_block")
        if parameters.get("center_keys") is False and type(block) is int and block > 0:
            message = "center_block is set but center_keys is false"
            yield Problem(at(place, "center_block"), message, "Write null, or set center_keys to true.")


def paper_facing_presets_follow_the_paper(document: Json) -> Iterator[Problem]:
    """A preset that stands for the paper has none of this project's own improvements."""
    own = (
        ("center_keys", True),
        *((f"{part}/gain", fit) for part in ("keys", "values") for fit in ("least_squares", "norm_preserving")),
        *((f"{part}/scale_search", True) for part in ("keys", "values")),
    )
    for place, preset in objects(document, "presets/*"):
        if preset.get("classification") != "paper-facing":
            continue
        message = "paper-facing, but not in the paper"
        remedy = "Turn it off, or classify the preset as supported."
        for field, improvement in own:
            for below, value in select(preset, f"parameters/{field}"):
                if type(value) is type(improvement) and value == improvement:
                    yield Problem(place + below, message, remedy)
        for below, _ in objects(preset, "parameters/key_bits"):
            yield Problem(place + below, message, remedy)


def blocks_fit_the_tail(document: Json) -> Iterator[Problem]:
    """Blocks are taken from the tail when it outgrows its limit, so one is no longer than that."""
    for place, parameters in objects(document, "presets/*/parameters"):
        tail, block = parameters.get("tail_tokens"), parameters.get("block_tokens")
        if type(tail) is int and type(block) is int and tail >= 0 and block > max(tail, 1):
            message = f"a block of {block} does not fit a tail of {tail}"
            yield Problem(at(place, "block_tokens"), message, "Lower it, or raise tail_tokens.")


def head_dims_ascend(document: Json) -> Iterator[Problem]:
    """Head dimensions are listed once each, from the smallest on."""
    previous = 0
    for place, dim in select(document, "head_dims/*"):
        if type(dim) is int and dim > 0:
            if dim <= previous:
                yield Problem(place, f"{dim} after {previous}", "List each head dimension once, in ascending order.")
            previous = max(previous, dim)


def certification_names_are_unique(document: Json) -> Iterator[Problem]:
    """A metric, a stage, an artifact and a benchmark each have a name of their own."""
    artifacts = [
        *texts(document, "certification/stages/*/artifacts/*"),
        *texts(document, "certification/bundle/*"),
    ]
    for named in (
        texts(document, "certification/metrics/*/name"),
        texts(document, "certification/stages/*/name"),
        artifacts,
        texts(document, "benchmarks/*/name"),
    ):
        yield from _repeated(named, "Give each a name of its own.")


def surfaces_and_deviations_are_unique(document: Json) -> Iterator[Problem]:
    """A surface and a deviation are described once."""
    yield from _repeated(texts(document, "secondary_surfaces/*/name"), "Keep one entry for each surface.")
    yield from _repeated(texts(document, "deviations/*/name"), "Keep one entry for each deviation.")


RULES: tuple[Callable[[Json], Iterator[Problem]], ...] = (
    preset_names_are_unique,
    family_names_are_unique,
    model_types_have_one_family,
    coverage_is_listed_once,
    hooks_are_unique,
    packages_are_unique,
    workflows_are_unique,
    platforms_are_unique,
    certification_is_for_apple_silicon,
    windows_are_not_empty,
    evidence_fits_status,
    scale_search_needs_a_fitted_gain,
    topk_keeps_no_more_than_a_group,
    polar_levels_have_codebooks,
    key_bits_need_a_number_of_bits,
    paper_facing_presets_follow_the_paper,
    blocks_of_keys_are_centred,
    blocks_fit_the_tail,
    head_dims_ascend,
    certification_names_are_unique,
    surfaces_and_deviations_are_unique,
    references_lead_somewhere,
    thresholds_are_of_what_their_stage_runs,
    coverage_is_what_stages_show,
)

_WINDOWS = ("python", "mlx", "mlx_lm")
_BITS = (1, 8)  # what the records admit anywhere
_CIRCLE_BITS = (2, 8)  # tests/workspace/test_codec_ranges.py holds these against the codec
_LEVEL_BITS = (1, 5)
_LEVELS = 10


def _codecs(document: Json) -> Iterator[tuple[str, dict[str, Json]]]:
    for part in ("keys", "values"):
        yield from objects(document, f"presets/*/parameters/{part}")


def _joined(
    records: Iterable[tuple[str, dict[str, Json]]], fields: tuple[str, ...], separator: str
) -> Iterator[tuple[str, str]]:
    """Yield, for every record that has them all, what the fields say together."""
    for place, record in records:
        values = [value for field in fields if isinstance(value := record.get(field), str)]
        if len(values) == len(fields):
            yield place, separator.join(values)


def _repeated(named: Iterable[tuple[str, str]], remedy: str) -> Iterator[Problem]:
    """Yield a problem for every name that an earlier place already has."""
    first: dict[str, str] = {}
    for place, name in named:
        earlier = first.setdefault(name, place)
        if earlier != place:
            yield Problem(place, f"{name!r} already stands at {earlier}", remedy)
