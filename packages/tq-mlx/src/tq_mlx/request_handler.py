"""mlx-lm's HTTP handler, with an answer where it has none and a refusal of what would end the server."""

import json
import logging
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound
from mlx_lm import server


class RequestHandler(server.APIHandler):
    """Handles one connection, which carries one request.

    Attributes:
        begun: whether the answer's headers have left.
    """

    begun = False

    def flush_headers(self) -> None:
        super().flush_headers()
        self.begun = True

    def do_POST(self) -> None:  # noqa: N802 (as http.server names it)
        """Answer a request, whatever goes wrong; a client that has left gets a line in the log."""
        try:
            super().do_POST()
        except ConnectionError:
            logging.info("a client left before its answer was complete")
        except Exception as error:
            logging.error("a request failed: %s: %s", type(error).__name__, error)
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Say what went wrong: as the next event of a stream that has begun, or as the answer."""
        said = json.dumps({"error": str(error)})
        if self.begun:
            self.wfile.write(f"data: {said}\n\n".encode())
            return
        self._headers_buffer = []  # those of an answer that will not come
        self._set_completion_headers(400 if isinstance(error, ValueError) else 500)
        self.end_headers()
        self.wfile.write(said.encode())

    def validate_model_parameters(self) -> None:
        """Raise ValueError for what mlx-lm lets through and fails at while it generates, for all clients at once."""
        try:
            super().validate_model_parameters()
        except TypeError as error:  # a bias that is no number
            raise ValueError(str(error)) from error
        check_stop(self.body.get("stop"))
        check_seed(self.seed)
        if self.top_k or self.logit_bias:
            last = max(self.response_generator.model_provider.tokenizer.get_vocab().values())
            check_token_ids(self.logit_bias or (), last)
            check_top_k(self.top_k, last)


def check_stop(stop: Any) -> None:
    """Raise ValueError unless a request's stop words are text."""
    words = stop if isinstance(stop, list) else [stop or "none"]
    if not all(isinstance(word, str) and word for word in words):
        raise ValueError(f"stop is {stop!r}: give a text or a list of texts, none of them empty")


def check_seed(seed: int | None) -> None:
    """Raise ValueError for a seed that MLX has no room for."""
    if seed is not None and not 0 <= seed < 2**64:
        raise ValueError(f"seed is {seed}: give a number from 0 to 2**64 - 1")


def check_token_ids(biased: Iterable[int], last: int) -> None:
    """Raise ValueError for a token that the model does not have: MLX would write beside its logits."""
    wrong = [token for token in biased if not 0 <= token <= last]
    if wrong:
        raise ValueError(f"logit_bias names the tokens {wrong}: this model's are 0 to {last}")


def check_top_k(top_k: int, last: int) -> None:
    """Raise ValueError for more candidates than mlx-lm's sampler takes."""
    if top_k > last:
        raise ValueError(f"top_k is {top_k}: give at most {last}, or 0 for all tokens")


def hub_cache() -> Any:
    """Return what huggingface_hub says of its cache: nothing where there never was one, instead of an error."""
    try:
        return scan_cache_dir()
    except CacheNotFound:
        return SimpleNamespace(repos=())
