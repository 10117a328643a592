"""A cache file that is truncated, changed anywhere or of another kind is refused by a typed error, never loaded."""

import os

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.models.cache import KVCache, save_prompt_cache

from small_caches import filled
from tq_mlx import DamagedCacheFileError, UnsupportedCacheFileError, load_cache


def test_a_file_truncated_anywhere_is_refused(small_file, tmp_path):
    path = tmp_path / "cut"
    path.write_bytes(small_file)
    load_cache(path)
    for length in reversed(range(len(small_file))):
        os.truncate(path, length)
        with pytest.raises(DamagedCacheFileError, match="cut"):
            load_cache(path)


def test_a_file_with_any_one_byte_changed_is_refused(small_file, tmp_path):
    """No byte is without effect: the header is canonical and sealed, and every tensor has its SHA-256."""
    path = tmp_path / "flipped"
    path.write_bytes(small_file)
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(small_file):
            change(file, place, byte ^ (1 << place % 8))
            with pytest.raises((DamagedCacheFileError, UnsupportedCacheFileError)):
                load_cache(path)
            change(file, place, byte)
    assert path.read_bytes() == small_file


def change(file, place, byte):
    os.pwrite(file.fileno(), bytes([byte]), place)


@given(data=st.data())
@settings(max_examples=150)
def test_any_bytes_in_any_place_are_refused(small_file, data, tmp_path_factory):
    place = data.draw(st.integers(0, len(small_file)))
    cut = data.draw(st.integers(0, 9))
    patch = data.draw(st.binary(max_size=9))
    content = small_file[:place] + patch + small_file[place + cut :]
    path = tmp_path_factory.mktemp("patched") / "cache"
    path.write_bytes(content)
    if content == small_file:
        load_cache(path)
        return
    with pytest.raises((DamagedCacheFileError, UnsupportedCacheFileError)):
        load_cache(path)


def test_other_kinds_of_safetensors_are_refused(tmp_path):
    path = str(tmp_path / "other.safetensors")
    save_prompt_cache(path, [filled(KVCache(), 3)])
    with pytest.raises(UnsupportedCacheFileError, match="load_prompt_cache"):
        load_cache(path)
    mx.save_safetensors(path, {"a": mx.zeros(3)})
    with pytest.raises(UnsupportedCacheFileError, match="no cache file"):
        load_cache(path)


def test_the_message_names_the_file_and_the_remedy(small_file, tmp_path):
    (tmp_path / "cut").write_bytes(small_file[:-1])
    with pytest.raises(DamagedCacheFileError, match=r"cut: .*prefill the prompt anew"):
        load_cache(tmp_path / "cut")


@pytest.mark.parametrize("path", ["missing", "."])
def test_what_cannot_be_opened_is_an_os_error_or_refused(path, tmp_path):
    with pytest.raises((OSError, UnsupportedCacheFileError)):
        load_cache(tmp_path / path)
