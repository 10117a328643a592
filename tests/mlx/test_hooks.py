"""The hooks: effective wherever mlx-lm's functions are bound, harmless elsewhere, and exactly reversible."""

import importlib
import inspect
import subprocess
import sys
import threading
from operator import attrgetter

import mlx.core as mx
import mlx_lm.models.base
import mlx_lm.models.cache
import mlx_lm.models.llama
import pytest
from mlx_lm.models.cache import KVCache, QuantizedKVCache, RotatingKVCache

import tq_contract
import tq_mlx
from tq_mlx import HookError, TurboQuantConfig, TurboQuantKVCache, hooks
from vectors import keys_and_values, queries

HOOKED = [(hook.module, hook.name) for hook in tq_contract.load().hooks]


def target(module, name):
    return attrgetter(name)(importlib.import_module(module))


def bindings():
    """Every name in every loaded module of mlx-lm that could be hooked, and what it is bound to."""
    names = {name for _, name in HOOKED}
    methods = {(module, name): target(module, name) for module, name in HOOKED if "." in name}
    return methods | {
        (module, name): value
        for module, loaded in list(sys.modules.items())
        if module.startswith("mlx_lm")
        for name, value in list(vars(loaded).items())
        if name in names or name.startswith("TurboQuant")
    }


def test_uninstalling_restores_every_binding():
    tq_mlx.uninstall()
    before = bindings()
    assert set(HOOKED) <= set(before)
    tq_mlx.install()
    during = bindings()
    changed = {key for key in before if during[key] is not before[key]}
    assert ("mlx_lm.models.llama", "scaled_dot_product_attention") in changed
    assert ("mlx_lm.generate", "make_prompt_cache") in changed
    assert changed == set(before), "a binding was left on the original"
    tq_mlx.uninstall()
    after = bindings()
    assert after.keys() == before.keys()
    assert all(after[key] is before[key] for key in before)


def test_installing_twice_is_installing_once():
    tq_mlx.install()
    during = bindings()
    tq_mlx.install()
    assert bindings() == during
    tq_mlx.uninstall()
    assert not tq_mlx.installed()
    tq_mlx.uninstall()


def test_a_module_imported_later_finds_the_replacement_and_gets_the_original_back():
    sys.modules.pop("mlx_lm.models.starcoder2", None)
    late = importlib.import_module("mlx_lm.models.starcoder2")
    assert late.scaled_dot_product_attention is mlx_lm.models.base.scaled_dot_product_attention
    assert hooks.replaced["scaled_dot_product_attention"][1] is late.scaled_dot_product_attention
    tq_mlx.uninstall()
    assert late.scaled_dot_product_attention is mlx_lm.models.base.scaled_dot_product_attention
    assert inspect.getmodule(late.scaled_dot_product_attention) is mlx_lm.models.base


def test_the_context_manager_leaves_things_as_it_found_them():
    for installed in (True, False):
        (tq_mlx.install if installed else tq_mlx.uninstall)()
        with tq_mlx.hooks_installed():
            assert tq_mlx.installed()
        assert tq_mlx.installed() is installed


def test_signatures_and_documentation_are_the_originals():
    for module, name in HOOKED:
        replacement = target(module, name)
        original = hooks.replaced[name][0]
        assert replacement is not original
        assert inspect.signature(replacement) == inspect.signature(original)
        assert replacement.__doc__ == original.__doc__


@pytest.mark.parametrize("make", [KVCache, lambda: RotatingKVCache(16), lambda: QuantizedKVCache(64, 4)])
def test_other_caches_pass_through_untouched(make):
    results = []
    for installed in (True, False):
        (tq_mlx.install if installed else tq_mlx.uninstall)()
        cache = make()
        keys, values = cache.update_and_fetch(*keys_and_values(20))
        attend = mlx_lm.models.base.scaled_dot_product_attention
        mask = mx.zeros((3, keys[0].shape[-2] if isinstance(keys, (tuple, list)) else keys.shape[-2]))
        results.append(attend(queries(3), keys, values, cache=cache, scale=0.125, mask=mask))
    assert mx.array_equal(*results)


def test_the_hook_serves_a_compressed_cache():
    cache = TurboQuantKVCache(TurboQuantConfig.from_preset("lloyd_k4v4"))
    cache.update_and_fetch(*keys_and_values(300))
    keys, values = cache.keys_and_values()
    attend = mlx_lm.models.llama.scaled_dot_product_attention
    assert attend(queries(1), keys, values, cache=cache, scale=0.125, mask=None).shape == (1, 2, 1, 64)
    assert cache.reads.count == 1


def test_without_the_hook_a_compressed_cache_fails_loudly_instead_of_attending_to_anything_else():
    tq_mlx.uninstall()
    cache = TurboQuantKVCache(TurboQuantConfig.from_preset("lloyd_k4v4"))
    keys, values = cache.update_and_fetch(*keys_and_values(300))
    with pytest.raises(TypeError):
        mlx_lm.models.llama.scaled_dot_product_attention(queries(1), keys, values, cache=cache, scale=1.0, mask=None)


def test_a_version_outside_the_window_is_refused(monkeypatch):
    tq_mlx.uninstall()
    before = bindings()
    monkeypatch.setattr("importlib.metadata.version", lambda _: "0.33.0")
    with pytest.raises(HookError, match=r"mlx-lm 0\.33\.0 is outside .*>=0\.32,<0\.33"):
        tq_mlx.install()
    assert bindings() == before
    assert not tq_mlx.installed()


def test_a_changed_signature_is_refused(monkeypatch):
    tq_mlx.uninstall()
    monkeypatch.setattr(mlx_lm.models.base, "scaled_dot_product_attention", lambda queries, keys, values: queries)
    before = bindings()
    with pytest.raises(HookError, match=r"scaled_dot_product_attention has no parameters \['cache', 'scale'"):
        tq_mlx.install()
    assert bindings() == before


def test_threads_install_and_uninstall_without_harm():
    def work():
        for _ in range(5):
            tq_mlx.install()
            tq_mlx.uninstall()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tq_mlx.uninstall()
    assert inspect.getmodule(mlx_lm.models.llama.scaled_dot_product_attention) is mlx_lm.models.base


@pytest.mark.parametrize(("setting", "installed"), [("off", "False"), ("", "True")])
def test_the_environment_switches_the_import_time_install_off(setting, installed):
    program = "import tq_mlx; print(tq_mlx.installed())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"TURBOQUANT_HOOKS": setting},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == installed
