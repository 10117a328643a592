"""The four wheels: built twice alike, holding what they should, each installed alone in a clean environment."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from itertools import chain
from pathlib import Path

import pytest
from uv import find_uv_bin

import evidence_bundle as eb
from tq_cert.evidence.archive import packed
from tq_contract.cli import main

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PACKAGES = ("tq-core", "tq-mlx", "tq-contract", "tq-cert")
MLX = {"mlx", "mlx-cpu", "mlx-metal"}

TRIALS = {  # package → program that proves it works, and distributions that must not have come with it
    "tq-core": (
        "import mlx.core as mx, tq_core\n"
        "codec = tq_core.MseCodec(bits=4)\n"
        "x = mx.random.normal((1, 1, 8, 64))\n"
        "assert mx.square(codec.decode(codec.encode(x)) - x).mean().item() < 0.02",
        {"mlx-lm", "numpy", "msgspec", "rich", "tq-contract"},
    ),
    "tq-contract": (
        "import tq_contract, sys\n"
        "assert tq_contract.load().preset('lloyd_k4v4').name == 'lloyd_k4v4'\n"
        "assert not any(name.split('.')[0] in ('mlx', 'numpy') for name in sys.modules)",
        MLX | {"mlx-lm", "numpy", "tq-core"},
    ),
    "tq-mlx": (
        "import tq_mlx, mlx_lm.models.base\n"
        "assert tq_mlx.installed()\n"
        "assert tq_mlx.TurboQuantConfig.from_preset('uniform_k4v4').preset == 'uniform_k4v4'",
        {"tq-cert", "gguf"},
    ),
    "tq-cert": (
        "import sys\n"
        "from tq_cert.cli import main\n"
        "from tq_cert.evidence import CURRENT, load_edition\n"
        "assert load_edition(CURRENT).stages and main(['verify', 'missing']) == 2\n"
        "assert main(['verify', 'bundle.zip', '--require', 'passed']) == 0\n"
        "assert not any(name.split('.')[0] in ('mlx', 'numpy') for name in sys.modules)",
        MLX | {"mlx-lm", "numpy", "tq-mlx", "gguf", "cryptography"},
    ),
}


def uv(*arguments, **environment):
    command = [find_uv_bin(), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)


def build(folder):
    done = uv("build", "--all-packages", "--out-dir", folder, UV_PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    return {path.name: path for path in sorted(folder.iterdir()) if path.suffix in (".whl", ".gz")}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dist"))


def wheel_of(built, package):
    (path,) = (p for name, p in built.items() if name.startswith(package.replace("-", "_")) and p.suffix == ".whl")
    return path


def test_every_package_builds_a_wheel_and_a_source_distribution(built):
    assert len(built) == 2 * len(PACKAGES)


def test_builds_are_byte_reproducible(built, tmp_path):
    def digests(files):
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}

    assert digests(build(tmp_path)) == digests(built)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_holds_its_package_and_nothing_else(built, package):
    module = package.replace("-", "_")
    with zipfile.ZipFile(wheel_of(built, package)) as wheel:
        names = set(wheel.namelist())
        metadata = Parser().parsestr(wheel.read(f"{module}-0.1.0.dist-info/METADATA").decode())
    sources = ROOT / "packages" / package / "src"
    expected = {
        path.relative_to(sources).as_posix()
        for path in sources.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert f"{module}/py.typed" in names
    assert f"{module}-0.1.0.dist-info/licenses/LICENSE" in names
    assert metadata["License-Expression"] == "MIT"


def test_the_contract_s_check_finds_what_was_put_into_a_wheel(built, tmp_path, capsys):
    dist = tmp_path / "dist"
    shutil.copytree(wheel_of(built, "tq-core").parent, dist)
    command = ["check", str(ROOT), "--only", "distributions", "--dist", str(dist)]
    assert main(command) == 0, capsys.readouterr().out
    (wheel,) = dist.glob("tq_core-*.whl")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("artifacts/runtime-cert/bundle.zip", b"")
    assert main(command) == 1
    assert f"{wheel.name}: holds artifacts/runtime-cert/bundle.zip" in capsys.readouterr().out


def test_versions_are_in_lockstep():
    files = [ROOT / "packages" / package / "pyproject.toml" for package in PACKAGES]
    projects = [tomllib.loads(file.read_text())["project"] for file in files]
    assert len({project["version"] for project in projects}) == 1
    version = projects[0]["version"]
    for project in projects:
        requirements = list(chain(project["dependencies"], *project.get("optional-dependencies", {}).values()))
        ours = [one for one in requirements if one.startswith("tq-")]
        assert all(one.endswith(f"=={version}") for one in ours)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_installs_alone_and_works(built, package, tmp_path):
    folder = wheel_of(built, package).parent
    environment = tmp_path / "venv"
    assert uv("venv", "--python", sys.executable, environment).returncode == 0
    python = environment / "bin" / "python"
    done = uv("pip", "install", "--python", python, "--find-links", folder, wheel_of(built, package))
    assert done.returncode == 0, done.stderr
    listed = json.loads(uv("pip", "list", "--python", python, "--format", "json").stdout)
    installed = {one["name"] for one in listed}
    program, unwanted = TRIALS[package]
    assert package in installed
    assert not installed & unwanted
    (tmp_path / "bundle.zip").write_bytes(packed(eb.bundle()))
    trial = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert trial.returncode == 0, trial.stderr
    if package != "tq-core":  # which has no command
        command = [environment / "bin" / package, "--help"]
        shown = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert shown.stdout.startswith(f"usage: {package}"), shown.stderr
