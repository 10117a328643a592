"""Where a report's numbers come from: versions, sources, machine, commit, contract."""

import hashlib
import importlib.util
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

import tq_contract

OURS = tuple(package.name for package in tq_contract.load().packages)
PACKAGES = (*OURS, "mlx", "mlx-lm")
SOURCES = tuple(name.replace("-", "_") for name in OURS)


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a lane ran on.

    Attributes:
        packages: versions by distribution name.
        sources_sha256: of the code and data of our own packages, as installed.
        contract_sha256: of the packaged contract.json.
        commit: of the checkout that the code runs from, or None.
        dirty: whether that checkout differs from its commit, or None.
        python: version.
        platform: operating system and its version.
        machine: processor architecture.
        device: MLX's default device and its name, or None for a lane without MLX.
        openblas: what became of loading OpenBLAS for MLX, or None for a lane without MLX.
    """

    packages: dict[str, str]
    sources_sha256: str
    contract_sha256: str
    commit: str | None
    dirty: bool | None
    python: str
    platform: str
    machine: str
    device: str | None
    openblas: str | None

    @property
    def line(self) -> str:
        """The essentials in one line, for people."""
        parts = [f"{name} {number}" for name, number in self.packages.items() if name in ("tq-mlx", "mlx", "mlx-lm")]
        parts += [f"Python {self.python}", self.platform, self.machine]
        parts += [self.device] if self.device else []
        if self.commit:
            parts.append(f"commit {self.commit[:12]}{' with changes' if self.dirty else ''}")
        return ", ".join(parts)


def collect(*, device: str | None = None, openblas: str | None = None) -> Provenance:
    """The provenance of this process; a lane that runs MLX says on which device."""
    commit, dirty = checkout_state()
    return Provenance(
        packages={name: number for name in PACKAGES if (number := version_of(name))},
        sources_sha256=sources_digest(),
        contract_sha256=tq_contract.digest(),
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        platform=system(),
        machine=platform.machine(),
        device=device,
        openblas=openblas,
    )


def system() -> str:
    """The operating system and what programs see of its version: macOS's own, or the C library's on Linux."""
    if platform.system() == "Darwin":
        return f"macOS {platform.mac_ver()[0]}"
    return " ".join((platform.system(), *platform.libc_ver())).strip()


def version_of(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def sources_digest() -> str:
    """One digest over our packages' files: it changes with any edit, which versions and commits do not."""
    digest = hashlib.sha256()
    for package in SOURCES:
        found = importlib.util.find_spec(package)
        for root in found.submodule_search_locations or () if found else ():
            for path in sorted(Path(root).rglob("*")):
                if path.suffix in (".py", ".json"):
                    name = f"{package}/{path.relative_to(root).as_posix()}"
                    digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def checkout_state() -> tuple[str | None, bool | None]:
    """Commit and dirtiness of the git checkout that holds this code; None where no checkout tracks it."""
    here = Path(__file__).parents[1] / "__init__.py"
    if git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None, None
    commit, changes = git(here.parent, "rev-parse", "HEAD"), git(here.parent, "status", "--porcelain")
    return commit, None if changes is None else bool(changes)


def git(directory: Path, *arguments: str) -> str | None:
    """What git prints, or None where it fails or is missing."""
    try:
        done = subprocess.run(  # noqa: S603 (fixed arguments)
            ["git", *arguments],  # noqa: S607 (git as the user has it)
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
