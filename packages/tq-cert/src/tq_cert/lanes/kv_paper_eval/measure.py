"""One prompt with one method's caches: fed in chunks, then every question on a copy of the caches."""

import copy
from typing import Any, cast

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.lanes.errors import CodesNotReadError
from tq_cert.lanes.kv_paper_eval.haystack import Haystack, Question
from tq_cert.lanes.kv_paper_eval.record import Answer, Probe
from tq_cert.lanes.prefill import Caches
from tq_cert.lanes.quality.caches import build_caches, dense_caches
from tq_cert.lanes.quality.methods import Method, TurboQuant
from tq_cert.lanes.quality.settings import Scope
from tq_cert.lanes.quality.stored_bits import stored_bits
from tq_mlx.teacher_forcing import prefill


def probe(model: Any, haystack: Haystack, method: Method, scope: Scope) -> Probe:
    """Run one method on one prompt.

    Raises:
        CodesNotReadError: attention never read the codes of a compressed cache.
    """
    seen = dense_caches(model, scope)
    prefill(model, haystack.tokens[: scope.chunk], seen, scope.chunk)
    caches = build_caches(method, model, scope, seen)
    prefill(model, haystack.tokens, caches, scope.chunk)
    mx.clear_cache()
    bits = stored_bits(caches)
    asked = copy.deepcopy(caches)
    copied = answer(model, asked, haystack.copy)
    reads = sum(layer.codes_read for layer in tq_mlx.status(asked).layers)
    if isinstance(method, TurboQuant) and not reads:
        raise CodesNotReadError(method.name, "attention read no codes")
    needles = tuple(answer(model, copy.deepcopy(caches), needle) for needle in haystack.needles)
    return Probe(bits, reads, needles, copied)


def answer(model: Any, caches: Caches, question: Question) -> Answer:
    """Feed the question and its answer, and see what the model would have said at each of the answer's tokens."""
    logits: mx.array = model(mx.array((*question.cue, *question.answer[:-1]))[None], cache=caches)
    logits = logits[0, -len(question.answer) :].astype(mx.float32)
    wanted = mx.array(question.answer)
    likelihood = mx.take_along_axis(logits, wanted[:, None], axis=-1)[:, 0] - mx.logsumexp(logits, axis=-1)
    right = cast("list[bool]", (mx.argmax(logits, axis=-1) == wanted).tolist())
    return Answer(question.depth, tuple(right), -float(likelihood.mean()))
