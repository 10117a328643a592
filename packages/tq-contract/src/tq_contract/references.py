"""Names in one part of a contract that stand for entries of another: each has to lead somewhere.

A rule here passes over everything while a name on either side is not one at all: what is missing or
misspelt is reported where it stands, once, and not at every place that refers to it.
"""

import re
from collections.abc import Iterator
from typing import TypeGuard

from tq_contract.places import at, objects, select
from tq_contract.problems import Problem
from tq_contract.records.fields import NAME
from tq_contract.strict_json import Json

REFERENCES = (
    ("families", "certification/stages/*/families/*"),
    ("families", "certification/stages/*/thresholds/*/families/*"),
    ("presets", "certification/stages/*/presets/*"),
    ("presets", "certification/stages/*/thresholds/*/preset"),
    ("certification/metrics", "certification/stages/*/thresholds/*/metric"),
    ("certification/stages", "benchmarks/*/stage"),
)


def references_lead_somewhere(document: Json) -> Iterator[Problem]:
    """What a stage, a threshold or a benchmark names is in the contract."""
    for section, pattern in REFERENCES:
        known = _names(document, section)
        for place, name in select(document, pattern):
            if known and _is_name(name) and name not in known:
                remedy = f"Name one of {section}: {', '.join(known)}."
                yield Problem(place, f"{name!r} is not in {section}", remedy)


def thresholds_are_of_what_their_stage_runs(document: Json) -> Iterator[Problem]:
    """A threshold holds for families and a preset that its stage runs."""
    for place, stage in objects(document, "certification/stages/*"):
        for section, pattern in (("families", "thresholds/*/families/*"), ("presets", "thresholds/*/preset")):
            run = _all_names(stage.get(section))
            for below, name in select(stage, pattern):
                if run is not None and _is_name(name) and name not in run:
                    yield Problem(place + below, f"the stage does not run {name!r}", f"Add it to its {section}.")


def coverage_is_what_stages_show(document: Json) -> Iterator[Problem]:
    """Every item of a family's coverage has a stage, and every family that a stage covers lists the item."""
    shown = _shown(document)
    for place, family in objects(document, "families/*"):
        name, coverage = family.get("name"), _all_texts(family.get("coverage"))
        if not shown or not _is_name(name) or not coverage or family.get("evidence") == "none":
            continue  # what is wrong with an empty list, or with one without evidence, is another rule's
        for index, item in enumerate(coverage):
            if (name, item) not in shown:
                message = f"no certification stage shows {item!r} for {name}"
                yield Problem(at(at(place, "coverage"), index), message, "Add a stage that covers it, or remove it.")
        for (shown_for, item), stage_place in shown.items():
            if shown_for == name and item not in coverage:
                message = f"{name} does not list {item!r}"
                yield Problem(stage_place, message, f"Add it to the coverage of {name}, or remove it here.")


def _shown(document: Json) -> dict[tuple[str, str], str] | None:
    """Return (family, item of coverage) → place in the stage that covers it; None if any of that is malformed."""
    shown: dict[tuple[str, str], str] = {}
    for place, stage in select(document, "certification/stages/*"):
        families = _all_names(stage.get("families")) if isinstance(stage, dict) else None
        covers = _all_texts(stage.get("covers")) if isinstance(stage, dict) else None
        if families is None or covers is None:
            return None
        for index, item in enumerate(covers):
            for family in families:
                shown.setdefault((family, item), at(at(place, "covers"), index))
    return shown


def _names(document: Json, section: str) -> list[str] | None:
    """Return the names of a section's entries; None if any of them is malformed."""
    entries = [entry for _, entry in select(document, f"{section}/*")]
    return _all_names([entry.get("name") if isinstance(entry, dict) else None for entry in entries])


def _all_names(value: Json) -> list[str] | None:
    """Return an array of names; None for anything else."""
    texts = _all_texts(value)
    return texts if texts is not None and all(map(_is_name, texts)) else None


def _all_texts(value: Json) -> list[str] | None:
    """Return an array of texts that are not empty; None for anything else."""
    if not isinstance(value, list):
        return None
    texts = [item for item in value if isinstance(item, str) and item]
    return texts if len(texts) == len(value) else None


def _is_name(value: Json) -> TypeGuard[str]:
    return isinstance(value, str) and re.fullmatch(NAME, value) is not None
