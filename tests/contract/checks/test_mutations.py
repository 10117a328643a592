"""Planted violations in source, documents, workflows and settings: each is found, at its place."""

from dataclasses import dataclass

import pytest

from tq_contract.checks.checkout import Checkout
from tq_contract.checks.run import CHECKS

CONTRACT = "packages/tq-contract/src/tq_contract/contract.json"
CORE = "packages/tq-core/src/tq_core"
MLX = "packages/tq-mlx/src/tq_mlx"
STATIC = ".github/workflows/static.yml"
SMOKE = ".github/workflows/macos-smoke.yml"
CERTIFY = ".github/workflows/apple-runtime-cert.yml"
STAGES = "packages/tq-cert/src/tq_cert/stages"


@dataclass(frozen=True)
class Planted:
    """A violation: the check that finds it, the file, what is replaced there by what, and what the message says.

    With `old` empty, `new` is appended. `at` is the file of the finding where it is another one.
    """

    check: str
    file: str
    old: str
    new: str
    says: str
    at: str = ""


PLANTED = [
    # public API
    Planted("public_api", f"{CORE}/__init__.py", '    "unpack",\n', "", "does not export unpack"),
    Planted("public_api", f"{CORE}/__init__.py", '    "unpack",\n', '    "unpack",\n    "words",\n', "exports words"),
    Planted("public_api", f"{CORE}/__init__.py", '"unpack",\n', '"unpack",\n    "unpack",\n', "exports unpack twice"),
    Planted("public_api", f"{CORE}/__init__.py", "import pack, unpack", "import pack", "unpack, which is not defined"),
    Planted("public_api", f"{CORE}/packing.py", "def unpack(", "def unpacked(", "unpack, which", f"{CORE}/__init__.py"),
    Planted("public_api", f"{CORE}/__init__.py", "__all__ = [", "__all__ = [*()] + [", "no __all__"),
    Planted("public_api", CONTRACT, '"Code", "Codec",', '"Codec",', "exports Code,", f"{CORE}/__init__.py"),
    Planted("public_api", f"{CORE}/__init__.py", "", '\n__all__ += ["words"]\n', "no __all__"),
    Planted("public_api", f"{CORE}/__init__.py", "", '\n__all__.append("words")\n', "no __all__"),
    # hooks
    Planted("hooks", f"{MLX}/generation.py", "def make_prompt_cache(", "def make_cache(", "no replacement", CONTRACT),
    Planted(
        "hooks", f"{MLX}/generation.py", "    max_kv_size: int | None = None,\n    *,\n", "    *,\n", "take max_kv_size"
    ),
    Planted(
        "hooks", f"{MLX}/gemma2.py", "    mask: mx.array | None = None,\n", "", "Attention.__call__ does not take mask"
    ),
    Planted(
        "hooks",
        f"{MLX}/hooks.py",
        '"Attention.__call__": gemma2',
        '"Attention.call": gemma2',
        "no replacement",
        CONTRACT,
    ),
    Planted("hooks", f"{MLX}/hooks.py", "gemma2.attention}", "gemma2.attend}", "no replacement", CONTRACT),
    Planted("hooks", f"{MLX}/masks.py", "", "\ndef generate_step():\n    pass\n", "a second replacement"),
    Planted("hooks", f"{MLX}/masks.py", "", "\nimport mlx_lm.generate as g\ng.maybe = 1\n", "mlx_lm.generate.maybe"),
    Planted(
        "hooks", f"{MLX}/masks.py", "", "\nfrom mlx_lm.models.cache import KVCache\nKVCache.trim = 1\n", "KVCache.trim"
    ),
    Planted(
        "hooks",
        f"{MLX}/masks.py",
        "",
        '\nimport importlib\nm = importlib.import_module("mlx_lm.utils")\nsetattr(m, "load", 0)\n',
        "mlx_lm.utils.load",
    ),
    Planted("hooks", f"{CORE}/errors.py", "", "\nimport mlx.core as mx\nsetattr(mx, 'eval', 0)\n", "mlx.core.eval"),
    Planted(
        "hooks",
        CONTRACT,
        '"name": "generate_step"',
        '"name": "stream_generate"',
        "stream_generate has no replacement",
    ),
    # second copies
    Planted("second_copies", f"{MLX}/support.py", "", '\nDEFAULT = "lloyd_k4v4"\n', "'lloyd_k4v4'"),
    Planted("second_copies", f"{MLX}/support.py", "", '\nOLD = {"high_compression": 1}\n', "'high_compression'"),
    Planted("second_copies", f"{MLX}/support.py", "", '\nALLOWED = ("llama", "gemma")\n', "gemma, llama"),
    Planted("second_copies", f"{MLX}/support.py", "", '\nOK = SLIDING == "gemma3_text"\n', "gemma3_text"),
    Planted("second_copies", f"{MLX}/support.py", "", "\nMOST_MEAN_KL_RATIO = 0.5\n", "a threshold"),
    Planted("second_copies", f"{MLX}/hooks.py", "", '\nWINDOW = ">=0.32,<0.33"\n', "a version window"),
    Planted(
        "second_copies", f"{MLX}/state_check.py", "tq_contract.load().state.schema_version", "4", "SCHEMA_VERSION = 4"
    ),
    Planted("second_copies", f"{MLX}/cache.py", '"schema_version": SCHEMA_VERSION', '"schema_version": 4', "= 4"),
    Planted("second_copies", f"{MLX}/segments.py", "", "\ndef f(*, tail_tokens=128):\n    pass\n", "tail_tokens = 128"),
    Planted("second_copies", f"{MLX}/segments.py", "", "\nx = dict(block_tokens=64)\n", "block_tokens = 64"),
    Planted(
        "second_copies", "packages/tq-cert/src/tq_cert/errors.py", "", "\nCENTER_BLOCK = 64\n", "CENTER_BLOCK = 64"
    ),
    Planted(
        "second_copies", f"{MLX}/support.py", "", '\nHOOKS = ["make_prompt_cache", "generate_step"]\n', "the hooks, "
    ),
    Planted(
        "second_copies",
        f"{MLX}/support.py",
        "",
        '\nHOOKS = ("mlx_lm.generate.generate_step", "mlx_lm.models.gemma2.Attention.__call__")\n',
        "the hooks, ",
    ),
    Planted("second_copies", f"{MLX}/support.py", "", '\nOK = FAMILY in ("llama",)\n', "the families, llama"),
    Planted("second_copies", f"{MLX}/support.py", "", '\nOK = KIND.startswith("gemma")\n', "the families, gemma"),
    Planted(
        "second_copies",
        f"{MLX}/support.py",
        "",
        '\nmatch KIND:\n    case "gemma2":\n        pass\n',
        "families, gemma2",
    ),
    Planted("second_copies", f"{MLX}/support.py", "", "\nOK = r.mean_kl_ratio <= 0.3\n", "a threshold, mean_kl_ratio"),
    Planted("second_copies", f"{MLX}/hooks.py", "", '\nHELP = "pip install mlx-lm>=0.32,<0.33"\n', "a version window"),
    Planted("second_copies", "scripts/polar_tables.py", "", '\nWINDOW = ">=0.32,<0.33"\n', "a version window"),
    Planted(
        "second_copies",
        f"{MLX}/support.py",
        "",
        '\nC = {"codec": "uniform", "bits": 4, "gain": "norm_preserving", "scale_search": True}\n',
        "a preset's codec",
    ),
    Planted(
        "second_copies",
        f"{MLX}/support.py",
        "",
        '\nC = Codec(bits=4, gain="norm_preserving", scale_search=True)\n',
        "a preset's codec",
    ),
    # README and documents
    Planted("statements", "README.md", "make demo", "make demonstration", "make demonstration"),
    Planted("statements", "README.md", "tq-mlx generate", "tq-mlx produce", "tq-mlx produce"),
    Planted("statements", "README.md", "--compare", "--compared", "--compared"),
    Planted("statements", "README.md", 'from_preset("lloyd_k4v4")', 'from_preset("lloyd_k4v5")', "lloyd_k4v5"),
    Planted("statements", "README.md", 'model_family="gemma"', 'model_family="gemini"', "gemini"),
    Planted("statements", "README.md", "| `paper_mse` |", "| `paper_mso` |", "paper_mso"),
    Planted("statements", "README.md", "", "\nThe best is `equal_noise_k55v4`.\n", "equal_noise_k55v4"),
    Planted("statements", "README.md", "Python 3.11 or newer", "Python 3.10 or newer", "3.10"),
    Planted("statements", "README.md", "", "\nNeeds `mlx>=0.30,<0.33`.\n", "mlx >=0.30,<0.33"),
    Planted(
        "statements", "README.md", "import TurboQuantConfig, upgrade_cache_list", "import upgrade_all", "upgrade_all"
    ),
    Planted(
        "statements",
        "docs/theory.md",
        "",
        "\n```python\nimport tq_mlx\ntq_mlx.upgrade_all(cache)\n```\n",
        "upgrade_all",
    ),
    Planted("statements", "README.md", "cache = make_prompt_cache(model)", "cache = (", "not Python"),
    Planted("statements", "docs/quality_levers.md", "", "\n```bash\ntq-bench all\n```\n", "tq-bench"),
    Planted(
        "statements", "packages/tq-cert/README.md", "", "\n```bash\ntq-cert sample-modl llama\n```\n", "sample-modl"
    ),
    # workflows
    Planted("workflows", STATIC, "make check", "make lint", "does not run 'make check'"),
    Planted("workflows", STATIC, "  static:\n", "  quick:\n", "has no job static"),
    Planted("workflows", STATIC, "  pull_request:\n", "", "does not start on pull_request"),
    Planted("workflows", STATIC, "ubuntu-24.04", "ubuntu-22.04", "runs on ubuntu-22.04"),
    Planted(
        "workflows", STATIC, "          name: distributions\n", "          name: wheels\n", "artifact distributions"
    ),
    Planted("workflows", STATIC, "    timeout", "    continue-on-error: true\n    timeout", "continue-on-error"),
    Planted("workflows", STATIC, "    timeout", "    if: false\n    timeout", "static has if"),
    Planted("workflows", STATIC, "run: make check", "run: make check\n        if: false", "'make check' has if"),
    Planted("workflows", STATIC, "@11bd71901bbe5b1630ceea73d27597364c9af683", "@v4", "is not pinned"),
    Planted("workflows", STATIC, "permissions:\n  contents: read\n", "", "no permissions"),
    Planted("workflows", STATIC, "run: make check", "run: [make check", "not YAML"),
    Planted("workflows", SMOKE, "make test-smoke-gemma", "make test-smoke-gema", "test-smoke-gema, which the Makefile"),
    Planted("workflows", "Makefile", "test-structural: setup", "test-structure: setup", "make test-structural", SMOKE),
    Planted("workflows", STATIC, "  push:\n", '  push:\n    paths: ["docs/**"]\n', "on push of some paths alone"),
    Planted("workflows", CERTIFY, "${{ !cancelled() }}", "${{ failure() }}", "runtime-cert on a condition"),
    Planted(
        "workflows", STATIC, "          if-no-files-found: error\n", "", "passes without the artifact distributions"
    ),
    # stages
    Planted(
        "stages", f"{STAGES}/kernels.py", "def measure(", "def measured(", "stage kernels has no function", CONTRACT
    ),
    Planted("stages", f"{STAGES}/gemma_smoke.py", "import measure", "import generate", "gemma_smoke has no", CONTRACT),
    Planted("stages", f"{STAGES}/__init__.py", '    "memory": 3600,\n', "", "the stage memory, and SECONDS has not"),
    Planted(
        "stages", f"{STAGES}/__init__.py", '"memory":', '"memories":', "the stage memories, and the contract has not"
    ),
    Planted("stages", f"{STAGES}/__init__.py", "SECONDS = {", "LIMITS = {", "has no table SECONDS"),
    Planted(
        "stages",
        CONTRACT,
        '"name": "path_proof"',
        '"name": "path_proofs"',
        "has no function tq_cert.stages.path_proofs",
    ),
    Planted("stages", "Makefile", "$(CERTIFY)", "--only preflight", "with some stages alone"),
    Planted("stages", "scripts/certify_apple_runtime.sh", '"$@"', '--only preflight "$@"', "with some stages alone"),
    Planted("stages", CERTIFY, "make certify", 'make certify CERTIFY="--only preflight"', "with some stages alone"),
    # versions
    Planted("versions", "packages/tq-core/pyproject.toml", 'version = "0.1.0"', 'version = "0.1.1"', "version is"),
    Planted("versions", "packages/tq-mlx/pyproject.toml", "tq-core==0.1.0", "tq-core>=0.1.0", "tq-core>=0.1.0"),
    Planted("versions", "packages/tq-mlx/pyproject.toml", "mlx-lm>=0.32,<0.33", "mlx-lm>=0.31,<0.33", "mlx-lm"),
    Planted("versions", "packages/tq-core/pyproject.toml", "mlx[cpu]>=0.32,<0.33", "mlx[cpu]>=0.32", "mlx[cpu]>=0.32"),
    Planted("versions", "packages/tq-cert/pyproject.toml", ">=3.11", ">=3.10", "requires-python"),
    Planted(
        "versions", "pyproject.toml", 'requires-python = ">=3.11"', 'requires-python = ">=3.12"', "requires-python"
    ),
    Planted(
        "versions", "uv.lock", 'name = "tq-core"\nversion = "0.1.0"', 'name = "tq-core"\nversion = "0.0.9"', "0.0.9"
    ),
    Planted("versions", "pyproject.toml", '"py311"', '"py312"', "says 'target-version = \"py312\"'"),
    Planted(
        "versions", "pyproject.toml", 'pythonVersion = "3.11"\n', "", "does not say that Python 3.11 is the oldest"
    ),
    Planted("versions", "Makefile", "(3, 11)", "(3, 10)", "(3, 10)"),
    Planted("versions", "Makefile", "Python 3.11 or newer with", "Python 3.9 or newer with", "3.9 or newer"),
    Planted("versions", "scripts/fetch_uv.sh", "No Python 3.11 or", "No Python 3.8 or", "3.8 or newer"),
    Planted("versions", ".python-version", "3.11", "3.13", "says '3.13'"),
    # evidence
    Planted("evidence", "README.md", "", "\nAll presets passed on Apple Silicon.\n", "without evidence"),
    Planted("evidence", "README.md", "", "\nLlama has been certified on an M3 Max.\n", "without evidence"),
    Planted("evidence", "docs/quality_levers.md", "", "\n| Gemma 3 | macOS | PASS |\n", "without evidence"),
    Planted("evidence", "README.md", "", f"\nApple runtime: PASS ({'0f' * 32}).\n", "no file in evidence/ has"),
]


@pytest.fixture(scope="module")
def found_before(pristine):
    """What each check finds in the undamaged copy."""
    return {name: set(check(Checkout(pristine))) for name, check in CHECKS.items()}


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: f"{planted.check}-{planted.says}")
def test_a_planted_violation_is_found(planted, tree, found_before):
    if planted.old:
        tree.replace(planted.file, planted.old, planted.new)
    else:
        tree.append(planted.file, planted.new)
    new = tree.find(planted.check) - found_before[planted.check]
    found = [finding for finding in new if planted.says in finding.message]
    assert found
    for finding in found:
        assert finding.file == (planted.at or planted.file)
        assert finding.remedy.endswith((".", "?"))


def test_every_check_has_planted_violations():
    assert {planted.check for planted in PLANTED} | {"distributions"} == set(CHECKS)
