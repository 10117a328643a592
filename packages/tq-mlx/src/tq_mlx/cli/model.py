"""Find a model for the command line: in a directory, or by the name of a hub model."""

import argparse
import contextlib
import io
import logging
import os
from pathlib import Path
from typing import Any, cast

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from mlx_lm import load
from mlx_lm.utils import load_config  # pyright: ignore[reportUnknownVariableType]

from tq_mlx.errors import ConfigError

CONFIG = "config.json"


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the model."""
    parser.add_argument("--model", required=True, metavar="MODEL", help="directory of an mlx-lm model, or a hub name")


def load_model(name: str) -> tuple[Any, Any]:
    """Return the model and its tokenizer; ConfigError says what was looked for."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            model, tokenizer = load(name)[:2]
    except (OSError, ValueError, KeyError) as error:
        raise cannot_load(name, error) from error
    return model, tokenizer


def cannot_load(name: str, error: Exception) -> ConfigError:
    """Return what to say where mlx-lm's loading has failed."""
    if is_path(name) and not os.path.isdir(name):
        return ConfigError(f"cannot load the model {name!r}: there is no such directory")
    where = "it holds no model that mlx-lm reads" if os.path.isdir(name) else "no directory, and no hub gives it"
    return ConfigError(f"cannot load the model {name!r} ({where}): {error}")


def is_path(name: str) -> bool:
    """Return whether a model's name can be no hub's ``name`` or ``owner/name``."""
    return name.startswith((".", "~", os.sep)) or name.count("/") > 1 or os.path.exists(name)


def read_config(name: str) -> dict[str, Any]:
    """Return the config.json of a directory, of that file itself or of a hub model in the local cache; no network."""
    path = Path(name)
    found = path.parent if path.name == CONFIG and path.is_file() else path
    if not found.is_dir():
        cached = None if path.exists() else cached_config(name)
        if cached is None:
            raise ConfigError(
                f"cannot read the configuration of {name!r}: no directory, no {CONFIG}, no hub model cached here"
            )
        found = Path(cached).parent
    try:
        config = cast(Any, load_config(found))
    except FileNotFoundError as error:
        raise ConfigError(f"cannot read the configuration of {name!r}: the directory holds no {CONFIG}") from error
    except ValueError as error:
        raise ConfigError(f"cannot read the configuration of {name!r}: its {CONFIG} is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"cannot read the configuration of {name!r}: its {CONFIG} is no JSON object")
    return cast(dict[str, Any], config)


def cached_config(name: str) -> str | None:
    """Return the path of the config.json of a hub model that was downloaded before."""
    try:
        path = try_to_load_from_cache(name, CONFIG)
    except HFValidationError:
        return None
    return path if isinstance(path, str) else None


def prompt_tokens(tokenizer: Any, prompt: str, *, raw: bool) -> list[int]:
    """Return the prompt's token ids, through the model's chat template where it has one and ``raw`` is not set."""
    if raw or not tokenizer.has_chat_template:
        return list(tokenizer.encode(prompt))
    messages = [{"role": "user", "content": prompt}]
    return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
