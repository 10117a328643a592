"""Growable storage of a cache's segments: arrays that grow along the token axis, the second to last."""

from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

import mlx.core as mx

from tq_core import Code

PACKED_STEP = 256
"""Capacity for codes is a multiple of this many tokens."""

C = TypeVar("C", bound=Code)


def appended(buffer: mx.array | None, length: int, x: mx.array, step: int) -> mx.array:
    """Return the buffer [..., capacity, width] with tokens x [..., n, width] written behind its first ``length``.

    Beyond what was written it holds zeros or what was trimmed away: finite numbers that weigh nothing once masked.
    """
    end, capacity = length + x.shape[-2], 0 if buffer is None else buffer.shape[-2]
    if buffer is None:
        buffer = mx.zeros((*x.shape[:-2], grown(capacity, length, end, step), x.shape[-1]), dtype=x.dtype)
    elif end > capacity:
        more = grown(capacity, length, end, step) - capacity
        room = mx.zeros((*x.shape[:-2], more, x.shape[-1]), dtype=buffer.dtype)
        buffer = mx.concatenate([buffer, room], axis=-2)
    if x.shape[-2] == buffer.shape[-2]:
        # Overwriting all of a buffer would give x itself, which may be a view that keeps a whole history alive.
        return mx.contiguous(x)
    buffer[..., length:end, :] = x
    return buffer


def grown(capacity: int, length: int, end: int, step: int) -> int:
    """Return the capacity with room for ``end`` tokens, of which ``length`` are there.

    One that does not suffice grows to a multiple of ``step``, by a sixteenth at least.
    """
    return capacity if end <= capacity else round_up(max(end, length + length // 16), step)


def round_up(tokens: int, step: int) -> int:
    """Return the smallest multiple of ``step`` that is not below ``tokens``."""
    return -(-tokens // step) * step


def handle(array: mx.array) -> mx.array:
    """Return a second handle of the same data: a later append leaves what was handed out as it is."""
    return array[...]


@dataclass
class DenseSegment:
    """Keys and values [B, H, capacity, D] as the model made them, of which the first ``length`` tokens are live.

    Attributes:
        step: tokens by which the capacity grows.
        shown: what ``shared`` returned since the last change.
    """

    step: int
    keys: mx.array | None = None
    values: mx.array | None = None
    length: int = 0
    shown: tuple[mx.array, mx.array] | None = field(default=None, repr=False, compare=False)

    def append(self, keys: mx.array, values: mx.array) -> None:
        """Add tokens [B, H, n, D] behind the live ones."""
        self.shown = None  # or it would keep the buffers from being written in place
        self.keys = appended(self.keys, self.length, keys, self.step)
        self.values = appended(self.values, self.length, values, self.step)
        self.length += keys.shape[-2]

    def live(self, stop: int | None = None) -> tuple[mx.array, mx.array] | None:
        """Return the oldest ``stop`` live keys and values (all without it), or None where there are none."""
        end = self.length if stop is None else stop
        if self.keys is None or self.values is None or not end:
            return None
        return self.keys[..., :end, :], self.values[..., :end, :]

    def shared(self) -> tuple[mx.array, mx.array] | tuple[None, None]:
        """Return the live keys and values: the same arrays until something changes, whoever asks."""
        if self.shown is None:
            self.shown = self.live()
        return self.shown or (None, None)

    def drop_front(self, count: int) -> None:
        """Forget the oldest ``count`` tokens; the rest moves into arrays of its own size."""
        kept = self.live()
        self.keys, self.values, self.length, self.shown = None, None, 0, None
        if kept is not None and count < kept[0].shape[-2]:
            self.append(kept[0][..., count:, :], kept[1][..., count:, :])

    def truncate(self, length: int) -> None:
        """Keep the oldest ``length`` tokens."""
        self.length, self.shown = length, None

    def snapshot(self) -> Self:
        """Return a segment of the same tokens: what is appended to one is not in the other."""
        if self.keys is None or self.values is None:
            return replace(self)
        return replace(self, keys=handle(self.keys), values=handle(self.values))

    @property
    def nbytes(self) -> int:
        """Allocated bytes."""
        return sum(array.nbytes for array in (self.keys, self.values) if array is not None)


@dataclass
class PackedSegment:
    """Codes of keys and values at full capacity, of which the first ``length`` tokens are live.

    Attributes:
        shown: what ``shared`` returned since the last change of the buffers.
    """

    keys: Code | None = None
    values: Code | None = None
    length: int = 0
    shown: tuple[Code | None, Code | None] | None = field(default=None, repr=False, compare=False)

    def append(self, keys: Code, values: Code) -> None:
        """Add the codes of n tokens behind the live ones."""
        self.shown = None  # or it would keep the buffers from being written in place
        self.keys = appended_code(self.keys, self.length, keys)
        self.values = appended_code(self.values, self.length, values)
        self.length += keys.tokens

    def shared(self) -> tuple[Code | None, Code | None]:
        """Return second handles of the codes: the same ones until something is appended, whoever asks."""
        if self.shown is None:
            self.shown = self.keys and self.keys.map(handle), self.values and self.values.map(handle)
        return self.shown

    def drop_front(self, count: int) -> None:
        """Forget the oldest ``count`` tokens; the rest moves into arrays of its own size."""
        keys, values, length = self.keys, self.values, self.length
        self.keys, self.values, self.length, self.shown = None, None, 0, None
        if keys is not None and values is not None and count < length:
            self.append(*(code.map(lambda a: a[..., count:length, :]) for code in (keys, values)))

    def truncate(self, length: int) -> None:
        """Keep the oldest ``length`` tokens."""
        self.length = length

    def snapshot(self) -> Self:
        """Return a segment of the same codes: what is appended to one is not in the other."""
        return replace(self, keys=self.keys and self.keys.map(handle), values=self.values and self.values.map(handle))

    @property
    def nbytes(self) -> int:
        """Allocated bytes."""
        return sum(code.nbytes for code in (self.keys, self.values) if code is not None)


def appended_code(buffer: C | None, length: int, code: C) -> C:
    """Return the code's buffers with ``code`` written behind their first ``length`` tokens."""
    old = {} if buffer is None else buffer.arrays()
    new = {name: appended(old.get(name), length, array, PACKED_STEP) for name, array in code.arrays().items()}
    return type(code)(code.head_dim, **new)
