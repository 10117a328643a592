"""The package runs where only msgspec is installed."""

import sys
from pathlib import Path

import tq_contract

PACKAGE = Path(tq_contract.__file__).parent


def test_nothing_but_msgspec_is_imported(run_python):
    """The whole package, loader and commands, in a fresh interpreter."""
    modules = sorted(
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for file in PACKAGE.rglob("*.py")
    )
    assert "tq_contract.commands.validate" in modules
    before = set(run_python("import sys; print(*sys.modules)").split())
    commands = "tq_contract.cli.main(['show']); tq_contract.cli.main(['validate'])"
    code = f"import sys, {', '.join(modules)}; {commands}; print(*sys.modules)"
    after = set(run_python(code).splitlines()[-1].split())
    packages = {name.partition(".")[0] for name in after - before} - set(sys.stdlib_module_names)
    assert packages - {"typing_extensions"} == {"tq_contract", "msgspec"}  # msgspec tries the former
