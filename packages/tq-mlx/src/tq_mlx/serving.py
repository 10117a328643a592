"""mlx-lm's server over compressed caches: it batches as before, and its prompt caches keep their codes."""

import argparse
import functools
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

from mlx_lm import server
from mlx_lm.models.cache import LRUPromptCache, make_prompt_cache
from mlx_lm.utils import _download, load_config

from tq_mlx.config import TurboQuantConfig
from tq_mlx.conversion import Configs
from tq_mlx.default_compression import compress_by_default
from tq_mlx.errors import ConfigError
from tq_mlx.hooks import hooks_installed
from tq_mlx.request_handler import RequestHandler, hub_cache
from tq_mlx.support import admit_family, family_of


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
            if os.path.exists(cli_args.model):  # /v1/models names it by this: the same model, not another one to load
                name = os.path.realpath(cli_args.model)
                self._model_map[name], self._adapter_map[name] = cli_args.model, cli_args.adapter_path
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
            if self.model is not None:  # what cannot be served must not cost the model that is
                check_servable(key[0], research=compression.research)
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


class LastingResponseGenerator(server.ResponseGenerator):
    """Is made once the provider's model is loaded, and goes on after a request that cannot be generated.

    mlx-lm's server would listen before, and go on without a model; the thread that generates for all clients ends with
    the first request that fails within a batch.
    """

    def __init__(self, model_provider: Any, prompt_cache: LRUPromptCache) -> None:
        self.waiting: WeakSet[Queue[Any]] = WeakSet()  # of the requests that the thread took on
        super().__init__(model_provider, prompt_cache)
        model_provider.loaded.wait()
        if model_provider.failure is not None:
            self.stop_and_join()
            raise model_provider.failure

    def _next_request(self, timeout: float | None = None) -> Any:
        request = super()._next_request(timeout)
        if request is not None:
            self.waiting.add(request[0])
        return request

    def _run_generate(self) -> None:
        while not self._stop:
            try:
                self._generate()
            except Exception as error:
                logging.exception("generation failed, for every request that was under way")
                said = f"generation failed, for this request or for one beside it: {error}"
                if not self.waiting:  # no request is to blame, so it would fail again
                    self._generation_failed = True
                    return
                for queue in self.waiting:
                    queue.put(RuntimeError(said))
                self.waiting.clear()


def check_servable(name: str, *, research: bool) -> None:
    """Fetch the files of a model that a request names, where they are not here yet.

    Raises:
        ConfigError: there is no such model.
        UnsupportedFamilyError: the contract does not admit its family.
    """
    try:
        config = load_config(_download(name))
    except Exception as error:  # huggingface_hub's many, and those of its HTTP client
        reason = str(error).split("\n")[0]
        raise ConfigError(
            f'there is no model {name!r} here: leave "model" out of the request, or say "default_model" ({reason})'
        ) from error
    admit_family(family_of(SimpleNamespace(model_type=config.get("model_type"))), research=research)


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
        exchanged(server, "ResponseGenerator", LastingResponseGenerator),
        exchanged(server, "_run_http_server", functools.partial(server._run_http_server, handler_class=RequestHandler)),
        exchanged(server, "scan_cache_dir", hub_cache),
        exchanged(sys, "argv", ["mlx_lm.server", *arguments]),
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
