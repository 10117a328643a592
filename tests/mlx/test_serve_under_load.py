"""mlx-lm's server over compressed caches under load: mixed lengths, cancellations, broken connections, no leak."""

import gc
import http.client
import json
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer

import mlx.core as mx
import openai
import pytest
from mlx_lm import server
from mlx_lm.generate import BatchGenerator
from mlx_lm.utils import load_tokenizer

from lively_llama import lively_llama
from tq_mlx import BatchTurboQuantKVCache, TurboQuantConfig, TurboQuantKVCache
from tq_mlx.request_handler import RequestHandler
from tq_mlx.serving import Compression, LastingResponseGenerator, run_server

WORDS = 49_152
"""Entries in the vocabulary of the sample model, whose tokenizer the small random model borrows."""

KEPT = 10
"""Prompt caches that the server keeps."""


class Served:
    """mlx-lm's server in this process, so that its caches can be looked at; every batch generator is recorded."""

    def __init__(self, monkeypatch, tokenizer, preset):
        self.generators = []
        providers = []
        model = lively_llama(vocabulary=WORDS)

        monkeypatch.setattr(server, "load", lambda *_, **__: (model, tokenizer, {}))
        monkeypatch.setattr(server, "BatchGenerator", self.recorded)
        monkeypatch.setattr(server, "run", lambda host, port, provider: providers.append(provider))
        run_server(
            ["--model", "small", "--log-level", "ERROR"],
            Compression(TurboQuantConfig.from_preset(preset), "some words to choose key bits from"),
        )
        self.kept = server.LRUPromptCache(KEPT)
        self.generator = LastingResponseGenerator(providers[0], self.kept)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()
        self.port = self.http.server_address[1]
        self.client = openai.OpenAI(
            base_url=f"http://127.0.0.1:{self.port}/v1", api_key="none", max_retries=0, timeout=120
        )

    def recorded(self, *args, **kwargs):
        self.generators.append(BatchGenerator(*args, **kwargs))
        return self.generators[-1]

    def handler(self, *args):
        return RequestHandler(self.generator, *args, system_fingerprint="test")

    def complete(self, prompt, tokens, *, stream=False):
        answer = self.client.completions.create(
            model="default_model", prompt=prompt, max_tokens=tokens, temperature=0, stream=stream
        )
        return "".join(chunk.choices[0].text for chunk in answer) if stream else answer.choices[0].text

    def cancel(self, prompt):
        """Read a part of a streamed answer, then hang up."""
        answer = self.client.completions.create(model="default_model", prompt=prompt, max_tokens=60, stream=True)
        next(iter(answer))
        answer.close()

    def break_off(self, prompt):
        """Send a request and be gone before there is an answer."""
        body = json.dumps({"model": "default_model", "prompt": prompt, "max_tokens": 60, "stream": True})
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset, no farewell
        connection.close()

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()
        self.generator.stop_and_join()


@pytest.fixture(scope="module")
def tokenizer(real_model):
    return load_tokenizer(real_model("llama"))


@pytest.fixture
def serve(monkeypatch, tokenizer):
    """Return a function that starts a server; all are stopped at the end."""
    running = []

    def start(preset):
        running.append(Served(monkeypatch, tokenizer, preset))
        return running[-1]

    yield start
    for served in running:
        served.close()


def requests(count):
    """Return prompts of mixed lengths that begin with different words, and how many tokens to answer with."""
    draw = random.Random(5)
    words = ["sea", "moon", "tree", "iron", "bread", "glass", "river", "seven", "music", "paper"]
    prompts = []
    for number in range(count):
        length = draw.choice([1, 5, 20, 60, 150])
        prompts.append((f"{number} " + " ".join(draw.choices(words, k=length)), draw.randint(1, 16)))
    return prompts


@pytest.mark.timeout(600)
def test_a_hundred_requests_of_eight_clients(serve):
    kinds = ["whole", "streamed", "whole", "cancelled", "broken"]
    jobs = [(kinds[number % len(kinds)], *request) for number, request in enumerate(requests(100))]

    served = serve("equal_noise_k4v4")
    alone = {prompt: served.complete(prompt, tokens) for kind, prompt, tokens in jobs if kind in ("whole", "streamed")}
    assert len(set(alone.values())) > len(alone) / 2

    loaded = serve("equal_noise_k4v4")
    wait_until(lambda: loaded.generator.model_provider.loaded.is_set())
    at_rest = mx.get_active_memory()

    def work(job):
        kind, prompt, tokens = job
        if kind == "cancelled":
            return loaded.cancel(prompt)
        if kind == "broken":
            return loaded.break_off(prompt)
        return loaded.complete(prompt, tokens, stream=kind == "streamed")

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(work, jobs))
    for (kind, prompt, _), answer in zip(jobs, answers, strict=True):
        assert answer == (alone[prompt] if kind in ("whole", "streamed") else None)

    # A last one, behind all that were cancelled: nothing is left in the batch, and only prompt caches are held.
    assert loaded.complete("the end", 4) == served.complete("the end", 4)
    (generator,) = loaded.generators
    wait_until(lambda: not generator.prompt_cache_nbytes)
    assert len(loaded.kept) <= KEPT
    kept = [layer for entry in entries(loaded.kept) for layer in entry]
    assert {type(layer) for layer in kept} == {TurboQuantKVCache}
    assert loaded.kept.nbytes == sum(layer.nbytes for layer in kept)
    assert loaded.generator.generation_available()
    gc.collect()
    # MLX holds what the kept caches do (in part twice, where they share arrays) and nothing of what was cancelled.
    assert mx.get_active_memory() - at_rest < loaded.kept.nbytes + 1e5


def entries(kept):
    """Return the cache lists that an LRUPromptCache keeps."""
    orders = kept._lru._lrus.values()
    return [kept._trie.get(*key).prompt_cache for order in orders for key in order]


def wait_until(condition):
    for _ in range(600):
        if condition():
            return
        threading.Event().wait(0.1)
    raise TimeoutError("the condition never came true")


def test_the_batch_is_one_and_compressed(serve, monkeypatch):
    """Requests at once share steps: were the server to serve one at a time, no batch would have two rows."""
    rows = []
    update = BatchTurboQuantKVCache.update_and_fetch

    def recorded(cache, keys, values):
        rows.append(len(cache.rows))
        return update(cache, keys, values)

    monkeypatch.setattr(BatchTurboQuantKVCache, "update_and_fetch", recorded)
    served = serve("lloyd_k4v4")
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda request: served.complete(request[0], 30), requests(8)))
    assert max(rows) >= 4
