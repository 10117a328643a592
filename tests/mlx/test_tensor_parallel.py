"""A Llama sharded over two processes by mlx-lm gives the tokens of one process, compression on in both."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import pytest
from mlx_lm.models.cache import make_prompt_cache

import tensor_parallel_run
from tensor_parallel_run import CONFIGS, PROMPT, make_model, run
from tq_mlx.centring import Centre
from tq_mlx.key_norm import key_norm
from tq_mlx.tensor_parallel import group_of, over_all_heads

PROGRAM = Path(tensor_parallel_run.__file__)


def free_ports(count):
    """Return the first of ``count`` consecutive ports that nobody listens on, as the ring numbers them."""
    for first in range(31_000, 40_000, 10):
        held = []
        try:
            for port in range(first, first + count):
                held.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            continue
        else:
            return first
        finally:
            for server in held:
                server.close()
    raise OSError(f"no {count} free ports in a row")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two processes wrote."""
    if not mx.distributed.is_available("ring"):
        pytest.skip("this build of MLX has no ring back end")
    output = tmp_path_factory.mktemp("ranks") / "rank"
    launcher = Path(sys.executable).with_name("mlx.launch")
    command = [launcher, "-n", "2", "--backend", "ring", "--starting-port", str(free_ports(2))]
    done = subprocess.run(
        [*map(str, command), sys.executable, str(PROGRAM), str(output)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = [output.with_name(f"rank.{rank}") for rank in range(2)]
    assert all(path.exists() for path in written), done.stdout + done.stderr
    return [json.loads(path.read_text()) for path in written]


@pytest.mark.parametrize("preset", CONFIGS)
def test_two_processes_give_the_tokens_of_one(ranks, preset):
    alone = run(preset)
    assert len(set(alone["tokens"])) > 5
    for rank in ranks:
        assert rank["size"] == 2
        sharded = rank["results"][preset]
        assert sharded["tokens"] == alone["tokens"]
        for (kind, heads, keys, reads), one in zip(sharded["layers"], alone["layers"], strict=True):
            assert (kind, keys, reads) == ("TurboQuantKVCache", one[2], one[3])
            assert (heads, one[1]) == (2, 4)
            assert reads > 0


def test_either_half_of_the_heads_alone_would_choose_other_key_bits():
    """So the processes above must have agreed."""
    model, config = make_model(), CONFIGS["equal_noise_k4v4"]
    cache = make_prompt_cache(model)
    model(mx.array([PROMPT]), cache=cache)
    keys = [layer.keys_and_values()[0] for layer in cache]
    bits = []
    for heads in (slice(0, 4), slice(0, 2), slice(2, 4)):
        norms = [
            key_norm(k, Centre.of(k, config.keys, config.center_block))
            for k in (k[:, heads, config.sink_tokens :] for k in keys)
        ]
        bits.append([layer.keys.bits for layer in config.for_layers(norms)])
    assert bits[0] != bits[1]
    assert bits[0] != bits[2]


def test_a_model_that_is_not_sharded_has_no_group():
    assert group_of(object()) is None
    assert over_all_heads([1.0, 2.5], None) == [1.0, 2.5]
