"""mlx-lm's server over compressed caches: it batches as before, and its prompt caches keep their codes."""

import argparse
import logging
import socket
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlx_lm import server
from mlx_lm.models.cache import LRUPromptCache, make_prompt_cache

from tq_mlx.config import TurboQuantConfig
from tq_mlx.conversion import Configs
from tq_mlx.default_compression import compress_by_default
from tq_mlx.errors import ConfigError
from tq_mlx.hooks import hooks_installed


@dataclass(frozen=True)
class Compression:
    """What is asked of every model that the server loads.

    Attributes:
        config: what to compress to.
        calibration: text from whose keys a rule for key bits chooses.
        research: opt in to research-only families.
    """

    config: TurboQuantConfig
    calibration: str
    research: bool = False


CALIBRATION_TOKENS = 512
"""Of the calibration text, at most."""


def provider_of(compression: Compression) -> Callable[[argparse.Namespace], Any]:
    """Return the class of a provider that loads models as mlx-lm's does and compresses their caches."""

    class CompressedModelProvider(server.ModelProvider):
        def __init__(self, cli_args: argparse.Namespace) -> None:
            if cli_args.kv_bits is not None:
                raise ConfigError(
                    f"--kv-bits is {cli_args.kv_bits} beside a preset: a cache is compressed one way, leave it out"
                )
            super().__init__(cli_args)
            self.loaded = threading.Event()
            self.failure: BaseException | None = None

        def load_default(self) -> None:
            """Load the model that the command line names; what goes wrong is left to the main thread to raise."""
            try:
                super().load_default()
            except BaseException as error:
                self.failure = error
            finally:
                self.loaded.set()

        def _load(self, *key: Any) -> None:
            super()._load(*key)
            try:
                configs = compress(self.model, self.tokenizer, compression)
            except BaseException:
                self.reset()  # a model that is not compressed as was asked must not answer
                raise
            self.is_batchable = self.draft_model is None and all(
                hasattr(layer, "merge") for layer in make_prompt_cache(self.model)
            )
            logging.info(summary(configs, compression.config))

    return CompressedModelProvider


class LoadedResponseGenerator(server.ResponseGenerator):
    """Is made once the provider's model is loaded: mlx-lm's server would listen before, and go on without a model."""

    def __init__(self, model_provider: Any, prompt_cache: LRUPromptCache) -> None:
        super().__init__(model_provider, prompt_cache)
        model_provider.loaded.wait()
        if model_provider.failure is not None:
            self.stop_and_join()
            raise model_provider.failure


def compress(model: Any, tokenizer: Any, compression: Compression) -> Configs:
    """Compress a model's caches by default; return the layers' configurations."""
    tokens = list(tokenizer.encode(compression.calibration))[:CALIBRATION_TOKENS]
    return compress_by_default(model, compression.config, calibration=tokens, research=compression.research)


def summary(configs: Configs, config: TurboQuantConfig) -> str:
    """Return one line about what is compressed."""
    keys = sorted({own.keys.label for own in configs.values()})
    return f"{config.label}: caches of {len(configs)} layers are compressed, keys {', '.join(keys)}"


def run_server(arguments: Sequence[str], compression: Compression) -> None:
    """Run mlx-lm's server with its own command line arguments until it is interrupted.

    Raises:
        ConfigError: the arguments ask for mlx-lm's own cache quantization as well.
        SystemExit: mlx-lm's server does not know an argument.
        OSError: the address cannot be listened to.
        And whatever was raised while the model was loaded or compressed.
    """
    with (
        hooks_installed(),
        exchanged(server, "ModelProvider", provider_of(compression)),
        exchanged(server, "ResponseGenerator", LoadedResponseGenerator),
        exchanged(sys, "argv", ["", *arguments]),
    ):
        server.main()


def check_address(host: str, port: int) -> None:
    """Raise OSError, naming the address, unless a server can listen there."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        socket.create_server(address, family=family).close()
    except OSError as error:
        reason = f"cannot listen on {host}:{port} ({error.strerror}): name another --port or --host"
        raise OSError(error.errno, reason) from error


@contextmanager
def exchanged(home: Any, name: str, value: Any) -> Generator[None, None, None]:
    """Give a name another value within the block: mlx-lm's server can be told of neither in any other way."""
    before = getattr(home, name)
    setattr(home, name, value)
    try:
        yield
    finally:
        setattr(home, name, before)
