"""Whether the workflow files do what the contract requires of them, and cannot pass without doing it."""

import re
from collections.abc import Iterator
from typing import Any, cast

from tq_contract.checks.checkout import Checkout
from tq_contract.checks.finding import Finding
from tq_contract.checks.yaml_lines import Located, YamlError, parse
from tq_contract.records.checkout import Job, Workflow
from tq_contract.source_tree import CONTRACT

FOLDER = ".github/workflows"
KEEPS = "actions/upload-artifact@"
CONDITIONS = ("if", "continue-on-error")
WHATEVER_HAPPENED = ("${{ !cancelled() }}", "${{ always() }}")  # conditions under which an artifact may be kept
FILTERS = ("paths", "paths-ignore")

Found = tuple[int, str, str]  # line, message, remedy
Step = tuple[tuple[str | int, ...], dict[str, Any]]  # place, what is written there


def workflows(checkout: Checkout) -> Iterator[Finding]:
    """Each workflow of the contract is there with its triggers, jobs, commands and artifacts; actions are pinned."""
    required = {f"{FOLDER}/{workflow.file}": workflow for workflow in checkout.contract.workflows}
    for file in sorted(required.keys() - checkout.workflows.keys()):
        yield Finding(file, 0, "the contract requires this workflow, but it is missing", "Restore the file.")
    for file, text in checkout.workflows.items():
        if file not in required:
            yield Finding(file, 0, "a workflow that the contract does not know", f"Add it to /workflows in {CONTRACT}.")
        try:
            parsed = parse(text)
        except YamlError as error:
            yield Finding(file, error.line, f"not YAML: {error}", "Correct it.")
            continue
        found = [*_every_workflow(parsed, checkout)]
        if file in required:
            found += _required(required[file], parsed)
        yield from (Finding(file, *one) for one in found)


def _every_workflow(parsed: Located, checkout: Checkout) -> Iterator[Found]:
    """Yield what is wrong whatever the contract requires: loose actions and permissions, make targets not there."""
    if not isinstance(parsed.value, dict) or "permissions" not in parsed.value:
        yield 1, "no permissions are stated, so the token may write", "Add permissions: {contents: read} at the top."
    for place, step in _steps(parsed):
        action = str(step.get("uses", ""))
        if action and not action.startswith("./") and not re.search(r"@[0-9a-f]{40}$", action):
            remedy = "Name the commit by its full SHA, and the release in a comment."
            yield parsed.lines[place], f"the action {action} is not pinned", remedy
        for command in _commands(step):
            match = re.match(r"make((?: [a-z][a-z0-9-]*)+)$", command)
            for target in match[1].split() if match else []:
                if target not in checkout.make_targets:
                    yield (
                        parsed.lines[place],
                        f"runs make {target}, which the Makefile does not have",
                        "Correct the target.",
                    )


def _required(workflow: Workflow, parsed: Located) -> Iterator[Found]:
    started_by = _get(parsed.value, "on", {})
    events: list[str] = [started_by] if isinstance(started_by, str) else list(started_by)
    for event in workflow.triggers:
        if event not in events:
            yield parsed.lines.get(("on",), 1), f"does not start on {event}", f"Add {event} to on."
        for name in FILTERS:
            if _get(_get(started_by, event, {}), name, None):
                yield parsed.lines["on", event, name], f"starts on {event} of some paths alone", f"Remove {name}."
    jobs = _get(parsed.value, "jobs", {})
    for job in workflow.jobs:
        if job.name in jobs:
            yield from _job(job, jobs[job.name], parsed)
        else:
            yield parsed.lines.get(("jobs",), 1), f"has no job {job.name}", "Restore it."


def _job(job: Job, written: Any, parsed: Located) -> Iterator[Found]:
    path = ("jobs", job.name)
    if _get(written, "runs-on", None) != job.runner:
        line = parsed.lines.get((*path, "runs-on"), parsed.lines[path])
        yield line, f"{job.name} runs on {_get(written, 'runs-on', 'nothing')}", f"Run it on {job.runner}."
    for condition in CONDITIONS:
        if condition in written:
            line = parsed.lines[*path, condition]
            yield line, f"{job.name} has {condition}, so it can pass without being run", "Remove it."
    steps = [(place, step) for place, step in _steps(parsed) if place[:2] == path]
    for command in job.commands:
        running = [(place, step) for place, step in steps if command in _commands(step)]
        if not running:
            yield parsed.lines[path], f"{job.name} does not run {command!r}", "Add it as a line of a step's run."
        for place, step in running:
            for condition in (name for name in CONDITIONS if name in step):
                message = f"{command!r} has {condition}, so the job can pass without it"
                yield parsed.lines[*place, condition], message, "Remove it."
    for artifact in job.artifacts:
        yield from _artifact(artifact, job, steps, parsed)


def _artifact(artifact: str, job: Job, steps: list[Step], parsed: Located) -> Iterator[Found]:
    keeping = [
        (place, step)
        for place, step in steps
        if str(step.get("uses", "")).startswith(KEEPS) and _get(_get(step, "with", {}), "name", None) == artifact
    ]
    if not keeping:
        message = f"{job.name} does not keep the artifact {artifact}"
        yield parsed.lines["jobs", job.name], message, f"Add a step that uses {KEEPS}… with that name."
    for place, step in keeping:
        if step.get("if", WHATEVER_HAPPENED[0]) not in WHATEVER_HAPPENED or "continue-on-error" in step:
            message = f"{job.name} keeps the artifact {artifact} on a condition"
            yield parsed.lines[place], message, f"Remove it, or write if: {WHATEVER_HAPPENED[0]}."
        if _get(step["with"], "if-no-files-found", None) != "error":
            message = f"{job.name} passes without the artifact {artifact}"
            yield parsed.lines[place], message, "Write if-no-files-found: error."


def _steps(parsed: Located) -> Iterator[Step]:
    for name, job in _get(parsed.value, "jobs", {}).items():
        for index, step in enumerate(_get(job, "steps", [])):
            if isinstance(step, dict):
                yield ("jobs", name, "steps", index), step


def _commands(step: dict[str, Any]) -> list[str]:
    return [line.strip() for line in str(step.get("run", "")).splitlines()]


def _get(value: Any, key: str, default: Any) -> Any:
    """Return a member of a mapping; the default where it is absent, empty or the value is no mapping."""
    return cast("dict[str, Any]", value).get(key) or default if isinstance(value, dict) else default
