"""Builds one sample model: download, check, convert, write, publish."""

from pathlib import Path

import msgspec

from tq_cert.progress import Progress, Silent
from tq_cert.sample_models.cache import locked, model_directory, recipe_digest, replacing
from tq_cert.sample_models.download import fetch_gguf
from tq_cert.sample_models.errors import DamagedSampleModelError, SampleModelIOError, UnsupportedDtypeError
from tq_cert.sample_models.gguf_file import GgufFile
from tq_cert.sample_models.gguf_weights import model_tensors
from tq_cert.sample_models.manifest import (
    FileEntry,
    Manifest,
    digest_findings,
    read_manifest,
    sha256_of,
    size_findings,
    write_manifest,
)
from tq_cert.sample_models.model_config import generation_config, model_config
from tq_cert.sample_models.recipes import Recipe, recipe_for
from tq_cert.sample_models.record import DTYPES, SampleModel, SourcePackage, default_dtype
from tq_cert.sample_models.safetensors_writer import write_safetensors
from tq_cert.sample_models.tokenizer_files import tokenizer_config, tokenizer_json


def build(
    name: str,
    dtype: str | None = None,
    *,
    progress: Progress | None = None,
    verify: bool = False,
    rebuild: bool = False,
) -> SampleModel:
    """A sample model on disk: the finished one if it is there, else a new one.

    Args:
        name: llama, gemma or qwen.
        dtype: float32, bfloat16 or float16; None takes what suits this machine.
        progress: told what happens; None says nothing.
        verify: check the SHA-256 of every file of a model that is there already.
        rebuild: build it again even if it is there.

    Raises:
        TqCertError: one of its subclasses; whatever it is, nothing half-done is left behind.
    """
    return build_recipe(
        recipe_for(name),
        dtype or default_dtype(),
        progress or Silent(),
        verify=verify,
        rebuild=rebuild,
    )


def build_recipe(
    recipe: Recipe,
    dtype: str,
    progress: Progress,
    *,
    verify: bool = False,
    rebuild: bool = False,
) -> SampleModel:
    """`build` for a recipe of one's own."""
    if dtype not in DTYPES:
        raise UnsupportedDtypeError(dtype, DTYPES)
    directory = model_directory(recipe, dtype)
    try:
        with locked(directory, progress):
            if not rebuild:
                finished = _finished(directory, progress, verify=verify)
                if finished is not None:
                    return finished.sample_model(directory, reused=True)
            manifest = _build(recipe, dtype, directory, progress)
    except OSError as error:
        raise SampleModelIOError(str(directory), error) from error
    return manifest.sample_model(directory, reused=False)


def _finished(directory: Path, progress: Progress, *, verify: bool) -> Manifest | None:
    """The manifest of a finished model that may be reused."""
    manifest = read_manifest(directory)
    if manifest is None:
        return None
    found = size_findings(directory, manifest)
    if verify and not found:
        found = digest_findings(directory, manifest, progress)
    if found and verify:
        raise DamagedSampleModelError(str(directory), found)
    if found:
        progress.note(f"{directory} is damaged and built again: {'; '.join(found)}")
        return None
    return manifest


def _build(recipe: Recipe, dtype: str, directory: Path, progress: Progress) -> Manifest:
    with replacing(directory) as (result, scratch):
        path = fetch_gguf(recipe, scratch, result, progress)
        gguf = GgufFile(path)
        try:
            _write_json(result / "config.json", model_config(gguf, recipe, dtype))
            _write_json(result / "generation_config.json", generation_config(gguf, recipe))
            _write_json(result / "tokenizer.json", tokenizer_json(gguf, recipe))
            _write_json(result / "tokenizer_config.json", tokenizer_config(gguf, recipe))
            tensors = model_tensors(gguf, recipe.architecture)
            weights = write_safetensors(result / "model.safetensors", tensors, dtype, progress)
        finally:
            gguf.close()
        manifest = _manifest(recipe, dtype, result, known={"model.safetensors": weights})
        write_manifest(result, manifest)
    return manifest


def _manifest(recipe: Recipe, dtype: str, result: Path, *, known: dict[str, str]) -> Manifest:
    return Manifest(
        name=recipe.name,
        title=recipe.title,
        licence=recipe.licence,
        dtype=dtype,
        recipe_digest=recipe_digest(recipe),
        gguf_sha256=recipe.gguf_sha256,
        source_packages=tuple(
            SourcePackage(package.name, package.version, package.wheel_sha256) for package in recipe.packages
        ),
        files=tuple(
            FileEntry(path.name, path.stat().st_size, known.get(path.name) or sha256_of(path))
            for path in sorted(result.iterdir())
        ),
    )


def _write_json(path: Path, content: object) -> None:
    path.write_bytes(msgspec.json.encode(content) + b"\n")
