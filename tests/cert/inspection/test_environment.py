"""What a process finds of its machine."""

import platform

from tq_cert.inspection import machine
from tq_cert.inspection.environment import find_environment


def test_an_environment_says_what_is_here_and_what_overrides_it(monkeypatch):
    for name in ("TURBOQUANT_HOOKS", "MLX_DISABLE_COMPILE", "PYTHONPATH", "LD_PRELOAD"):
        monkeypatch.delenv(name, raising=False)
    before = find_environment()
    assert (before.system, before.machine) == (platform.system(), platform.machine())
    assert before.overrides == ()
    assert before.memory_bytes > 2**28
    assert find_environment() == before
    monkeypatch.setenv("MLX_DISABLE_COMPILE", "1")
    assert [(one.name, one.value) for one in find_environment().overrides] == [("MLX_DISABLE_COMPILE", "1")]


def test_a_virtual_mac_is_known_by_its_hypervisor_or_its_gpu(monkeypatch):
    said = {"kern.hv_vmm_present": "0", "sysctl.proc_translated": "0"}
    monkeypatch.setattr(machine, "sysctl", said.get)
    assert not machine.is_virtual("Apple M2")
    assert machine.is_virtual("Apple Paravirtual device")
    assert not machine.is_translated()
    said |= {"kern.hv_vmm_present": "1", "sysctl.proc_translated": "1"}
    assert machine.is_virtual("Apple M2")
    assert machine.is_translated()
