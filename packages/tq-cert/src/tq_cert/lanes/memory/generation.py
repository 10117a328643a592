"""One generation in a process of its own: run as a module, it reads a Job from standard input and prints a MemoryRow.

The steps are those of mlx-lm's generation: the prompt but for its last token in chunks, of which only the cache is
computed; the upgrade when it is due; greedy decoding from the last token on.
"""

import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx
import msgspec
from mlx_lm.models.cache import QuantizedKVCache, make_prompt_cache

from tq_cert.errors import EXIT_REFUSED, TqCertError
from tq_cert.lanes.memory.record import Job, MemoryRow, Peaks
from tq_cert.lanes.models import load_model
from tq_cert.lanes.quality.caches import quantized
from tq_cert.lanes.quality.methods import MlxQuantized, parse_method
from tq_cert.lanes.quality.stored_bits import used_bytes
from tq_cert.lanes.texts import cut, read_text
from tq_cert.progress import Silent
from tq_core import TurboQuantError


@dataclass
class Phase:
    """What a phase of the generation took; it may be entered several times."""

    peak: int = 0
    seconds: float = 0.0

    @contextmanager
    def measured(self) -> Generator[None]:
        """Count what happens within."""
        mx.reset_peak_memory()
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started
        self.peak = max(self.peak, mx.get_peak_memory(), mx.get_active_memory())


def generate(job: Job) -> MemoryRow:
    """Run the job; the model is loaded before anything is counted."""
    loaded = load_model(job.model, Silent())
    model, scope, info = loaded.model, job.scope, loaded.info
    text = read_text(None if job.text is None else Path(job.text))
    windows = cut(text, loaded.tokenizer, context=scope.context, windows=1)
    (tokens,) = windows.tokens
    if scope.dtype != "model":
        model.set_dtype(getattr(mx, scope.dtype))
        mx.eval(model.parameters())
        info = msgspec.structs.replace(info, dtype=scope.dtype)
    mx.clear_cache()
    weights = mx.get_active_memory()
    cache: list[Any] = make_prompt_cache(model)
    prefill, upgrade, decode = Phase(), Phase(), Phase()
    with tq_mlx.hooks_installed():
        upgraded_at = fill(job, model, cache, tokens, prefill, upgrade)
        with decode.measured():
            step_seconds = steps(model, cache, tokens[-1], scope.steps)
    status = tq_mlx.status(cache)
    return MemoryRow(
        method=job.method,
        model=info,
        bos=windows.info.bos,
        weights_bytes=weights,
        peaks=Peaks(prefill.peak, upgrade.peak if upgraded_at is not None else None, decode.peak),
        cache_bytes=status.nbytes,
        used_bytes=used_bytes(cache),
        tokens=status.layers[0].offset,
        codes_read=sum(layer.codes_read for layer in status.layers),
        upgraded_at=upgraded_at,
        seconds=(prefill.seconds, upgrade.seconds, decode.seconds),
        step_seconds=step_seconds,
    )


def fill(job: Job, model: Any, cache: list[Any], tokens: Sequence[int], prefill: Phase, upgrade: Phase) -> int | None:
    """Feed all tokens but the last, and compress the cache when that is due; return how many it held then."""
    upgraded_at, fed, end = None, 0, len(tokens) - 1
    while True:
        if job.parameters is not None and upgraded_at is None:
            with upgrade.measured():
                done = compress(job, cache, model, min(job.scope.start, end))
            upgraded_at = fed if done else None
        if fed == end:
            return upgraded_at
        with prefill.measured():
            chunk = tokens[fed : min(fed + job.scope.chunk, end)]
            model(mx.array(chunk)[None], cache=cache)
            mx.eval([layer.state for layer in cache])
        mx.clear_cache()
        fed += len(chunk)


def compress(job: Job, cache: list[Any], model: Any, start: int) -> bool:
    """Compress the cache once it holds ``start`` tokens; return whether that has happened."""
    if job.method.startswith("mlx:"):
        # As mlx-lm's own generation does, but that it fails where a layer's cache has no quantized form.
        method = cast("MlxQuantized", parse_method(job.method))
        cache[:] = [quantized(layer, method) if layer.offset >= start else layer for layer in cache]
        return any(isinstance(layer, QuantizedKVCache) for layer in cache)
    config = tq_mlx.TurboQuantConfig.from_dict(job.parameters or {})
    family = tq_mlx.family_of(model)
    return bool(
        tq_mlx.upgrade_cache_list(cache, start, config=config, model_family=family, research=job.scope.research)
    )


def steps(model: Any, cache: list[Any], token: int, count: int) -> tuple[float, ...]:
    """Decode greedily; return the seconds of every step."""
    seconds: list[float] = []
    for _ in range(count):
        started = time.perf_counter()
        logits: mx.array = model(mx.array([[token]]), cache=cache)
        token = int(mx.argmax(logits[0, -1]))
        seconds.append(time.perf_counter() - started)
    return tuple(seconds)


if __name__ == "__main__":
    try:
        row = generate(msgspec.json.decode(sys.stdin.buffer.read(), type=Job))
    except TqCertError as error:
        print(error.message, file=sys.stderr)
        sys.exit(error.exit_code)
    except TurboQuantError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_REFUSED)
    sys.stdout.buffer.write(msgspec.json.encode(row))
