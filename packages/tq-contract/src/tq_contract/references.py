"""Names in one part of a contract that stand for entries of another: each has to lead somewhere.

A rule here passes over everything while a name on either side is not one at all: what is missing or
misspelt is reported where it stands, once, and not at every place that refers to it.
"""

import re
from collections.abc import Iterator

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
        if known is None:
            continue
        for place, name in select(document, pattern):
            if isinstance(name, str) and re.fullmatch(NAME, name) and name not in known:
                remedy = f"Name one of {section}: {', '.join(known)}."
                yield Problem(place, f"{name!r} is not in {section}", remedy)


def thresholds_are_of_what_their_stage_runs(document: Json) -> Iterator[Problem]:
    """A threshold holds for families and a preset that its stage runs."""
    for place, stage in objects(document, "certification/stages/*"):
        families, presets = _texts(stage.get("families")), _texts(stage.get("presets"))
        for below, family in select(stage, "thresholds/*/families/*"):
            if families is not None and isinstance(family, str) and family and family not in families:
                yield Problem(place + below, f"the stage does not run {family!r}", "Add it to the stage's families.")
        for below, preset in select(stage, "thresholds/*/preset"):
            if presets is not None and isinstance(preset, str) and preset and preset not in presets:
                yield Problem(place + below, f"the stage does not run {preset!r}", "Add it to the stage's presets.")


def coverage_is_what_stages_show(document: Json) -> Iterator[Problem]:
    """Every item of a family's coverage has a stage, and every family that a stage covers lists the item."""
    shown = _shown(document)
    if shown is None:
        return
    for place, family in objects(document, "families/*"):
        name, coverage = family.get("name"), _texts(family.get("coverage"))
        if not isinstance(name, str) or not coverage or family.get("evidence") == "none":
            continue  # what is wrong with an empty list, or with one without evidence, is another rule's
        for index, item in enumerate(coverage):
            if item and (name, item) not in shown:
                message = f"no certification stage shows {item!r} for {name}"
                yield Problem(at(at(place, "coverage"), index), message, "Add a stage that covers it, or remove it.")
        for (shown_name, item), stage_place in shown.items():
            if shown_name == name and item not in coverage:
                message = f"{name} does not list {item!r}"
                yield Problem(stage_place, message, f"Add it to the coverage of {name}, or remove it here.")


def _shown(document: Json) -> dict[tuple[str, str], str] | None:
    """Return (family, item of coverage) → place in the stage that covers it; None if any of that is malformed."""
    shown: dict[tuple[str, str], str] = {}
    stages = list(select(document, "certification/stages/*"))
    for place, stage in stages:
        families = _texts(stage.get("families")) if isinstance(stage, dict) else None
        covers = _texts(stage.get("covers")) if isinstance(stage, dict) else None
        if families is None or covers is None or "" in (*families, *covers):
            return None
        for index, item in enumerate(covers):
            for family in families:
                shown.setdefault((family, item), at(at(place, "covers"), index))
    return shown if stages else None


def _texts(value: Json) -> list[str] | None:
    """Return an array of strings as it is, and None for anything else."""
    if not isinstance(value, list):
        return None
    found = [item for item in value if isinstance(item, str)]
    return found if len(found) == len(value) else None


def _names(document: Json, section: str) -> list[str] | None:
    """Return the names of a section's entries; None if the section or any of its names is malformed."""
    entries = list(select(document, f"{section}/*"))
    names = [entry.get("name") if isinstance(entry, dict) else None for _, entry in entries]
    found = [name for name in names if isinstance(name, str) and re.fullmatch(NAME, name)]
    return found if found and len(found) == len(names) else None
