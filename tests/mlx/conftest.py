"""Small random models of mlx-lm's own classes, and the presets that the tests run through."""

import os

import mlx.core as mx
import mlx_lm
import pytest
from mlx_lm.models import gemma3_text, llama, qwen2

import tq_mlx
from small_caches import smallest_caches
from tiny_tokenizer import TinyTokenizer


@pytest.fixture(scope="session")
def tiny_llama():
    mx.random.seed(7)
    args = llama.ModelArgs(
        model_type="llama",
        hidden_size=128,
        num_hidden_layers=2,
        intermediate_size=128,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        rms_norm_eps=1e-5,
        vocab_size=96,
    )
    model = llama.Model(args)
    mx.eval(model.parameters())
    return model


@pytest.fixture(scope="session")
def tiny_gemma():
    mx.random.seed(8)
    args = gemma3_text.ModelArgs(
        model_type="gemma3_text",
        hidden_size=64,
        num_hidden_layers=3,
        intermediate_size=64,
        num_attention_heads=2,
        head_dim=64,
        vocab_size=96,
        num_key_value_heads=1,
        sliding_window=32,
        sliding_window_pattern=3,
    )
    model = gemma3_text.Model(args)
    mx.eval(model.parameters())
    return model


@pytest.fixture(params=["llama", "gemma"])
def smoke_model(request):
    """A model, and the mean KL from its dense run that a smoke run may show, about ten times what the tiny ones do.

    Real where $TQ_TEST_LLAMA_MODEL or $TQ_TEST_GEMMA_MODEL names one; how close it must be is for certification.
    """
    if named := os.environ.get(f"TQ_TEST_{request.param.upper()}_MODEL"):
        return mlx_lm.load(named)[0], 0.2
    return request.getfixturevalue(f"tiny_{request.param}"), 0.02


@pytest.fixture(scope="session")
def tiny_qwen():
    mx.random.seed(9)
    args = qwen2.ModelArgs(
        model_type="qwen2",
        hidden_size=256,
        num_hidden_layers=2,
        intermediate_size=128,
        num_attention_heads=4,
        num_key_value_heads=2,
        rms_norm_eps=1e-5,
        vocab_size=96,
    )
    model = qwen2.Model(args)
    mx.eval(model.parameters())
    return model


@pytest.fixture(scope="session")
def tiny_tokenizer():
    return TinyTokenizer()


@pytest.fixture(params=["paper_mse", "uniform_k4v4", "lloyd_k4v4"])
def preset(request):
    return tq_mlx.TurboQuantConfig.from_preset(request.param)


@pytest.fixture(scope="session")
def small_file(tmp_path_factory):
    """Return the bytes of a cache file of about 7 kB that has something in every place there is."""
    path = tmp_path_factory.mktemp("small") / "cache.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tq_mlx.segments.PACKED_STEP", 2)  # room for more codes would be most of the file
        tq_mlx.save_cache(path, smallest_caches(), metadata={"a": "b"})
    return path.read_bytes()


@pytest.fixture(autouse=True)
def hooks():
    """Every test starts with the hooks as after ``import tq_mlx``, and leaves them so."""
    as_imported = tq_mlx.uninstall if os.environ.get("TURBOQUANT_HOOKS") == "off" else tq_mlx.install
    as_imported()
    yield
    as_imported()
