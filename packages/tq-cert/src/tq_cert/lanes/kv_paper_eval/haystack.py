"""The prompts: a passage to be copied, then a text with facts planted in it, and the questions to ask at the end."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tq_cert.errors import OptionError
from tq_cert.lanes.errors import TextTooShortError
from tq_cert.lanes.kv_paper_eval.settings import EvalScope
from tq_cert.lanes.texts import Text, leading_bos

PLACES = (
    *("Lisbon", "Cairo", "Oslo", "Lima", "Hanoi", "Quito", "Dublin", "Athens", "Nairobi", "Vienna"),
    *("Prague", "Havana", "Tunis", "Riga", "Seoul", "Bogota", "Warsaw", "Manila", "Dakar", "Sofia"),
)
DIGITS = 5
CUE = 8
"""Tokens of the passage that the model is given to recognise it; it has to go on from there."""

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Question:
    """What is fed behind the prompt, and the tokens that should follow; depth is where the fact lies, 0 to 1."""

    depth: float
    cue: Tokens
    answer: Tokens


@dataclass(frozen=True)
class Haystack:
    """A prompt and the questions about it; the last question is the passage's."""

    tokens: Tokens
    needles: tuple[Question, ...]
    copy: Question


def make_haystacks(text: Text, tokenizer: Any, scope: EvalScope, context: int) -> tuple[Haystack, ...]:
    """The prompts of one length, which fill ``context`` tokens together with the longest question.

    Raises:
        OptionError: there are more needles than places, or the context has no room for them.
        TextTooShortError: the text has fewer tokens than the prompts need.
    """
    if scope.needles > len(PLACES):
        raise OptionError("--needles", f"{scope.needles} are too many", f"use {len(PLACES)} or less")
    words = encode(tokenizer, text.content)
    draw = random.Random(f"{scope.seed} {context}")  # noqa: S311 (chooses facts, guards nothing)
    found: list[Haystack] = []
    used = 0
    for _ in range(scope.haystacks):
        facts = [make_fact(tokenizer, place, draw) for place in draw.sample(PLACES, scope.needles)]
        passage = tuple(draw.choices(words, k=scope.passage))
        longest = max(len(passage), *(len(fact.question) + len(fact.number) for fact in facts))
        head = (*leading_bos(tokenizer), *passage)
        body = context - longest - len(head) - sum(len(fact.sentence) for fact in facts)
        if body < len(facts):
            problem = f"{context} tokens have no room for {scope.needles} needles and a passage of {scope.passage}"
            raise OptionError("--contexts", problem, "use longer prompts, or fewer --needles, or a shorter --passage")
        if used + body > len(words):
            raise TextTooShortError(text.name, len(words), used + body)
        found.append(assemble(head, passage, words[used : used + body], facts))
        used += body
    return tuple(found)


@dataclass(frozen=True)
class Fact:
    """A sentence that states a number, the question that leads up to it, and the number."""

    sentence: Tokens
    question: Tokens
    number: Tokens


def make_fact(tokenizer: Any, place: str, draw: random.Random) -> Fact:
    """A fact about a place; its number has the same tokens in the sentence and in the answer."""
    number = encode(tokenizer, " " + "".join(draw.choices("0123456789", k=DIGITS)))
    statement = encode(tokenizer, f"\nThe secret number of {place} is")
    question = encode(tokenizer, f"\nQuestion: What is the secret number of {place}?\nAnswer:")
    end = encode(tokenizer, ".\n")
    return Fact(
        (*statement, *number, *end), (*question, *encode(tokenizer, f" The secret number of {place} is")), number
    )


def assemble(head: Tokens, passage: Tokens, body: Sequence[int], facts: Sequence[Fact]) -> Haystack:
    """The prompt with the facts at even depths of the body."""
    tokens, needles, start = list(head), list[Question](), 0
    for index, fact in enumerate(facts):
        stop = round((index + 0.5) / len(facts) * len(body))
        tokens += [*body[start:stop], *fact.sentence]
        needles.append(Question((index + 0.5) / len(facts), fact.question, fact.number))
        start = stop
    return Haystack((*tokens, *body[start:]), tuple(needles), Question(0.0, passage[:CUE], passage[CUE:]))


def encode(tokenizer: Any, text: str) -> Tokens:
    return tuple(tokenizer.encode(text, add_special_tokens=False, verbose=False))
