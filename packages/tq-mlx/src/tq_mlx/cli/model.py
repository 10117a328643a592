"""Load a model for the command line: from a directory, or by the name of a cached hub model."""

import contextlib
import io
import logging
import os
from typing import Any

from mlx_lm import load

from tq_mlx.errors import ConfigError


def load_model(name: str) -> tuple[Any, Any]:
    """Return the model and its tokenizer; ConfigError says what was looked for."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            model, tokenizer = load(name)[:2]
    except (OSError, ValueError, KeyError) as error:
        where = (
            "it holds no model that mlx-lm reads" if os.path.isdir(name) else "it is no directory, and no hub has it"
        )
        raise ConfigError(f"cannot load the model {name!r} ({where}): {error}") from error
    return model, tokenizer


def prompt_tokens(tokenizer: Any, prompt: str, *, raw: bool) -> list[int]:
    """Return the prompt's token ids, through the model's chat template where it has one and ``raw`` is not set."""
    if raw or not tokenizer.has_chat_template:
        return list(tokenizer.encode(prompt))
    messages = [{"role": "user", "content": prompt}]
    return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
