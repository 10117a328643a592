
import sys
TINY = next(m for n, m in sys.modules.items() if n.endswith("stages.conftest")).TINY
import tq_core.mse
def test_q(measured, monkeypatch):
    import msgspec
    from tq_cert.stages.sizes import Sizes
    S = msgspec.structs.replace(TINY, chunk=340)
    b = measured("preset_quality", S, families=("llama",))
    print([(g.preset, round(g.value,3), g.kept) for g in b.gates if g.metric=="mean_kl_ratio" and g.family=="llama"])
    o = tq_core.mse.lloyd_max_values
    monkeypatch.setattr(tq_core.mse, "lloyd_max_values", lambda c, bits: o(c, bits)*1.5)
    b = measured("preset_quality", S, families=("llama",))
    print([(g.preset, round(g.value,3), g.kept) for g in b.gates if g.metric=="mean_kl_ratio" and g.family=="llama"])
def test_m(measured, monkeypatch):
    import msgspec, time
    for chunk, n in ((64, 2048), (32, 2048)):
        t=time.time()
        S = msgspec.structs.replace(TINY, chunk=chunk, long_prompt=n)
        b = measured("memory", S, families=("llama",))
        print(chunk, n, time.time()-t, [(g.metric, g.preset, g.value) for g in b.gates])
