"""A real model: our presets against mlx-lm's 4-bit cache, and BOS where a model expects it."""

import pytest

from tq_cert.lanes.journal import Journal
from tq_cert.lanes.provenance import collect
from tq_cert.lanes.quality.methods import parse_methods
from tq_cert.lanes.quality.record import WindowMeasurement
from tq_cert.lanes.quality.settings import Scope
from tq_cert.lanes.texts import cut, leading_bos, read_text
from tq_cert.progress import Silent

pytestmark = pytest.mark.model


def test_presets_beat_mlx_lms_own_cache_at_fewer_bits(real_model) -> None:
    import tq_mlx  # noqa: F401  (first: it loads OpenBLAS before MLX is imported)
    from tq_cert.lanes.models import load_model
    from tq_cert.lanes.quality.lane import quality_rows

    loaded = load_model(str(real_model("llama")), Silent())
    scope = Scope(context=384, windows=1)
    methods = parse_methods("dense,mlx:kv4,preset:uniform_k4v4,preset:lloyd_k4v4")
    windows = cut(read_text(None), loaded.tokenizer, context=scope.context, windows=scope.windows)
    journal = Journal(None, WindowMeasurement)
    dense, kv4, uniform, lloyd = quality_rows(loaded, windows, methods, scope, collect(), journal, Silent())
    assert dense.kl.largest == 0
    assert dense.perplexity < 60
    assert uniform.kl.mean <= 0.40 * kv4.kl.mean
    assert lloyd.kl.mean <= 0.30 * kv4.kl.mean
    for ours in (uniform, lloyd):
        assert ours.stored_bits.as_run < kv4.stored_bits.as_run
        assert ours.stored_bits.model16 < kv4.stored_bits.model16
        assert ours.flip_rate < kv4.flip_rate
        assert abs(ours.perplexity_change) < abs(kv4.perplexity_change)


@pytest.mark.parametrize(("family", "bos"), [("llama", ()), ("gemma", (2,))])
def test_bos_where_the_tokenizer_puts_it(family: str, bos: tuple[int, ...], real_model) -> None:
    import mlx_lm.utils

    tokenizer = mlx_lm.utils.load_tokenizer(real_model(family))
    assert leading_bos(tokenizer) == bos
    windows = cut(read_text(None), tokenizer, context=32, windows=3)
    assert windows.info.bos == bool(bos)
    assert {tokens[: len(bos)] for tokens in windows.tokens} == {bos}
    assert {len(tokens) for tokens in windows.tokens} == {32}
    body = [token for tokens in windows.tokens for token in tokens[len(bos) :]]
    assert body == tokenizer.encode(read_text(None).content, add_special_tokens=False)[: len(body)]
