"""The package runs where only msgspec and PyYAML are installed."""

import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import tq_contract

PACKAGE = Path(tq_contract.__file__).parent
ROOT = Path(__file__).parents[2]
COMMANDS = (["show"], ["validate"], ["preflight"], ["check", str(ROOT)])


def test_nothing_but_its_two_requirements_is_imported(run_python):
    """The whole package, loader and commands, in a fresh interpreter."""
    modules = sorted(
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for file in PACKAGE.rglob("*.py")
    )
    assert "tq_contract.commands.validate" in modules
    before = set(run_python("import sys; print(*sys.modules)").split())
    commands = "; ".join(f"tq_contract.cli.main({argv})" for argv in COMMANDS)
    code = f"import sys, {', '.join(modules)}; {commands}; print(*sys.modules)"
    after = set(run_python(code).splitlines()[-1].split())
    names = {name.partition(".")[0] for name in after - before}
    distributions = {one for name, ones in packages_distributions().items() if name in names for one in ones}
    assert distributions - {"typing_extensions"} == {"tq-contract", "msgspec", "PyYAML"}  # msgspec tries the former
    assert not names & {"mlx", "mlx_lm", "numpy"}
