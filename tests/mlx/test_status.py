from mlx_lm.models.cache import KVCache, RotatingKVCache

from tq_mlx import TurboQuantConfig, status, upgrade_cache_list
from vectors import keys_and_values

CONFIG = TurboQuantConfig.from_preset("uniform_k4v4")


def mixed_list(tokens):
    cache = [RotatingKVCache(max_size=32), KVCache()]
    for layer in cache:
        if tokens:
            layer.update_and_fetch(*keys_and_values(tokens))
    upgrade_cache_list(cache, config=CONFIG, model_family="gemma")
    return cache


def test_requested_and_realised_differ_where_a_layer_stayed_dense():
    sliding, compressed = status(mixed_list(400)).layers
    assert (sliding.requested, sliding.realised) == ("uniform_k4v4", "dense")
    assert "sliding-window" in sliding.reason
    assert (compressed.requested, compressed.realised) == ("uniform_k4v4", "uniform_k4v4")
    assert compressed.reason == "tokens: 4 sink, 256 packed, 140 tail"
    assert compressed.bits_per_value == 4.25 + 4.25 / 64 / 2
    assert compressed.codes_read == 0


def test_bytes_are_those_of_the_caches():
    cache = mixed_list(400)
    report = status(cache)
    assert report.nbytes == sum(layer.nbytes for layer in cache)
    per_token = 2 * 2 * 64 * 4
    assert report.layers[1].dense_bytes == 400 * per_token
    assert report.ratio == report.nbytes / report.dense_bytes


def test_a_dense_list_asked_for_nothing():
    report = status([KVCache()])
    assert report.layers[0].requested == report.layers[0].realised == "dense"
    assert report.ratio == 1.0
    assert report.bits_per_value is None


def test_as_json_values():
    data = status(mixed_list(0)).to_dict()
    assert [layer["index"] for layer in data["layers"]] == [0, 1]
    assert data["nbytes"] == data["dense_bytes"] == 0
