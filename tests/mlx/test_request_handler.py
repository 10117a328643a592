"""What mlx-lm's HTTP handler leaves without an answer gets one, and nothing is let through that ends the server."""

import io
import json
import logging
import threading
from types import SimpleNamespace

import huggingface_hub
import pytest
from mlx_lm import server

from tq_mlx import request_handler
from tq_mlx.request_handler import RequestHandler, check_seed, check_stop, check_token_ids, check_top_k, hub_cache
from tq_mlx.serving import LastingResponseGenerator


@pytest.mark.parametrize("stop", [None, [], "word", ["a", "b c"]])
def test_stop_words_that_are_text_are_let_through(stop):
    check_stop(stop)


@pytest.mark.parametrize("stop", [5, [5], [""], ["a", None], {"a": 1}, True])
def test_stop_words_of_another_kind_are_named(stop):
    with pytest.raises(ValueError, match=r"stop is .*: give a text or a list of texts"):
        check_stop(stop)


def test_numbers_beside_what_mlx_has_are_named():
    check_seed(None)
    check_seed(2**64 - 1)
    check_token_ids([0, 99], 99)
    check_top_k(99, 99)
    with pytest.raises(ValueError, match="seed is -1"):
        check_seed(-1)
    with pytest.raises(ValueError, match=r"seed is 18446744073709551616"):
        check_seed(2**64)
    with pytest.raises(ValueError, match=r"the tokens \[-1, 100\]: this model's are 0 to 99"):
        check_token_ids([5, -1, 100], 99)
    with pytest.raises(ValueError, match="top_k is 100: give at most 99"):
        check_top_k(100, 99)


class Handler(RequestHandler):
    """A handler without a connection."""

    request_version, requestline, command, client_address = "HTTP/1.0", "POST /", "POST", ("client", 1)

    def __init__(self):
        self.wfile = io.BytesIO()
        self.headers = {}
        self.response_generator = SimpleNamespace(cli_args=SimpleNamespace(allowed_origins=["*"]))

    def log_request(self, *_):
        pass

    def answer(self):
        head, _, body = self.wfile.getvalue().decode().partition("\r\n\r\n")
        return head.split()[1], body


def posted(monkeypatch, upstream):
    monkeypatch.setattr(server.APIHandler, "do_POST", upstream)
    handler = Handler()
    handler.do_POST()
    return handler


@pytest.mark.parametrize(("error", "status"), [(ValueError("not text"), "400"), (RuntimeError("broken"), "500")])
def test_an_error_before_the_answer_is_the_answer(monkeypatch, error, status):
    def upstream(handler):
        handler._set_completion_headers(200)  # of an answer that does not come
        raise error

    said, body = posted(monkeypatch, upstream).answer()
    assert said == status
    assert json.loads(body) == {"error": str(error)}


def test_an_error_within_a_stream_is_its_last_event(monkeypatch):
    def upstream(handler):
        handler._set_stream_headers(200)
        handler.end_headers()
        handler.wfile.write(b"data: 1\n\n")
        raise RuntimeError("broken")

    said, body = posted(monkeypatch, upstream).answer()
    assert said == "200"
    assert body == 'data: 1\n\ndata: {"error": "broken"}\n\n'


def test_a_client_that_has_left_is_a_line_in_the_log(monkeypatch, caplog):
    def upstream(handler):
        raise BrokenPipeError

    with caplog.at_level(logging.INFO):
        handler = posted(monkeypatch, upstream)
    assert handler.wfile.getvalue() == b""
    assert [record.message for record in caplog.records] == ["a client left before its answer was complete"]


def test_a_machine_that_never_used_the_hub_has_none_of_its_models(tmp_path, monkeypatch):
    monkeypatch.setattr(request_handler, "scan_cache_dir", lambda: huggingface_hub.scan_cache_dir(tmp_path / "nowhere"))
    assert list(hub_cache().repos) == []


class Breaking(LastingResponseGenerator):
    """Fails at every request that it takes on, or at once."""

    at_once = False

    def _generate(self):
        if self.at_once:
            raise ZeroDivisionError("at once")
        if self._next_request(timeout=0.01) is not None:
            raise ZeroDivisionError("a bad request")


@pytest.fixture
def provider():
    provider = SimpleNamespace(loaded=threading.Event(), failure=None)
    provider.loaded.set()
    return provider


def test_a_request_that_cannot_be_generated_ends_nothing_but_itself(provider):
    generator = Breaking(provider, None)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="for this request or for one beside it: a bad request"):
            generator.generate("request", "arguments")
    assert generator.is_healthy
    generator.stop_and_join()


def test_a_failure_that_no_request_has_caused_is_not_tried_again(provider, monkeypatch):
    monkeypatch.setattr(Breaking, "at_once", True)
    generator = Breaking(provider, None)
    generator.join()
    assert not generator.is_healthy
