"""A typed view of one GGUF file: its metadata by key and type, its tensors as blocks of float32 rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from tq_cert.errors import MissingDependencyError
from tq_cert.sample_models.errors import UnexpectedContentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Value = TypeVar("Value")
BLOCK_VALUES = 1 << 22


class GgufFile:
    """One open GGUF file.

    Values are checked as they are read: a key that is missing or has another type is a typed error that names it.
    """

    def __init__(self, path: Path) -> None:
        try:
            import gguf
        except ImportError as error:
            raise MissingDependencyError("gguf", "read GGUF files", "models") from error
        self.path = path
        self._quants: Any = gguf.quants
        try:
            self._reader: Any = gguf.GGUFReader(path)
        except (ValueError, IndexError, KeyError) as error:
            raise UnexpectedContentError(path.name, f"not a readable GGUF file: {error}") from error
        self._tensors: dict[str, Any] = {tensor.name: tensor for tensor in self._reader.tensors}

    def get(self, key: str, kind: type[Value]) -> Value:
        """The value of a metadata key.

        Raises:
            UnexpectedContentError: there is no such key, or its value has another type.
        """
        field = self._reader.fields.get(key)
        if field is None:
            raise UnexpectedContentError(self.path.name, f"metadata key {key!r} is missing")
        try:
            return msgspec.convert(field.contents(), kind)
        except msgspec.ValidationError as error:
            raise UnexpectedContentError(self.path.name, f"metadata {key!r}: {error}") from error

    def find(self, key: str, kind: type[Value]) -> Value | None:
        """The value of a metadata key, or None where the file does not have it."""
        return self.get(key, kind) if key in self._reader.fields else None

    @property
    def tensor_names(self) -> Sequence[str]:
        """Names of all tensors, in file order."""
        return tuple(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, rows first."""
        return tuple(int(length) for length in reversed(self._tensors[name].shape))

    def blocks(self, name: str, row_order: "NDArray[np.int64] | None" = None) -> Iterator["NDArray[np.float32]"]:
        """A tensor's values, dequantized a block of rows at a time.

        Args:
            name: of the tensor.
            row_order: for each row of the result, the row of the file that it is; None keeps them.
        """
        tensor = self._tensors[name]
        rows = self.shape(name)[0]
        step = max(1, BLOCK_VALUES * rows // int(tensor.n_elements))
        for start in range(0, rows, step):
            chosen = slice(start, start + step)
            packed = tensor.data[chosen if row_order is None else row_order[chosen]]
            yield self._quants.dequantize(packed, tensor.tensor_type)

    def close(self) -> None:
        """Let go of the file's memory map, so that the file can be deleted everywhere."""
        self._tensors = {}
        self._reader = None
