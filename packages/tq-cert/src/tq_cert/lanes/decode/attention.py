"""Attention alone: one new token through a chain of layers in one evaluation, each layer with a cache of its own."""

from dataclasses import dataclass

import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]  (first: it loads OpenBLAS before MLX is imported)

# isort: split
import mlx.core as mx

from tq_cert.lanes.decode.methods import Form, Layer, forms
from tq_cert.lanes.decode.record import AttentionRow
from tq_cert.lanes.decode.settings import DecodeSettings, Shape
from tq_cert.lanes.turns import Job, timed_in_turns
from tq_cert.progress import Progress


@dataclass(frozen=True)
class Case:
    """What the methods of one comparison share."""

    shape: Shape
    batch: int
    context: int

    def __str__(self) -> str:
        return f"{self.shape}, batch {self.batch}, {self.context} tokens"


def attention_rows(settings: DecodeSettings, progress: Progress) -> list[AttentionRow]:
    """Time every form of every case; those of one case in turns."""
    cases = [
        Case(shape, batch, context)
        for shape in settings.shapes
        for batch in settings.batches
        for context in settings.contexts
    ]
    return [row for case in cases for row in rows_of(case, settings, progress)]


def rows_of(case: Case, settings: DecodeSettings, progress: Progress) -> list[AttentionRow]:
    """One case; a form that MLX cannot build or run here gets a row that says why."""
    shape, layers, problems = case.shape, dict[Form, Layer](), dict[Form, str]()
    q = mx.random.normal((case.batch, shape.query_heads, 1, shape.head_dim), key=mx.random.key(0))
    every = list(forms(settings.presets))
    progress.phase(f"caches: {case}", len(every))
    for form in every:
        try:
            layer = layer_of(form, case)
            mx.eval(layer.attend(q.astype(form.dtype)))
            layers[form] = layer
        except (RuntimeError, ValueError, NotImplementedError) as error:  # what MLX raises for want of a kernel
            problems[form] = str(error).splitlines()[0]
        progress.reach(len(layers) + len(problems))
    caches = distinct_caches(sum(layer.nbytes for layer in layers.values()), settings)
    jobs: dict[Form, Job] = {}
    for form, first in layers.items():
        chained = [first, *(first.copy() for _ in range(1, caches))]
        once = chain([chained[number % caches] for number in range(settings.layers)], q.astype(form.dtype))
        jobs[form] = pipelined(once, settings.pipeline)
    progress.phase(f"attention: {case}", settings.repeats + 1)
    times = timed_in_turns(jobs, settings.repeats, progress, parts=settings.layers * settings.pipeline)
    return [
        AttentionRow(
            method=form.method,
            dtype=form.dtype_name,
            shape=shape,
            batch=case.batch,
            context=case.context,
            path=layers[form].path if form in jobs else "",
            nbytes=layers[form].nbytes if form in jobs else 0,
            times=times.get(form),
            problem=problems.get(form),
            caches=caches,
        )
        for form in every
    ]


def distinct_caches(nbytes: int, settings: DecodeSettings) -> int:
    """How many caches each chain gets: one per layer, or as many as memory holds if one of each form takes nbytes."""
    return max(1, min(settings.layers, settings.memory_gb * 10**9 // max(1, nbytes)))


def layer_of(form: Form, case: Case) -> Layer:
    """One layer over a history of Gaussian keys around a mean and of Gaussian values."""
    heads = (case.batch, case.shape.kv_heads, case.context, case.shape.head_dim)
    keys, values = (mx.random.normal(heads, key=mx.random.key(side), dtype=form.dtype) for side in (0, 1))
    return form.build(keys + 1, values, case.shape)


def chain(layers: list[Layer], q: mx.array) -> Job:
    """Attention of every layer, each over what the one before it gave as queries."""

    def run() -> mx.array:
        x = q
        for layer in layers:
            x = layer.attend(x)
        return x

    return run


def pipelined(once: Job, count: int) -> Job:
    """The job ``count`` times, each but the last being under way while the next is built."""

    def run() -> mx.array:
        for _ in range(count - 1):
            mx.async_eval(once())
        return once()

    return run
