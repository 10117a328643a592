"""The hooks: effective wherever mlx-lm's functions are bound, harmless elsewhere, and exactly reversible."""

import functools
import importlib
import importlib.util
import inspect
import pickle
import subprocess
import sys
import threading
import types
from dataclasses import replace
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
from tq_mlx.cli import main
from tq_mlx.hooks import names_in
from vectors import keys_and_values, queries

HOOKED = [(hook.module, hook.name) for hook in tq_contract.load().hooks]


def target(module, name):
    return attrgetter(name)(importlib.import_module(module))


def bindings():
    """Every name in every loaded module of mlx-lm, and every method, that could be hooked, and what it is bound to."""
    names = {name for _, name in HOOKED}
    return {(module, name): target(module, name) for module, name in HOOKED if "." in name} | {
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


def everything():
    """Every name of every loaded module, and what it is bound to, but for numbers, which the modules count with."""
    return {
        (key, name): value
        for key, module in list(sys.modules.items())
        for name, value in list(names_in(module).items())
        if not issubclass(type(value), (int, float))  # of the value itself: isinstance asks what a proxy stands for
    }


def test_uninstalling_leaves_every_loaded_module_as_it_was():
    tq_mlx.uninstall()
    before = everything()
    tq_mlx.install()
    tq_mlx.uninstall()
    after = everything()
    assert before.keys() == after.keys()
    assert [key for key in before if before[key] is not after[key]] == []


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
    assert late.scaled_dot_product_attention in {rebinding.replacement for rebinding in hooks.rebindings}
    tq_mlx.uninstall()
    assert late.scaled_dot_product_attention is mlx_lm.models.base.scaled_dot_product_attention
    assert inspect.getmodule(late.scaled_dot_product_attention) is mlx_lm.models.base


def test_the_context_manager_leaves_things_as_it_found_them():
    for installed in (True, False):
        (tq_mlx.install if installed else tq_mlx.uninstall)()
        with tq_mlx.hooks_installed():
            assert tq_mlx.installed()
        assert tq_mlx.installed() is installed


def test_blocks_that_overlap_in_threads_keep_the_hooks_until_the_last_ends():
    tq_mlx.uninstall()
    inside, leave = threading.Event(), threading.Event()

    def long_block():
        with tq_mlx.hooks_installed():
            inside.set()
            leave.wait(60)

    other = threading.Thread(target=long_block)
    with tq_mlx.hooks_installed():
        other.start()
        assert inside.wait(60)
    assert tq_mlx.installed()
    tq_mlx.uninstall()
    assert tq_mlx.installed(), "another thread's block still runs"
    leave.set()
    other.join()
    assert not tq_mlx.installed()


def test_installing_within_a_block_outlasts_it():
    tq_mlx.uninstall()
    with tq_mlx.hooks_installed(), tq_mlx.hooks_installed():
        tq_mlx.install()
    assert tq_mlx.installed()
    with pytest.raises(HookError, match="on the way out"), tq_mlx.hooks_installed():
        raise HookError("on the way out")
    assert tq_mlx.installed()


@pytest.fixture
def reloadable():
    """Reload modules of mlx-lm, which brings new functions and classes, and put everything back afterwards."""
    modules = [mlx_lm.models.base, mlx_lm.models.llama]
    tq_mlx.uninstall()
    before = [dict(vars(module)) for module in modules]
    tq_mlx.install()
    yield
    tq_mlx.uninstall()
    for module, names in zip(modules, before, strict=True):
        vars(module).update(names)


@pytest.mark.usefixtures("reloadable")
def test_a_reloaded_model_module_finds_the_replacement():
    importlib.reload(mlx_lm.models.llama)
    assert mlx_lm.models.llama.scaled_dot_product_attention is mlx_lm.models.base.scaled_dot_product_attention
    assert tq_mlx.installed()


@pytest.mark.usefixtures("reloadable")
def test_a_reloaded_definition_is_seen_and_replaced_by_installing_again():
    base, llama = mlx_lm.models.base, mlx_lm.models.llama
    importlib.reload(base)
    new = base.scaled_dot_product_attention
    assert not tq_mlx.installed()
    tq_mlx.install()
    assert tq_mlx.installed()
    assert base.scaled_dot_product_attention is not new
    tq_mlx.uninstall()
    assert base.scaled_dot_product_attention is new
    assert llama.scaled_dot_product_attention.__globals__ is vars(base)
    assert llama.scaled_dot_product_attention is not new


def test_a_function_that_somebody_wrapped_before_keeps_its_wrapper_and_every_alias_is_hooked():
    tq_mlx.uninstall()
    base, llama = mlx_lm.models.base, mlx_lm.models.llama
    plain, calls = base.scaled_dot_product_attention, []

    @functools.wraps(plain)
    def wrapper(*args, **kwargs):
        calls.append(1)
        return plain(*args, **kwargs)

    base.scaled_dot_product_attention = wrapper
    try:
        tq_mlx.install()
        keys, values = keys_and_values(20)
        for module, wrapped in ((base, 1), (llama, 0)):
            calls.clear()
            module.scaled_dot_product_attention(queries(1), keys, values, cache=None, scale=1.0, mask=None)
            assert len(calls) == wrapped
            cache = TurboQuantKVCache(TurboQuantConfig.from_preset("lloyd_k4v4"))
            cache.update_and_fetch(*keys_and_values(300))
            module.scaled_dot_product_attention(queries(1), *cache.keys_and_values(), cache=cache, scale=1.0, mask=None)
            assert cache.reads.count == 1
        tq_mlx.uninstall()
        assert base.scaled_dot_product_attention is wrapper
        assert llama.scaled_dot_product_attention is plain
    finally:
        tq_mlx.uninstall()
        base.scaled_dot_product_attention = plain


def test_a_wrapper_put_over_the_hook_survives_uninstalling():
    base = mlx_lm.models.base
    hooked = base.scaled_dot_product_attention

    @functools.wraps(hooked)
    def wrapper(*args, **kwargs):
        return hooked(*args, **kwargs)

    base.scaled_dot_product_attention = wrapper
    tq_mlx.uninstall()
    try:
        assert base.scaled_dot_product_attention is wrapper
        keys, values = keys_and_values(20)
        arguments = {"cache": None, "scale": 1.0, "mask": None}
        assert mx.array_equal(
            wrapper(queries(1), keys, values, **arguments),
            mlx_lm.models.llama.scaled_dot_product_attention(queries(1), keys, values, **arguments),
        )
    finally:
        base.scaled_dot_product_attention = mlx_lm.models.llama.scaled_dot_product_attention


def test_things_in_sys_modules_that_are_no_modules_do_no_harm(monkeypatch):
    tq_mlx.uninstall()
    monkeypatch.setitem(sys.modules, "not_a_module", object())
    monkeypatch.setitem(sys.modules, "mlx_lm.models.blocked", None)
    alias = types.ModuleType("someone_elses")
    alias.attention = mlx_lm.models.base.scaled_dot_product_attention
    monkeypatch.setitem(sys.modules, "someone_elses", alias)
    tq_mlx.install()
    assert alias.attention is mlx_lm.models.base.scaled_dot_product_attention
    tq_mlx.uninstall()
    assert alias.attention is mlx_lm.models.base.scaled_dot_product_attention


def test_signatures_and_documentation_are_the_originals():
    for module, name in HOOKED:
        replacement = target(module, name)
        (original,) = (rebinding.original for rebinding in hooks.rebindings if rebinding.hook.name == name)
        assert replacement is not original
        assert inspect.signature(replacement) == inspect.signature(original)
        assert replacement.__doc__ == original.__doc__
        # A function like any other: picklable by its name, and a method where a class takes it over.
        assert inspect.isfunction(replacement)
        assert pickle.loads(pickle.dumps(replacement)) is replacement


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


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2), {"scale": 1.0}), ((), {"shift": 1}), ((1,) * 9, {})])
@pytest.mark.parametrize(("module", "name"), HOOKED)
def test_wrong_arguments_raise_what_mlx_lm_raises(module, name, args, kwargs):
    errors = []
    for installed in (True, False):
        (tq_mlx.install if installed else tq_mlx.uninstall)()
        with pytest.raises((TypeError, AttributeError)) as raised:
            list(target(module, name)(*args, **kwargs))
        errors.append(type(raised.value))
    assert errors[0] is errors[1]


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


def test_the_command_refuses_such_a_version_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("importlib.metadata.version", lambda _: "0.33.0")
    assert main(["plan", str(tmp_path)]) == 3
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("tq-mlx: refused: mlx-lm 0.33.0 is outside")


def test_the_command_does_not_install_at_import():
    program = "import sys; sys.argv = ['/somewhere/tq-mlx']; import tq_mlx; print(tq_mlx.installed())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_changed_signature_is_refused(monkeypatch):
    tq_mlx.uninstall()
    monkeypatch.setattr(mlx_lm.models.base, "scaled_dot_product_attention", lambda queries, keys, values: queries)
    before = bindings()
    with pytest.raises(HookError, match=r"scaled_dot_product_attention has no parameters \['cache', 'scale'"):
        tq_mlx.install()
    assert bindings() == before


def test_threads_install_and_uninstall_while_others_generate(tiny_llama):
    """Dense steps never notice; compressed ones run in blocks that keep the hooks."""
    prompt, stop, problems = mx.arange(1, 60), threading.Event(), []
    config = replace(TurboQuantConfig.from_preset("lloyd_k4v4"), tail_tokens=8, block_tokens=4)
    generate = importlib.import_module("mlx_lm.generate")

    def tokens(**kwargs):
        return [token for token, _ in generate.generate_step(prompt, tiny_llama, max_tokens=4, **kwargs)]

    expected = tokens(), tokens(turboquant_config=config)

    def flip():
        while not stop.is_set():
            tq_mlx.install()
            tq_mlx.uninstall()

    def repeat(work):
        try:
            with mx.stream(mx.new_stream(mx.cpu)):
                for _ in range(4):
                    work()
        except Exception as error:
            problems.append(error)

    def dense():
        assert tokens(stream=mx.default_stream(mx.cpu)) == expected[0]

    def compressed():
        with tq_mlx.hooks_installed():
            assert tokens(stream=mx.default_stream(mx.cpu), turboquant_config=config) == expected[1]

    flippers = [threading.Thread(target=flip) for _ in range(2)]
    workers = [threading.Thread(target=repeat, args=(work,)) for work in (dense, compressed, compressed)]
    for thread in flippers + workers:
        thread.start()
    for thread in workers:
        thread.join()
    stop.set()
    for thread in flippers:
        thread.join()
    assert problems == []
    tq_mlx.uninstall()
    assert inspect.getmodule(mlx_lm.models.llama.scaled_dot_product_attention) is mlx_lm.models.base
    assert "TurboQuantKVCache" not in vars(mlx_lm.models.cache)


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


def test_a_module_that_loads_lazily_is_not_made_to_load(tmp_path, monkeypatch):
    (tmp_path / "slow_to_load.py").write_text("from mlx_lm.models.base import scaled_dot_product_attention\n")
    monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.find_spec("slow_to_load")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "slow_to_load", module)
    spec.loader.exec_module(module)
    tq_mlx.uninstall()
    tq_mlx.install()
    assert "scaled_dot_product_attention" not in names_in(module)
    replaced = importlib.import_module("mlx_lm.models.base").scaled_dot_product_attention
    assert module.scaled_dot_product_attention is replaced  # once it does load
