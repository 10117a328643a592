"""The strict header reader: what others write it reads, and what MLX would let pass it refuses."""

import io
import json
import os
import struct

import mlx.core as mx
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from tq_mlx.errors import DamagedCacheFileError, UnsupportedCacheFileError
from tq_mlx.safetensors_file import DTYPES, bytes_of, open_safetensors, spans_of, write_safetensors
from tq_mlx.safetensors_header import LONGEST_HEADER, read_header, write_header

ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def read(entries, data=b"\0" * 24):
    """Read a file whose header is the given object, or the given text."""
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    content = struct.pack("<Q", len(text)) + text + data
    return read_header(io.BytesIO(content), len(content))


def refused(entries, data=b"\0" * 24, match=""):
    with pytest.raises(DamagedCacheFileError, match=match):
        read(entries, data)


def test_a_good_header_is_read():
    header = read({"__metadata__": {"a": "b"}, "x": ENTRY})
    assert header.metadata == {"a": "b"}
    assert (header.tensors["x"].shape, header.tensors["x"].start, header.tensors["x"].stop) == ((2, 3), 0, 24)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"dtype": "F31"}, "F31"),
        ({"dtype": ["F32"]}, "dtype"),
        ({"dtype": "F64"}, "F64"),
        ({"dtype": "BF16"}, "need 12"),
        ({"shape": [2, -3]}, "natural"),
        ({"shape": [-2, -3]}, "natural"),
        ({"shape": [2, 3.0]}, "natural"),
        ({"shape": [True, 6]}, "natural"),
        ({"shape": "23"}, "natural"),
        ({"shape": [2, 4]}, "need 32"),
        ({"shape": [1] * 7 + [2, 3]}, "more than an array"),
        ({"shape": [1 << 31, 0]}, "more than an array"),
        ({"shape": [1 << 32, 1 << 32]}, "more than an array"),
        ({"shape": [1 << 30, 1 << 30, 1 << 4, 6]}, "need"),  # the product's low 64 bits are 0
        ({"data_offsets": [0, 23]}, "need 24"),
        ({"data_offsets": [24, 0]}, "need 24"),
        ({"data_offsets": [-24, 0]}, "natural"),
        ({"data_offsets": [0]}, "need 24"),
        ({"data_offsets": [0, 12, 24]}, "need 24"),
        ({"data_offsets": [8, 32]}, "gap"),
        ({"colour": 1}, "exactly"),
    ],
)
def test_a_forged_entry_is_refused(change, match):
    refused({"x": ENTRY | change}, match=match)


def test_offsets_that_wrap_around_are_refused():
    wrapped = {"dtype": "U8", "shape": [24], "data_offsets": [(1 << 64) - 24, 1 << 64]}
    refused({"x": wrapped}, match="gap")


@pytest.mark.parametrize(
    ("spans", "data", "match"),
    [
        ([(0, 24), (0, 24)], 24, "overlaps"),
        ([(0, 24), (12, 36)], 36, "overlaps"),
        ([(0, 24), (28, 52)], 52, "gap"),
        ([(4, 28)], 28, "gap"),
        ([(0, 24)], 25, "25 follow"),
        ([(0, 24)], 23, "23 follow"),
        ([], 1, "1 follow"),
    ],
)
def test_tensors_cover_the_data_exactly_once(spans, data, match):
    entries = {f"x{n}": ENTRY | {"data_offsets": list(span)} for n, span in enumerate(spans)}
    refused(entries, b"\0" * data, match)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"", "brace"),
        (b"[]", "brace"),
        (b' {"x": 1}', "brace"),
        (b"{", "not JSON"),
        (b'{"x": NaN}', "not a number"),
        (b'{"x": 1e999}', "not a number"),
        (b'{"x": {"dtype": "F32", "shape": [2, 3], "shape": [3, 2], "data_offsets": [0, 24]}}', "written 2 times"),
        (b'{"x": 1, "x": 1}', "written 2 times"),
        (b'{"__metadata__": {}, "__metadata__": {}}', "written 2 times"),
        (b'{"__metadata__": []}', "no JSON object"),
        (b'{"__metadata__": {"a": 1}}', "no text"),
        (b'{"\xff": 1}', "UTF-8"),
        (b'{"\\ud800": 1}', "surrogate"),
        (b'{"x": "\\udfff"}', "surrogate"),
        (b'{"__metadata__": {"\\ud800": "a"}}', "surrogate"),
        (b'{"x": ' + b"[" * 100_000, "deep"),
        (b'{"x": ' + b"9" * 10_000 + b"}", "not a number"),
        (b'{"x": 5}', "exactly"),
        (b"{}\0", "not JSON"),
    ],
)
def test_text_that_is_no_strict_json_is_refused(text, match):
    refused(text, match=match)


@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1, LONGEST_HEADER + 1, 1000])
def test_a_huge_header_length_is_refused_before_anything_is_read(length):
    content = struct.pack("<Q", length) + b"{}"
    file = io.BytesIO(content)
    with pytest.raises(DamagedCacheFileError, match="claims"):
        read_header(file, len(content))
    assert file.tell() == 8


def test_mlx_writes_null_where_there_is_no_metadata():
    assert read({"__metadata__": None, "x": ENTRY}).metadata == {}


@pytest.mark.parametrize("size", range(8))
def test_a_file_too_short_for_a_length_is_refused(size):
    with pytest.raises(DamagedCacheFileError, match="too few"):
        read_header(io.BytesIO(b"\0" * size), size)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnsupportedCacheFileError, match="regular"), open_safetensors(tmp_path / "pipe"):
        pass


shapes = st.lists(st.integers(0, 4), max_size=4)
tensors = st.dictionaries(
    st.text(min_size=1, max_size=6), st.tuples(st.sampled_from(sorted(DTYPES)), shapes), max_size=5
)
metadata = st.dictionaries(st.text(max_size=4), st.text(max_size=8), max_size=3)


@settings(max_examples=40)
@given(tensors=tensors, metadata=metadata, seed=st.integers(0, 99))
def test_mlx_and_safetensors_read_what_is_written_and_the_other_way_round(tensors, metadata, seed, tmp_path_factory):
    arrays = {
        name: (mx.random.uniform(0, 2, shape, key=mx.random.key(seed + n)) * 60).astype(DTYPES[dtype])
        for n, (name, (dtype, shape)) in enumerate(tensors.items())
    }
    path = tmp_path_factory.mktemp("round") / "x.safetensors"
    spans = spans_of(arrays)
    with path.open("wb") as file:
        write_safetensors(file, write_header(metadata, spans), [arrays[name] for name in spans])
    theirs, their_metadata = mx.load(str(path), return_metadata=True)
    assert their_metadata == metadata
    same(arrays, theirs)
    with safetensors.safe_open(path, "np") as strict:  # the format's own library, which checks headers too
        assert set(strict.keys()) == set(arrays)
        for name, array in arrays.items():
            assert strict.get_slice(name).get_shape() == list(array.shape)
    other = path.with_name("y.safetensors")
    mx.save_safetensors(str(other), arrays, metadata)
    for written in (path, other):
        with open_safetensors(written) as file:
            assert file.header.metadata == metadata
            same(arrays, {name: file.array(name) for name in file.header.tensors})


def same(arrays, found):
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)
        assert bytes(bytes_of(found[name])) == bytes(bytes_of(array))
