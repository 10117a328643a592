"""What tells one model from another: its class, its arguments and its weights.

The fingerprint is a SHA-256 over the model's class, the arguments it was built with, the name, dtype and shape of every
parameter, and the parameters' bits: vectors whole, larger arrays as the sum of each row's bit patterns (as unsigned
integers, modulo 2^32). So any one changed weight changes it, at the price of reading the weights once, and it is the
same number on every backend. It tells models apart; it does not prove that nobody crafted a second model with the same
sums. Not covered: the tokenizer, the chat template and the code that runs the model.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, cast

import mlx.core as mx
from mlx.utils import tree_flatten

WORDS = {1: mx.uint8, 2: mx.uint16, 4: mx.uint32, 8: mx.uint64}
"""Unsigned dtypes by their bytes."""


@dataclass(frozen=True)
class ModelFingerprint:
    """Which model a cache belongs to.

    Attributes:
        model_type: mlx-lm's name of the architecture, for people; "unknown" if the model does not say.
        sha256: the fingerprint, in hexadecimal.
    """

    model_type: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.model_type} {self.sha256[:12]}"


def fingerprint_of(model: Any) -> ModelFingerprint:
    """Return the fingerprint of an mlx-lm model; evaluates its parameters."""
    parameters = cast("list[tuple[str, mx.array]]", sorted(tree_flatten(model.parameters())))
    described = {
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "arguments": plain(getattr(model, "args", None)),
        "parameters": [(name, str(array.dtype), array.shape) for name, array in parameters],
    }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for _, array in parameters:
        digest.update(row_sums(array))
    return ModelFingerprint(str(getattr(model, "model_type", "unknown")), digest.hexdigest())


def row_sums(array: mx.array) -> bytes:
    """Return a vector's own bytes, or the sums of a larger array's rows as uint32 or wider."""
    words = array.astype(mx.uint8) if array.dtype == mx.bool_ else array.view(WORDS[array.dtype.size])
    if array.ndim > 1:
        words = words.sum(axis=-1)
    return bytes(memoryview(words.reshape(-1).view(mx.uint8)))


def plain(value: Any) -> Any:
    """Return a value as JSON has it; what JSON does not have is named by its type, never by its address."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    return type(value).__qualname__
