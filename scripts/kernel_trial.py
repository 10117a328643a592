"""Compile, check and time the fused decode kernel on this machine's GPU; prints one JSON object per line.

    python3 scripts/kernel_trial.py [--seconds 110] [--only check]

`scripts/kernel_document.py` makes `docs/gpu_decode.md` of what it printed.

It needs MLX with a GPU and the checkout, no installed package of ours and nothing else: the kernels' modules are
imported from the sources, past ``tq_mlx``'s own imports.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
import traceback
import types
from pathlib import Path

os.environ.setdefault("MLX_ENABLE_TF32", "0")
ROOT = Path(__file__).resolve().parents[1] / "packages"
sys.path.insert(0, str(ROOT / "tq-core" / "src"))
package = types.ModuleType("tq_mlx")
package.__path__ = [str(ROOT / "tq-mlx" / "src" / "tq_mlx")]
sys.modules["tq_mlx"] = package

import mlx.core as mx  # noqa: E402

from tq_core import MseCodec, ScalarCode, UniformCodec  # noqa: E402
from tq_mlx.attention import streaming_attention  # noqa: E402
from tq_mlx.centring import Centre  # noqa: E402
from tq_mlx.kernels.choose import path_for  # noqa: E402
from tq_mlx.kernels.failures import kernel_failures  # noqa: E402
from tq_mlx.kernels.fused import fused_attention  # noqa: E402
from tq_mlx.kernels.launch import run_on  # noqa: E402
from tq_mlx.kernels.variant import Variant  # noqa: E402
from tq_mlx.kernels.work import Tuning  # noqa: E402
from tq_mlx.views import CodeReads, TurboQuantKeysView, TurboQuantValuesView  # noqa: E402

START = time.perf_counter()
LIMIT = 110.0


def say(**fields):
    print(json.dumps({**fields, "at": round(time.perf_counter() - START, 1)}), flush=True)


def late(share=1.0):
    return time.perf_counter() - START > LIMIT * share


def random_words(*shape):
    return mx.random.randint(-(2**31), 2**31 - 1, shape, dtype=mx.int32).view(mx.uint32)


def random_code(codec, batch, heads, tokens, head_dim, size=1.0):
    words = random_words(batch, heads, tokens, head_dim * codec.bits // 32)
    gain = (size * (0.5 + mx.random.uniform(shape=(batch, heads, tokens, 1)))).astype(mx.bfloat16)
    return ScalarCode(head_dim, words, gain)


def history(key_codec, value_codec, batch, heads, packed, head_dim, dtype, *, sink=4, tail=150, block=64, spare=100):
    """Return views of a random history; the codes hold ``spare`` tokens more than are live."""
    capacity = -(-(packed + spare) // 256) * 256
    centre = None
    if block:
        deviations = random_code(key_codec, batch, heads, -(-packed // block), head_dim, 0.3)
        centre = Centre(key_codec, block, mx.random.normal((batch, heads, 1, head_dim)), deviations)
    total, reads = sink + packed + tail, CodeReads()
    dense = [mx.random.normal((batch, heads, max(n, 1) + 9, head_dim)).astype(dtype) for n in (sink, sink, tail, tail)]
    sides = []
    for cls, codec, middle, first, last in (
        (TurboQuantKeysView, key_codec, centre, dense[0], dense[2]),
        (TurboQuantValuesView, value_codec, None, dense[1], dense[3]),
    ):
        code = random_code(codec, batch, heads, capacity, head_dim)
        mx.eval(code.arrays(), first, last)
        sides.append(
            cls(
                shape=(batch, heads, total, head_dim),
                dtype=dtype,
                sink=first[..., :sink, :] if sink else None,
                code=code,
                packed=packed,
                codec=codec,
                centre=middle,
                tail=last[..., :tail, :] if tail else None,
                reads=reads,
            )
        )
    if centre is not None:
        mx.eval(centre.mean, centre.deviations.arrays())
    return sides


def attend(q, k, v, **rest):
    block = k.centre.block if k.centre else None
    variant = Variant.of(k.codec, v.codec, (k.shape[3], v.shape[3]), block, k.dtype)
    return fused_attention(variant, q, k, v, **rest)


def plain(q, k, v, scale, causal):
    """Return attention over the decoded history in float32: nothing of ours but the codecs' own decoding."""
    sides = []
    for view in (k, v):
        coded = view.codec.decode(view.code)[..., : view.packed, :]
        coded = coded if view.centre is None else coded + view.centre.at(0, view.packed)
        parts = [view.sink, coded, view.tail]
        sides.append(mx.concatenate([part.astype(mx.float32) for part in parts if part is not None], axis=-2))
    batch, _heads, length, dim = q.shape
    rows = q.astype(mx.float32).reshape(batch, k.shape[1], -1, dim)
    scores = scale * rows @ sides[0].swapaxes(-1, -2)
    tokens = scores.shape[-1]
    if causal:
        newest = mx.arange(rows.shape[2])[:, None] % length
        scores = mx.where(mx.arange(tokens) <= tokens - length + newest, scores, -math.inf)
    return (mx.softmax(scores, axis=-1) @ sides[1]).reshape(q.shape)


ROUNDING = {mx.bfloat16: 2**-9, mx.float16: 2**-12, mx.float32: 0.0}


def check(run):
    """Compare with attention over the decoded history, in float32."""
    u4, m4, m3 = UniformCodec(bits=4), MseCodec(bits=4), MseCodec(bits=3)
    cases = [
        (u4, u4, 128, mx.bfloat16, 1, 8, 2, 1, 3000, 64),
        (m4, m4, 128, mx.bfloat16, 1, 8, 2, 1, 1000, 64),
        (u4, u4, 128, mx.float32, 2, 8, 2, 1, 513, 64),
        (MseCodec(bits=5), m3, 64, mx.float16, 1, 3, 1, 4, 777, 64),
        (UniformCodec(bits=8), UniformCodec(bits=2), 256, mx.bfloat16, 1, 4, 1, 3, 900, 64),
        (UniformCodec(bits=3), UniformCodec(bits=6), 64, mx.bfloat16, 1, 4, 4, 1, 900, None),
        (MseCodec(bits=6), m4, 128, mx.float32, 1, 8, 2, 1, 400, 64),
        (m3, m3, 128, mx.bfloat16, 1, 8, 2, 8, 1500, 64),
        (u4, u4, 128, mx.bfloat16, 1, 8, 2, 1, 1, 64),
        (u4, u4, 128, mx.bfloat16, 3, 32, 8, 2, 20000, 64),
    ]
    for keys, values, head_dim, dtype, batch, heads, kv_heads, length, packed, block in cases:
        name = f"{keys.label}/{values.label} D{head_dim} {dtype} B{batch} L{length} T{packed}"
        try:
            k, v = history(keys, values, batch, kv_heads, packed, head_dim, dtype, block=block)
            q = (mx.random.normal((batch, heads, length, head_dim)) * 0.5).astype(dtype)
            scale = 1 / math.sqrt(head_dim)
            wanted = plain(q, k, v, scale, length > 1)
            mx.eval(wanted)
            begin = time.perf_counter()
            got = attend(q, k, v, scale=scale, causal=length > 1, run=run)
            mx.eval(got)
            seconds = time.perf_counter() - begin
            off, largest = mx.abs(got.astype(mx.float32) - wanted), mx.abs(wanted).max().item()
            say(
                check=name,
                relative_error=off.max().item() / largest,
                beyond_rounding=max(0.0, (off - ROUNDING[dtype] * mx.abs(wanted)).max().item()) / largest,
                largest=largest,
                seconds=round(seconds, 2),
            )
        except Exception as error:
            say(check=name, failed=str(error)[-6000:], trace=traceback.format_exc()[-600:])
        if late(0.4):
            say(check="the rest", skipped=True)
            break
    try:  # the whole way that a model takes
        k, v = history(u4, u4, 1, 2, 700, 128, mx.bfloat16)
        q = mx.random.normal((1, 8, 1, 128)).astype(mx.bfloat16)
        got = streaming_attention(q, k, v, scale=128**-0.5)
        off = mx.abs(got.astype(mx.float32) - plain(q, k, v, 128**-0.5, False)).max().item()
        say(
            dispatch=str(path_for(k, v)),
            reads=k.reads.count,
            off=off,
            failures=[f.to_dict() for f in kernel_failures()],
        )
    except Exception as error:
        say(dispatch="failed", error=str(error)[-3000:], trace=traceback.format_exc()[-600:])


def timed(step, queries, layers, repeats=5):
    """Return microseconds of one layer in a chain in which each layer waits for the one before, three ways.

    Built and evaluated; evaluated alone, the graph having been built before; and pipelined, as a generation loop runs:
    the next chain is built while the last one is under way.
    """

    def chain():
        x = queries
        for layer in layers:
            x = step(x, *layer)
        return x

    def clock(work):
        begin = time.perf_counter()
        work()
        return (time.perf_counter() - begin) / len(layers) * 1e6

    mx.eval(chain())
    whole = [clock(lambda: mx.eval(chain())) for _ in range(repeats)]
    alone, built, ready = [], [], []
    for _ in range(repeats):
        ready.clear()
        built.append(clock(lambda: ready.append(chain())))
        alone.append(clock(lambda: mx.eval(ready[0])))

    def pipeline():
        for _ in range(repeats):
            mx.async_eval(chain())
        mx.synchronize()

    piped = [clock(pipeline) / repeats for _ in range(2)]
    middle = statistics.median
    return {
        "whole_us": round(middle(whole), 1),
        "build_us": round(middle(built), 1),
        "eval_us": round(middle(alone), 1),
        "piped_us": round(min(piped), 1),
    }


def layers_of(make, nbytes, depth=32, memory=24e9):
    """Return ``depth`` layers, of as many different caches as memory allows."""
    distinct = [make() for _ in range(max(2, min(depth, int(memory // nbytes))))]
    return [distinct[i % len(distinct)] for i in range(depth)]


def codec_layers(codec_k, codec_v, batch, tokens, depth=32):
    dim, heads = 128, 8
    nbytes = batch * heads * tokens * ((codec_k.bits + codec_v.bits) * dim / 8 + 4)
    make = lambda: history(codec_k, codec_v, batch, heads, tokens, dim, mx.bfloat16, spare=0)  # noqa: E731
    return layers_of(make, nbytes, depth), nbytes


def time_ours(run, label, codec_k, codec_v, batch, tokens, tunings):
    """Time each tuning; return the name of the fastest."""
    layers, nbytes = codec_layers(codec_k, codec_v, batch, tokens)
    q = mx.random.normal((batch, 32, 1, 128)).astype(mx.bfloat16)
    found = {}
    for name, tuning in tunings.items():

        def step(x, k, v, tuning=tuning):
            return attend(x, k, v, scale=128**-0.5, causal=False, run=run, tuning=tuning)

        try:
            times = timed(step, q, layers)
            best = min(times["eval_us"], times["piped_us"])
            found[name] = best
            say(time=label, batch=batch, tokens=tokens, tuning=name, packed_tb_s=round(nbytes / best / 1e6, 3), **times)
        except Exception as error:
            say(time=label, batch=batch, tokens=tokens, tuning=name, failed=str(error)[-3000:])
        if late():
            break
    return min(found, key=found.get, default=None)


def time_dense(batch, tokens):
    make = lambda: [mx.random.normal((batch, 8, tokens, 128), dtype=mx.bfloat16) for _ in range(2)]  # noqa: E731
    nbytes = 2 * batch * 8 * tokens * 128 * 2
    layers = layers_of(make, nbytes, 32 if nbytes < 4e9 else 8)
    mx.eval(layers)
    q = mx.random.normal((batch, 32, 1, 128)).astype(mx.bfloat16)
    step = lambda x, k, v: mx.fast.scaled_dot_product_attention(x, k, v, scale=128**-0.5)  # noqa: E731
    times = timed(step, q, layers, repeats=3)
    best = min(times["eval_us"], times["piped_us"])
    say(time="dense sdpa bf16", batch=batch, tokens=tokens, tb_s=round(nbytes / best / 1e6, 3), **times)


def time_affine(tokens):
    """mlx-lm's quantized attention: two quantized products with the scores written out between them."""

    def quantized():
        x = mx.random.normal((1, 8, tokens, 128), dtype=mx.bfloat16)
        return mx.quantize(x, group_size=64, bits=4)

    layers = [(quantized(), quantized()) for _ in range(2)] * 2
    mx.eval(layers)

    def step(x, k, v):
        x = (x * 128**-0.5).reshape(1, 8, 4, 1, 128)
        k, v = ([a[:, :, None] for a in side] for side in (k, v))
        scores = mx.quantized_matmul(x, *k, transpose=True, group_size=64, bits=4)
        weights = mx.softmax(scores, axis=-1, precise=True)
        return mx.quantized_matmul(weights, *v, transpose=False, group_size=64, bits=4).reshape(1, 32, 1, 128)

    q = mx.random.normal((1, 32, 1, 128), dtype=mx.bfloat16)
    say(time="mlx-lm affine 4", batch=1, tokens=tokens, **timed(step, q, layers, repeats=2))


def copy_bandwidth():
    x = mx.zeros((1 << 30,), dtype=mx.bfloat16)
    mx.eval(x)
    times = []
    for _ in range(6):
        begin = time.perf_counter()
        mx.eval(x + 1)
        times.append(time.perf_counter() - begin)
    say(copy_tb_s=round(2 * x.nbytes / statistics.median(times) / 1e12, 3))


def main():
    global LIMIT
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=110.0)
    parser.add_argument("--only", choices=("check",))
    arguments = parser.parse_args()
    LIMIT = arguments.seconds
    mx.set_cache_limit(1 << 34)
    run = run_on("metal" if mx.metal.is_available() else "cuda")
    say(mlx=mx.__version__, device=str(mx.default_device()))
    u4, m4, m3 = UniformCodec(bits=4), MseCodec(bits=4), MseCodec(bits=3)
    if arguments.only in (None, "check"):
        check(run)
    if arguments.only == "check":
        return
    copy_bandwidth()
    time_dense(1, 131072)
    sweep = {
        "4x4 528": Tuning(),
        "8x2 264": Tuning(threadgroups=264, simds=8, residents=2),
        "4x3 396 ahead 2": Tuning(threadgroups=396, simds=4, residents=3, ahead=2),
        "4x3 396": Tuning(threadgroups=396, simds=4, residents=3),
        "4x4 264": Tuning(threadgroups=264, simds=4, residents=4),
        "4x4 1056": Tuning(threadgroups=1056, simds=4, residents=4),
    }
    best = time_ours(run, "uniform 4/4", u4, u4, 1, 131072, sweep) or "4x4 528"
    two = {name: sweep[name] for name in dict.fromkeys((best, "8x2 264"))}
    one = {best: sweep[best]}
    for batch, tokens in (
        (4, 32768),
        (1, 32768),
        (4, 131072),
        (16, 32768),
        (1, 8192),
        (16, 8192),
        (4, 8192),
        (16, 131072),
    ):
        if late():
            break
        time_ours(run, "uniform 4/4", u4, u4, batch, tokens, two)
        time_dense(batch, tokens)
        mx.clear_cache()
    for k, v in ((m4, m4), (MseCodec(bits=5), m4), (m3, m3), (UniformCodec(bits=3), UniformCodec(bits=3))):
        if not late():
            time_ours(run, f"{k.label}/{v.label}", k, v, 1, 131072, two if k is m4 else one)
    if not late():
        try:
            time_affine(131072)
        except Exception as error:
            say(time="mlx-lm affine 4", failed=str(error)[-500:])
    say(done=True)


if __name__ == "__main__":
    main()
