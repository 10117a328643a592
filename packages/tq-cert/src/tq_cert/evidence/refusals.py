"""Why a run cannot certify: derived from the manifest's facts, by the runner before it starts and by the verifier.

On anything but Apple hardware a run is a rehearsal; for every other reason it is refused.
"""

from collections.abc import Iterator, Sequence

from tq_cert.evidence.manifest import Environment, Model, Refusal, Wheel
from tq_cert.evidence.policy.edition import Edition
from tq_contract import admits

HARDWARE = frozenset({"not_apple_silicon", "virtual_gpu"})


def refusals_of(
    environment: Environment, wheels: Sequence[Wheel], models: Sequence[Model], edition: Edition
) -> tuple[Refusal, ...]:
    """Every reason why a run with these facts cannot certify, hardware first."""
    return (
        *_hardware(environment),
        *_installation(environment, wheels, edition),
        *_software(environment, edition),
        *_models(models),
    )


def is_rehearsal(refusals: Sequence[Refusal]) -> bool:
    """Whether the run was not on real Apple hardware."""
    return any(refusal.code in HARDWARE for refusal in refusals)


def _hardware(environment: Environment) -> Iterator[Refusal]:
    machine = (environment.system, environment.machine, environment.backend)
    virtual = (
        environment.virtual_gpu
        or "paravirtual" in environment.device.lower()
        or environment.hardware.startswith("VirtualMac")
    )
    named_apple = virtual or environment.device.startswith("Apple M")
    if machine != ("Darwin", "arm64", "metal") or not named_apple:
        yield Refusal("not_apple_silicon", f"{' '.join(machine)}, {environment.device}")
    if virtual:
        yield Refusal("virtual_gpu", f"{environment.hardware}, {environment.device}")
    if environment.rosetta:
        yield Refusal("rosetta", f"a translated {environment.machine} process")


def _installation(environment: Environment, wheels: Sequence[Wheel], edition: Edition) -> Iterator[Refusal]:
    if environment.editable:
        yield Refusal("editable_install", ", ".join(environment.editable))
    named = {wheel.distribution for wheel in wheels if wheel.version == edition.release}
    if missing := [name for name in edition.distributions if name not in named]:
        yield Refusal("missing_wheels", f"no wheel of release {edition.release} for {', '.join(missing)}")
    if environment.dirty:
        yield Refusal("dirty_tree", "the checkout differs from its commit")


def _software(environment: Environment, edition: Edition) -> Iterator[Refusal]:
    windows = edition.windows
    for name, window, version in (
        ("Python", windows.python, environment.python),
        ("mlx", windows.mlx, environment.mlx),
        ("mlx-lm", windows.mlx_lm, environment.mlx_lm),
    ):
        if not admits(window, version):
            yield Refusal("outside_window", f"{name} {version} is not {window}")
    for variable in environment.overrides:
        yield Refusal("overriding_environment", f"{variable.name}={variable.value}")


def _models(models: Sequence[Model]) -> Iterator[Refusal]:
    for model in models:
        if not model.sample and model.revision is None:
            yield Refusal("unpinned_weights", f"{model.family}: {model.name}")
