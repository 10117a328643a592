"""`tq-cert run`: every stage of certification, and a bundle of what they measured."""

import argparse
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape

import tq_contract
from tq_cert.certification.plan import Plan, begin_or_resume
from tq_cert.certification.refusals import CertificationRefusedError, described
from tq_cert.certification.runner import clear, in_use, run_stages
from tq_cert.certification.table import open_table
from tq_cert.commands import Subcommands
from tq_cert.errors import EXIT_FINDINGS, EXIT_GOOD, EXIT_REFUSED, OptionError
from tq_cert.evidence import StageRecord, utc_now
from tq_cert.evidence.archive import pack
from tq_cert.evidence.bundle import seal
from tq_cert.evidence.errors import BundleExistsError
from tq_cert.evidence.policy.load import CURRENT, load_edition
from tq_cert.evidence.refusals import is_rehearsal
from tq_cert.evidence.signing import Signer, load_signer
from tq_cert.evidence.verdict import Verdict, derive
from tq_cert.inspection.checkout import find_checkout
from tq_cert.inspection.installation import wheels
from tq_cert.inspection.scope import parse_families, sources
from tq_cert.inspection.survey_process import survey
from tq_cert.lanes import runtime
from tq_cert.progress import open_progress
from tq_cert.stages import SECONDS
from tq_cert.stages.sizes import Sizes

OUT = Path("artifacts/runtime-cert")
RUN, TRIAL, BUNDLE, ARCHIVE = "run", "trial", "bundle", "bundle.zip"
EXIT_CODES = {"passed": EXIT_GOOD, "rehearsal": EXIT_GOOD, "refused": EXIT_REFUSED}


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "run",
        help="run the stages of certification and make an evidence bundle",
        description="Runs every stage of the contract, each in a process of its own, and seals what they measured into "
        "a bundle. An interrupted run with the same --out goes on where it stopped. Away from Apple hardware it is a "
        "rehearsal. Exit codes: 0 passed or rehearsal, 1 failed or incomplete, 2 usage or input/output, 3 refused.",
    )
    parser.add_argument("--families", metavar="F1,F2", help="allowlisted families in scope (default: all of them)")
    parser.add_argument(
        "--out", type=Path, default=OUT, metavar="DIR", help="where the run and its bundle go (default: %(default)s)"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="STAGE", help="try these stages alone, from the start: no bundle comes of it"
    )
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", help="the wheels that are installed (default: where they came from)"
    )
    parser.add_argument("--sign", type=Path, metavar="PEM", help="ed25519 private key to sign the bundle with")
    parser.add_argument("--json", action="store_true", help="print the verdict as one JSON object, no progress")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run what is not done yet; seal it; print the verdict."""
    out: Path = arguments.out
    families, stages = parse_families(arguments.families), parse_stages(arguments.only)
    signer = None if arguments.sign is None else load_signer(arguments.sign)
    if (out / ARCHIVE).exists():
        raise BundleExistsError(str(out / ARCHIVE))
    runtime.require()
    directory = out / (TRIAL if arguments.only else RUN)
    with in_use(directory):
        plan = plan_of(families, arguments)
        if arguments.only:
            clear(directory)
        else:
            refuse_in_vain(plan)
        plan = begin_or_resume(directory, plan)
        if not arguments.json:
            announce(plan)
        limits = {stage: SECONDS[stage] for stage in stages}
        with open_table(tuple(limits), families, quiet=arguments.json) as table:
            records = run_stages(directory, plan, limits, table)
        verdict = finish(out, plan, records, signer)
    show(out, verdict, as_json=arguments.json)
    return EXIT_CODES.get(verdict.name, EXIT_FINDINGS)


def parse_stages(only: list[str] | None) -> tuple[str, ...]:
    """The stages to run, in the contract's order.

    Raises:
        OptionError: one is not in the contract.
    """
    known = tuple(stage.name for stage in tq_contract.load().certification.stages)
    for name in only or ():
        if name not in known:
            raise OptionError("--only", f"{name!r} is no stage", f"choose from {', '.join(known)}")
    return tuple(name for name in known if only is None or name in only)


def plan_of(families: tuple[str, ...], arguments: argparse.Namespace) -> Plan:
    """What there is to run, on what."""
    installed = wheels(arguments.wheels)  # first: it may be refused, and models may have to be fetched
    with open_progress(quiet=arguments.json) as progress:
        chosen = sources(families, progress)
    surveyed, checkout = survey(chosen), find_checkout()
    return Plan(
        created=utc_now(),
        contract_sha256=tq_contract.digest(),
        commit=checkout and checkout.commit,
        lock_sha256=checkout and checkout.lock_sha256,
        wheels=installed,
        families=families,
        sources=chosen,
        models=surveyed.models,
        sizes=Sizes(),
        environment=surveyed.environment,
    )


def refuse_in_vain(plan: Plan) -> None:
    """Raise CertificationRefusedError where hardware would allow a certificate but something else does not."""
    if plan.refusals and not is_rehearsal(plan.refusals):
        raise CertificationRefusedError(plan.refusals)


def announce(plan: Plan) -> None:
    """Say what is about to be run, and why it cannot certify."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for model in plan.models:
        kind = "the project's sample model" if model.sample else "your model"
        console.print(escape(f"{model.family}: {model.name} in {model.dtype}, {kind}"))
    if plan.refusals:
        console.print("This is a rehearsal. It cannot certify, because of")
    for refusal in plan.refusals:
        console.print(escape(f"  {described(refusal)}"))


def finish(out: Path, plan: Plan, records: tuple[StageRecord, ...], signer: Signer | None) -> Verdict:
    """Seal the run if all stages are done; say what it comes to."""
    manifest = plan.manifest()
    if len(records) < len(tq_contract.load().certification.stages):
        return derive(manifest, records, load_edition(CURRENT))
    if (out / BUNDLE).exists():  # an earlier process was killed before it could pack it
        verdict = derive(manifest, records, load_edition(CURRENT))
    else:
        verdict = seal(out / RUN, manifest, out / BUNDLE, signer)
    pack(out / BUNDLE, out / ARCHIVE)
    return verdict


def show(out: Path, verdict: Verdict, *, as_json: bool) -> None:
    """Print the verdict, and where the bundle is."""
    bundle = out / ARCHIVE if (out / ARCHIVE).exists() else None
    if as_json:
        document = {"bundle": None if bundle is None else str(bundle), "verdict": msgspec.to_builtins(verdict)}
        print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        return
    console = Console(highlight=False, soft_wrap=True)
    for reason in verdict.reasons:
        console.print(f"not passed: {escape(reason)}")
    console.print(f"verdict: [bold]{verdict.name}[/bold]")
    if bundle is None:
        console.print("no bundle: stages were tried alone")
    else:
        console.print(f"bundle: {bundle}; anyone can check it with: tq-cert verify {bundle}")
