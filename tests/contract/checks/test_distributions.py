"""Wheels and source distributions of one small package, sound and damaged."""

import base64
import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pytest

from tq_contract import load
from tq_contract.checks.checkout import Checkout
from tq_contract.checks.distributions import distributions

RELEASE = load().release
STEM = f"tq_small-{RELEASE}"
INFO = f"{STEM}.dist-info"
PROJECT = f"""[project]
name = "tq-small"
version = "{RELEASE}"
requires-python = "{load().windows.python}"
dependencies = ["msgspec>=0.20"]
"""
SOURCE = {"tq_small/__init__.py": b"__all__ = []\n", "tq_small/py.typed": b"", "tq_small/data.json": b"{}\n"}
METADATA = f"""Metadata-Version: 2.4
Name: tq-small
Version: {RELEASE}
Requires-Python: {load().windows.python}
Requires-Dist: msgspec>=0.20
"""


class SmallCheckout(Checkout):
    """A checkout whose contract knows one package."""

    @cached_property
    def contract(self):
        (package, *_) = load().packages
        return _with(load(), packages=(_with(package, name="tq-small", public=()),))


def _with(record, **changed):
    return type(record)(**({field: getattr(record, field) for field in record.__struct_fields__} | changed))


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "root" / "packages" / "tq-small"
    for name, data in SOURCE.items():
        file = folder / "src" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "LICENSE").write_text("MIT\n")
    (folder / "README.md").write_text("# tq-small\n")
    dist = tmp_path / "dist"
    dist.mkdir()
    return SmallCheckout(tmp_path / "root", dist)


def wheel_files():
    own = {"METADATA": METADATA.encode(), "WHEEL": b"Wheel-Version: 1.0\n", "licenses/LICENSE": b"MIT\n"}
    return SOURCE | {f"{INFO}/{name}": data for name, data in own.items()}


def sdist_files():
    own = {"PKG-INFO": METADATA.encode(), "LICENSE": b"MIT\n", "README.md": b"# tq-small\n"}
    sources = {f"src/{name}": data for name, data in SOURCE.items()}
    return {f"{STEM}/{name}": data for name, data in ({"pyproject.toml": PROJECT.encode()} | own | sources).items()}


def write_wheel(dist: Path, files, *, record=None):
    lines = [f"{name},sha256={digest(data)},{len(data)}" for name, data in (record or files).items()]
    files = files | {f"{INFO}/RECORD": "\n".join([*lines, f"{INFO}/RECORD,,"]).encode()}
    with zipfile.ZipFile(dist / f"{STEM}-py3-none-any.whl", "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)


def digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def write_sdist(dist: Path, files, links=()):
    with tarfile.open(dist / f"{STEM}.tar.gz", "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)


def messages(checkout):
    return sorted(f"{finding.file}: {finding.message}" for finding in distributions(checkout))


def test_what_was_made_from_the_source_is_sound(checkout):
    write_wheel(checkout.dist, wheel_files())
    write_sdist(checkout.dist, sdist_files())
    assert messages(checkout) == []


def test_nothing_built_is_nothing_to_check(checkout):
    assert list(distributions(replace(checkout, dist=None))) == []


WHEEL_MUTATIONS = {
    "a test came with it": (lambda f: f | {"tests/test_x.py": b""}, "holds tests/test_x.py"),
    "evidence came with it": (lambda f: f | {"artifacts/runtime-cert/run.json": b"{}"}, "holds artifacts/"),
    "bytecode came with it": (lambda f: f | {"tq_small/__pycache__/x.pyc": b""}, "holds tq_small/__pycache__/x.pyc"),
    "a module is missing": (lambda f: without(f, "tq_small/__init__.py"), "lacks tq_small/__init__.py"),
    "data is missing": (lambda f: without(f, "tq_small/data.json"), "lacks tq_small/data.json"),
    "types are not marked": (lambda f: without(f, "tq_small/py.typed"), "lacks tq_small/py.typed"),
    "data is another": (lambda f: f | {"tq_small/data.json": b"[]\n"}, "data.json is not as in the source"),
    "another version": (lambda f: stated(f, f"Version: {RELEASE}", "Version: 9.9.9"), "Version is '9.9.9'"),
    "another name": (lambda f: stated(f, "Name: tq-small", "Name: tq-smell"), "Name is 'tq-smell'"),
    "another Python": (lambda f: stated(f, "Requires-Python: >=3.11", "Requires-Python: >=3.8"), "is '>=3.8'"),
    "a requirement more": (lambda f: stated(f, "Requires-Dist", "Requires-Dist: mlx\nRequires-Dist"), "requires 'mlx'"),
    "a requirement less": (
        lambda f: stated(f, "Requires-Dist: msgspec>=0.20\n", ""),
        "does not require 'msgspec>=0.20'",
    ),
    "another window": (lambda f: stated(f, "msgspec>=0.20", "msgspec>=0.1"), "requires 'msgspec>=0.1'"),
    "no metadata": (lambda f: without(f, f"{INFO}/METADATA"), "cannot be read"),
}


def without(files, name):
    return {key: data for key, data in files.items() if key != name}


def stated(files, old, new):
    name = f"{INFO}/METADATA"
    assert old in files[name].decode()
    return files | {name: files[name].decode().replace(old, new, 1).encode()}


@pytest.mark.parametrize(("mutate", "says"), WHEEL_MUTATIONS.values(), ids=WHEEL_MUTATIONS)
def test_a_damaged_wheel_is_found(mutate, says, checkout):
    write_wheel(checkout.dist, mutate(wheel_files()))
    write_sdist(checkout.dist, sdist_files())
    found = messages(checkout)
    assert any(says in message for message in found)
    assert all(message.startswith(f"{STEM}-py3-none-any.whl") for message in found)


def test_a_file_changed_after_the_record_was_written_is_found(checkout):
    write_wheel(checkout.dist, wheel_files() | {f"{INFO}/WHEEL": b"changed\n"}, record=wheel_files())
    write_sdist(checkout.dist, sdist_files())
    assert [message.partition(": ")[2] for message in messages(checkout)] == [
        f"{INFO}/WHEEL is not the file that RECORD states"
    ]


SDIST_MUTATIONS = {
    "a cache came with it": (lambda f: f | {f"{STEM}/.cache/x": b""}, (), "holds .cache/x"),
    "the licence is missing": (lambda f: without(f, f"{STEM}/LICENSE"), (), "lacks LICENSE"),
    "a module is another": (lambda f: f | {f"{STEM}/src/tq_small/__init__.py": b"x\n"}, (), "is not as in the source"),
    "a file beside the folder": (lambda f: f | {"other/x": b""}, (), "holds other/x"),
    "a link": (lambda f: f, (f"{STEM}/link",), f"holds {STEM}/link"),
}


@pytest.mark.parametrize(("mutate", "links", "says"), SDIST_MUTATIONS.values(), ids=SDIST_MUTATIONS)
def test_a_damaged_source_distribution_is_found(mutate, links, says, checkout):
    write_wheel(checkout.dist, wheel_files())
    write_sdist(checkout.dist, mutate(sdist_files()), links)
    found = messages(checkout)
    assert any(says in message for message in found)
    assert all(message.startswith(f"{STEM}.tar.gz") for message in found)


def test_files_that_are_missing_too_many_or_no_archives_are_found(checkout):
    (checkout.dist / f"{STEM}-py3-none-any.whl").write_bytes(b"PK no archive")
    (checkout.dist / "tq_small-0.0.1.tar.gz").write_bytes(b"")
    (checkout.dist / ".gitignore").write_text("*")
    found = messages(checkout)
    assert len(found) == 3
    assert "belongs to no package of this release" in found[0]
    assert "cannot be read" in found[1]
    assert f"{STEM}.tar.gz: tq-small has no such file" in found[2]
