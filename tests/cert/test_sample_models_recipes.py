"""The recipes are complete, pinned and name each thing once."""

import re

import pytest

from tq_cert.sample_models.errors import UnknownSampleModelError
from tq_cert.sample_models.recipes import NAMES, RECIPES, recipe_for


def test_names() -> None:
    assert NAMES == ("llama", "gemma", "qwen")
    assert [recipe_for(name).name for name in NAMES] == list(NAMES)


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_everything_is_pinned(recipe) -> None:
    digests = [recipe.gguf_sha256, *(package.wheel_sha256 for package in recipe.packages)]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    assert len(set(digests)) == len(digests)
    assert all(package.version and package.wheel_size for package in recipe.packages)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownSampleModelError, match=r"'lama'.*\n.*llama, gemma, qwen"):
        recipe_for("lama")
