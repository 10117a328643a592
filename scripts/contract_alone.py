"""Install the tq-contract wheel alone into a clean environment; report its size and import time; run every command.

    python scripts/contract_alone.py [--json]

Exit code 0 if every command ends as it should and nothing of MLX or NumPy was installed or imported, else 1.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).resolve().parents[1]
CONTRACT = ROOT / "packages/tq-contract/src/tq_contract/contract.json"
FOREIGN = ("mlx", "mlx_lm", "numpy", "tq_core", "tq_mlx")
RUNS = 5

ALONE = {  # command line → how it ends where there is no checkout
    ("show",): 0,
    ("show", "--json"): 0,
    ("validate",): 0,
    ("validate", "--json"): 0,
    ("validate", str(CONTRACT)): 0,
    ("preflight",): 0,
    ("preflight", "--json"): 0,
    ("preflight", "--strict"): 3,  # without MLX nothing can be certified
    ("docs", "--check"): 2,
    ("check",): 2,
}
BESIDE = {  # the same with a checkout named
    ("docs", "--check", str(ROOT)): 0,
    ("docs", "--check", str(ROOT), "--json"): 0,
    ("check", str(ROOT)): 0,
    ("check", str(ROOT), "--json"): 0,
}
GENERATED = [path.relative_to(ROOT) for path in sorted(ROOT.glob("docs/generated/*.md"))]
RUN = f"""
import sys
from tq_contract.cli import main
status = main(sys.argv[1:])
foreign = [name for name in {FOREIGN} if name in sys.modules]
sys.exit(f"imported {{foreign}}" if foreign else status)
"""
IMPORT = """
import time
start = time.perf_counter()
import tq_contract
tq_contract.load()
print(time.perf_counter() - start)
"""
SIZES = """
import importlib.metadata, json
installed = importlib.metadata.distributions()
print(json.dumps({one.name: sum(file.locate().stat().st_size for file in one.files) for one in installed}))
"""


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        sizes: bytes of the files of each installed distribution.
        import_seconds: the shortest time of several fresh processes to import the package and load its contract.
        wrong: commands that did not end as they should, with what they said.
    """

    sizes: dict[str, int]
    import_seconds: float
    wrong: list[str]


Run = Callable[..., subprocess.CompletedProcess[str]]
"""Run a program in the clean environment, with arguments."""


def measure(folder: Path) -> Report:
    """Build, install and run in an empty folder."""
    python = installed(folder)

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [python, "-I", "-c", program, *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    sizes: dict[str, int] = json.loads(run(SIZES).stdout)
    foreign = [f"{name} was installed" for name in sizes if name.replace("-", "_").lower() in FOREIGN]
    wrong = [*foreign, *wrong_commands(run), *wrong_documents(run, folder / "checkout")]
    return Report(sizes, min(float(run(IMPORT).stdout) for _ in range(RUNS)), wrong)


def installed(folder: Path) -> Path:
    """Return the Python of a new environment that holds the wheel and what it requires."""
    uv("build", "--package", "tq-contract", "--wheel", "--out-dir", folder / "dist")
    (wheel,) = (folder / "dist").glob("*.whl")
    uv("venv", "--python", sys.executable, folder / "venv")
    python = folder / "venv/bin/python"
    uv("pip", "install", "--python", python, wheel)
    return python


def wrong_commands(run: Run) -> Iterator[str]:
    """Yield the commands that end in another way than they should."""
    for command, status in (ALONE | BESIDE).items():
        done = run(RUN, *command)
        if done.returncode != status:
            said = (done.stdout + done.stderr).strip()
            yield f"tq-contract {' '.join(command)} ended with {done.returncode}, not {status}: {said}"


def wrong_documents(run: Run, checkout: Path) -> Iterator[str]:
    """Yield what `docs --write` makes otherwise than it is committed, where there is nothing yet."""
    for file in (CONTRACT, ROOT / "README.md"):
        copy = checkout / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    done = run(RUN, "docs", "--write", str(checkout))
    if done.returncode:
        yield f"tq-contract docs --write ended with {done.returncode}: {done.stdout}{done.stderr}"
    for document in GENERATED:
        written = checkout / document
        if not written.exists() or written.read_bytes() != (ROOT / document).read_bytes():
            yield f"tq-contract docs --write writes another {document}"


def uv(*arguments: object) -> None:
    done = subprocess.run([find_uv_bin(), *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Install tq-contract alone, measure it and run its commands.")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    as_json = parser.parse_args(arguments).json
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder))
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        for name, size in sorted(report.sizes.items()):
            print(f"{name:16}{size / 2**20:8.2f} MiB")
        print(f"{'together':16}{sum(report.sizes.values()) / 2**20:8.2f} MiB")
        print(f"import and load {report.import_seconds * 1000:8.0f} ms")
        count = len(ALONE | BESIDE) + 1
        good = f"{count} commands end as they should, without MLX, and write the committed documents."
        print("\n".join(report.wrong) or good)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
