"""Attention alone: one new token through a chain of layers in one evaluation, each layer with a cache of its own."""

from dataclasses import dataclass

import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]  (first: it loads OpenBLAS before MLX is imported)

# isort: split
import mlx.core as mx

from tq_cert.lanes.decode.methods import Form, Layer, forms
from tq_cert.lanes.decode.record import AttentionRow
from tq_cert.lanes.decode.settings import DecodeSettings, Shape
from tq_cert.lanes.decode.turns import timed_in_turns
from tq_cert.lanes.encode.measure import Job
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
    shape, chains, problems = case.shape, dict[Form, list[Layer]](), dict[Form, str]()
    q = mx.random.normal((case.batch, shape.query_heads, 1, shape.head_dim), key=mx.random.key(0))
    every = list(forms(settings.presets))
    progress.phase(f"caches: {case}", len(every))
    jobs: dict[Form, Job] = {}
    for form in every:
        try:
            chains[form] = [layer_of(form, case, seed) for seed in range(settings.layers)]
            job = chain(chains[form], q.astype(form.dtype))
            mx.eval(job())
            jobs[form] = job
        except (RuntimeError, ValueError, NotImplementedError) as error:  # what MLX raises for want of a kernel
            problems[form] = str(error).splitlines()[0]
        progress.reach(len(jobs) + len(problems))
    progress.phase(f"attention: {case}", settings.repeats + 1)
    times = timed_in_turns(jobs, settings.repeats, progress, parts=settings.layers)
    return [
        AttentionRow(
            method=form.method,
            dtype=form.dtype_name,
            shape=shape,
            batch=case.batch,
            context=case.context,
            path=chains[form][0].path if form in jobs else "",
            nbytes=chains[form][0].nbytes if form in jobs else 0,
            times=times.get(form),
            problem=problems.get(form),
        )
        for form in every
    ]


def layer_of(form: Form, case: Case, seed: int) -> Layer:
    """One layer over a history of its own: Gaussian keys around a mean, Gaussian values."""
    heads = (case.batch, case.shape.kv_heads, case.context, case.shape.head_dim)
    keys, values = (mx.random.normal(heads, key=mx.random.key(2 * seed + side)) for side in (0, 1))
    return form.build((keys + 1).astype(form.dtype), values.astype(form.dtype), case.shape)


def chain(layers: list[Layer], q: mx.array) -> Job:
    """Attention of every layer, each over the queries that the one before it gave."""

    def run() -> mx.array:
        x = q
        for layer in layers:
            x = layer.attend(q + x)
        return x

    return run
