"""A conversation whose compressed cache stays between turns: only what is new is prefilled."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from mlx_lm.generate import stream_generate  # pyright: ignore[reportUnknownVariableType]
from mlx_lm.models.cache import can_trim_prompt_cache, make_prompt_cache, trim_prompt_cache
from mlx_lm.sample_utils import make_sampler

from tq_core import TurboQuantError
from tq_mlx.config import TurboQuantConfig
from tq_mlx.hooks import hooks_installed
from tq_mlx.status import CacheStatus, status
from tq_mlx.teacher_forcing import PREFILL_TOKENS

NEXT_SPEAKER = "\nUser:"
"""Where the answer of a model without a chat template ends, if it goes on to write the next question itself."""


class ContextFullError(TurboQuantError):
    """The conversation has no room for the next question."""


class AnswerStopped(Exception):  # noqa: N818 (no error: somebody asked for it)
    """The answer was stopped during the prefill."""


@dataclass(frozen=True)
class Answer:
    """What one turn gave and cost.

    Attributes:
        text: the answer.
        prefilled: tokens of the prompt that the cache did not hold.
        held: tokens that the cache holds now.
        tokens_per_second: speed of the answer.
        full: whether the answer ended because the context is full.
        cache: bytes and layers.
    """

    text: str
    prefilled: int
    held: int
    tokens_per_second: float
    full: bool
    cache: CacheStatus


class Conversation:
    """Messages, and the cache of their tokens."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        config: TurboQuantConfig,
        *,
        system: str | None = None,
        context: int | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        research: bool = False,
    ) -> None:
        self.model, self.tokenizer, self.config = model, tokenizer, config
        self.system, self.context, self.max_tokens = system, context, max_tokens
        self.research = research
        self.sampler: Any = make_sampler(temp=temperature)
        self.reset()

    def reset(self) -> None:
        """Forget everything but the system message."""
        self.messages = [{"role": "system", "content": self.system}] if self.system else []
        self.forget_tokens()

    def forget_tokens(self) -> None:
        self.cache: list[Any] = make_prompt_cache(self.model)
        self.tokens: list[int] = []

    def ask(self, question: str, say: Callable[[str], None], stopped: Callable[[], bool]) -> Answer:
        """Pass the answer to ``say`` as it comes, until ``stopped`` says so, and return what it cost.

        An answer that is stopped stays in the conversation as far as it came; a question without any is taken back.

        Raises:
            ContextFullError: the question does not fit; the conversation is as it was.
        """
        asked = [*self.messages, {"role": "user", "content": question}]
        prompt = self.encode(asked)
        room = self.max_tokens if self.context is None else min(self.max_tokens, self.context - len(prompt))
        if room < 1:
            raise ContextFullError(
                f"the conversation and this question are {len(prompt)} tokens, and {self.context} are the most: ask "
                "something shorter, or /reset"
            )
        new = prompt[self.keep_common(prompt) :]
        text, generated, speed = "", list[int](), 0.0
        for response in self.responses(new, room, stopped):
            generated.append(response.token)
            speed = response.generation_tps
            said, text = text, until_next_speaker(text + response.text, plain=not self.tokenizer.has_chat_template)
            say(text[len(said) :])
            if stopped() or len(text) < len(said + response.text):
                break
        self.tokens = (prompt + generated)[: self.cache[0].offset]
        if text:
            self.messages = [*asked, {"role": "assistant", "content": text}]
        return Answer(
            text=text,
            prefilled=len(new),
            held=len(self.tokens),
            tokens_per_second=speed,
            full=room < self.max_tokens and len(generated) >= room,
            cache=status(self.cache),
        )

    def encode(self, messages: list[dict[str, str]]) -> list[int]:
        """Return the tokens of the messages and of the beginning of an answer."""
        if self.tokenizer.has_chat_template:
            return list(self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
        return list(self.tokenizer.encode(plain_format(messages)))

    def keep_common(self, prompt: list[int]) -> int:
        """Trim the cache to what it has in common with the prompt, the last token excepted; return how much that is."""
        pairs = zip(prompt[:-1], self.tokens, strict=False)
        common = next(
            (index for index, (new, old) in enumerate(pairs) if new != old), min(len(prompt) - 1, len(self.tokens))
        )
        if common < len(self.tokens):
            if can_trim_prompt_cache(self.cache):
                trim_prompt_cache(self.cache, len(self.tokens) - common)
                self.tokens = self.tokens[:common]
            else:  # a sliding window has forgotten what came before
                self.forget_tokens()
        return len(self.tokens)

    def responses(self, new: list[int], room: int, stopped: Callable[[], bool]) -> Generator[Any]:
        """Yield mlx-lm's responses to new tokens; they end early where the prefill is stopped."""

        def stop_between_blocks(done: int, total: int) -> None:
            if stopped():
                raise AnswerStopped

        with hooks_installed():
            try:
                yield from stream_generate(
                    self.model,
                    self.tokenizer,
                    new,
                    max_tokens=room,
                    sampler=self.sampler,
                    prompt_cache=self.cache,
                    prefill_step_size=PREFILL_TOKENS,
                    prompt_progress_callback=stop_between_blocks,
                    turboquant_config=self.config,
                    turboquant_research=self.research,
                )
            except AnswerStopped:
                return


def plain_format(messages: list[dict[str, str]]) -> str:
    """Return the messages as a transcript, for a model without a chat template."""
    speakers = {"system": "", "user": "User: ", "assistant": "Assistant: "}
    lines = [speakers[message["role"]] + message["content"].strip() for message in messages]
    return "\n".join([*lines, "Assistant:"])


def until_next_speaker(text: str, *, plain: bool) -> str:
    """Return an answer without the question that a model without a chat template writes after it."""
    return text.split(NEXT_SPEAKER, 1)[0] if plain else text
