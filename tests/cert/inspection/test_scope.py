"""Which models are run: those of the environment, or the sample models; and whether their weights are pinned."""

from typing import get_args

import huggingface_hub
import pytest

from tq_cert.certification.refusals import REMEDIES
from tq_cert.errors import OptionError
from tq_cert.evidence.manifest import RefusalCode
from tq_cert.inspection import scope
from tq_cert.lanes.errors import UnknownModelError
from tq_cert.progress import Silent

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def model(tmp_path):
    def make(*parts):
        directory = tmp_path.joinpath(*parts)
        directory.mkdir(parents=True)
        (directory / "config.json").write_text("{}")
        return directory

    return make


def test_all_allowlisted_families_are_in_scope_in_the_contracts_order():
    assert scope.parse_families(None) == ("llama", "gemma")
    assert scope.parse_families("gemma, llama") == ("llama", "gemma")
    with pytest.raises(OptionError, match="qwen2"):
        scope.parse_families("llama,qwen2")


def test_a_snapshot_of_the_hub_is_pinned_by_its_commit(model, monkeypatch):
    directory = model("models--org--name", "snapshots", COMMIT)
    monkeypatch.setenv("TQ_TEST_LLAMA_MODEL", str(directory))
    (source,) = scope.sources(("llama",), Silent())
    assert (source.directory, source.sample, source.revision) == (str(directory), None, COMMIT)


def test_a_repository_of_the_hub_is_fetched_and_pinned_by_the_commit_that_came(model, monkeypatch):
    directory = model("models--org--name", "snapshots", COMMIT)
    asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: asked.append(name) or str(directory))
    monkeypatch.setenv("TQ_TEST_LLAMA_MODEL", "org/Model-1B-4bit")
    (source,) = scope.sources(("llama",), Silent())
    assert (asked, source.directory, source.revision) == (["org/Model-1B-4bit"], str(directory), COMMIT)


def test_a_repository_that_cannot_be_fetched_is_named(monkeypatch):
    def fails(name, **_):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    monkeypatch.setenv("TQ_TEST_GEMMA_MODEL", "org/model")
    with pytest.raises(UnknownModelError, match=r"'org/model'.*TQ_TEST_GEMMA_MODEL.*no network"):
        scope.sources(("gemma",), Silent())


@pytest.mark.parametrize("parts", [("model",), ("snapshots", "main"), ("elsewhere", COMMIT)])
def test_any_other_directory_is_not_pinned(model, monkeypatch, parts):
    monkeypatch.setenv("TQ_TEST_GEMMA_MODEL", str(model(*parts)))
    (source,) = scope.sources(("gemma",), Silent())
    assert source.revision is None


def test_what_is_no_model_is_refused_by_the_variables_name(monkeypatch, tmp_path):
    monkeypatch.setenv("TQ_TEST_LLAMA_MODEL", str(tmp_path))
    with pytest.raises(UnknownModelError, match="TQ_TEST_LLAMA_MODEL"):
        scope.sources(("llama",), Silent())


def test_every_refusal_has_a_remedy():
    assert set(REMEDIES) == set(get_args(RefusalCode))
