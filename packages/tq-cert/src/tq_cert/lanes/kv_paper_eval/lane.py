"""The KV paper evaluation as a whole: every prompt and method that can be run, and a reason for everything else."""

import hashlib
from collections.abc import Sequence

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import msgspec

from tq_cert.lanes.journal import Journal, key_of
from tq_cert.lanes.kv_paper_eval.catalogue import CATALOGUE, COPY, NEEDLE
from tq_cert.lanes.kv_paper_eval.haystack import Haystack, make_haystacks
from tq_cert.lanes.kv_paper_eval.measure import probe
from tq_cert.lanes.kv_paper_eval.record import MeasuredRow, NotRunRow, Probe, row_of
from tq_cert.lanes.kv_paper_eval.settings import EvalScope
from tq_cert.lanes.models import LoadedModel
from tq_cert.lanes.provenance import Provenance
from tq_cert.lanes.quality.caches import check_methods
from tq_cert.lanes.quality.methods import Method
from tq_cert.lanes.quality.settings import Scope
from tq_cert.lanes.texts import Text
from tq_cert.progress import Progress

Rows = tuple[MeasuredRow | NotRunRow, ...]


def eval_rows(
    loaded: LoadedModel,
    text: Text,
    methods: Sequence[Method],
    scope: EvalScope,
    provenance: Provenance,
    journal: Journal[Probe],
    progress: Progress,
) -> Rows:
    """Measure what the journal lacks; one row per evaluation, context and method, and one per thing not run.

    Raises:
        TqCertError: one of its subclasses: a method does not serve the model, or its codes were not read.
        tq_core.TurboQuantError: the runtime refuses in the middle of a prompt.
    """
    longest = getattr(loaded.model.args, "max_position_embeddings", None)
    contexts = [context for context in scope.contexts if longest is None or context <= longest]
    check_methods(methods, loaded.info.head_dims, loaded.model, scope.at(max(contexts, default=2)))
    prompts = {context: make_haystacks(text, loaded.tokenizer, scope, context) for context in contexts}
    rows: list[MeasuredRow | NotRunRow] = []
    progress.phase(loaded.info.name, len(contexts) * scope.haystacks * len(methods))
    done = 0
    with tq_mlx.hooks_installed():
        for context, haystacks in prompts.items():
            for method in methods:
                probes: list[Probe] = []
                for haystack in haystacks:
                    probes.append(probed(loaded, haystack, method, scope.at(context), provenance, journal))
                    done += 1
                    progress.reach(done)
                needles = row_of(NEEDLE.name, method.name, context, probes, whole=True)
                copied = row_of(COPY.name, method.name, context, probes, whole=False)
                progress.note(
                    f"{method.name}, {context} tokens: {needles.found} of {needles.asked} needles, "
                    f"{copied.share:.0%} copied"
                )
                rows += [needles, copied]
    return (*rows, *not_run(scope, contexts, longest))


def probed(
    loaded: LoadedModel,
    haystack: Haystack,
    method: Method,
    scope: Scope,
    provenance: Provenance,
    journal: Journal[Probe],
) -> Probe:
    """The measurement of one prompt with one method: the journal's, or a new one that it then keeps."""
    key = key_of(
        model=loaded.info,
        provenance=provenance,
        scope=scope,
        name=method.name,
        parameters=method.parameters,
        haystack=digest(haystack),
    )
    found = journal.get(key)
    if found is None:
        found = probe(loaded.model, haystack, method, scope)
        journal.add(key, found)
    return found


def not_run(scope: EvalScope, contexts: Sequence[int], longest: int | None) -> Rows:
    """A row for everything in the catalogue or the scope that was not measured."""
    beyond = [context for context in scope.contexts if context not in contexts]
    rows = [
        NotRunRow(evaluation.name, context, f"the model was trained for {longest} tokens at most")
        for context in beyond
        for evaluation in (NEEDLE, COPY)
    ]
    rows += [NotRunRow(evaluation.name, None, evaluation.reason) for evaluation in CATALOGUE if evaluation.reason]
    return tuple(rows)


def digest(haystack: Haystack) -> str:
    """SHA-256 of the prompt and its questions."""
    return hashlib.sha256(msgspec.json.encode(haystack)).hexdigest()
