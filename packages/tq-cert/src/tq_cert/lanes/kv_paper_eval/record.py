"""The records of a KV paper evaluation."""

import math
from collections.abc import Sequence

import msgspec

from tq_cert.lanes.envelope import Envelope
from tq_cert.lanes.kv_paper_eval.settings import EvalSettings
from tq_cert.lanes.quality.record import StoredBits
from tq_cert.lanes.quality.statistics import mean

Z95 = 1.959964


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question.

    Attributes:
        depth: of the fact in the prompt, 0 to 1.
        right: whether each token of the answer is the model's first choice after those before it.
        nll: mean negative log-likelihood of the answer's tokens, nats.
    """

    depth: float
    right: tuple[bool, ...]
    nll: float


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One method on one prompt.

    Attributes:
        stored_bits: per value, of the whole prompt.
        codes_read: by attention, over all layers.
        needles: in the prompt's order.
        copy: the passage's answer.
    """

    stored_bits: StoredBits
    codes_read: int
    needles: tuple[Answer, ...]
    copy: Answer


class MeasuredRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="measured", tag_field="status"):
    """One evaluation of one method at one context.

    Attributes:
        evaluation: name in the catalogue.
        method: name.
        context: tokens of the prompts.
        stored_bits: per value, mean over the prompts.
        asked: needles, or tokens of passages.
        found: of these.
        share: found over asked.
        interval: Wilson's 95 % interval of the share; tokens of one passage are not independent, so for
            long_range_copy it is too narrow.
        nll: mean negative log-likelihood of the answers, nats a token.
        answers: what this was computed from, prompt by prompt.
    """

    evaluation: str
    method: str
    context: int
    stored_bits: StoredBits
    asked: int
    found: int
    share: float
    interval: tuple[float, float]
    nll: float
    answers: tuple[Answer, ...]


class NotRunRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="not_run", tag_field="status"):
    """An evaluation that was not run, and why; context is None where it is run at none."""

    evaluation: str
    context: int | None
    reason: str


EvalReport = Envelope[EvalSettings, MeasuredRow | NotRunRow]


def row_of(evaluation: str, method: str, context: int, probes: Sequence[Probe], *, whole: bool) -> MeasuredRow:
    """Sum up one method's prompts: by needles found whole, or by tokens of the passages."""
    answers = [answer for probe in probes for answer in (probe.needles if whole else (probe.copy,))]
    hits = [all(answer.right) for answer in answers] if whole else [hit for answer in answers for hit in answer.right]
    return MeasuredRow(
        evaluation=evaluation,
        method=method,
        context=context,
        stored_bits=StoredBits.mean_of([probe.stored_bits for probe in probes]),
        asked=len(hits),
        found=sum(hits),
        share=sum(hits) / len(hits),
        interval=wilson(sum(hits), len(hits)),
        nll=mean([answer.nll for answer in answers]),
        answers=tuple(answers),
    )


def wilson(found: int, asked: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    share, square = found / asked, Z95**2 / asked
    centre = (share + square / 2) / (1 + square)
    reach = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    return max(0.0, centre - reach), min(1.0, centre + reach)
