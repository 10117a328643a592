"""What a report calls the model that it measured."""

from pathlib import Path

import pytest

from tq_cert.lanes.models import title_of


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/cache/hub/models--owner--Some-Model-1B/snapshots/0123", "owner/Some-Model-1B"),
        ("/models/my-llama", "my-llama"),
        ("/models/snapshots/my-llama", "my-llama"),
    ],
)
def test_a_snapshot_is_called_by_its_repository_and_a_directory_by_its_name(path, title):
    assert title_of(Path(path)) == title
