"""The package runs where only msgspec and PyYAML are installed."""

import sys
from pathlib import Path

import tq_contract

PACKAGE = Path(tq_contract.__file__).parent
ROOT = Path(__file__).parents[2]
COMMANDS = (
    ["show"],
    ["validate"],
    ["preflight"],
    ["docs", "--check", str(ROOT)],
    ["check", str(ROOT), "--only", "workflows"],  # it reads YAML; every check runs in tests/workspace/test_wheels.py
)


def test_nothing_but_its_two_requirements_is_imported(run_python):
    """The whole package, loader and commands, in a fresh interpreter."""
    modules = sorted(
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for file in PACKAGE.rglob("*.py")
    )
    assert "tq_contract.commands.validate" in modules
    before = set(run_python("import sys; print(*sys.modules)").split())
    commands = "; ".join(f"assert tq_contract.cli.main({argv}) == 0" for argv in COMMANDS)
    code = f"import sys, {', '.join(modules)}; {commands}; print(*sys.modules)"
    after = set(run_python(code).splitlines()[-1].split())
    packages = {name.partition(".")[0] for name in after - before} - set(sys.stdlib_module_names)
    compiled = {name for name in packages if "cython" in name} | {"_yaml", "typing_extensions"}  # what the two bring
    assert packages - compiled == {"tq_contract", "msgspec", "yaml"}
