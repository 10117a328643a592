"""config.json and generation_config.json from GGUF metadata."""

from typing import Any

from tq_cert.sample_models.gguf_file import GgufFile
from tq_cert.sample_models.recipes import Recipe
from tq_cert.sample_models.tokenizer_files import token_ids

Json = dict[str, Any]


def model_config(gguf: GgufFile, recipe: Recipe, dtype: str) -> Json:
    """The content of config.json: what mlx-lm needs to build the model, and when to stop."""
    architecture = recipe.architecture
    prefix = architecture.gguf_name

    def integer(key: str) -> int:
        return gguf.get(f"{prefix}.{key}", int)

    heads = integer("attention.head_count")
    hidden = integer("embedding_length")
    head_dim = gguf.find(f"{prefix}.attention.key_length", int) or hidden // heads
    config: Json = {
        "architectures": [architecture.class_name],
        "model_type": architecture.model_type,
        "hidden_size": hidden,
        "intermediate_size": integer("feed_forward_length"),
        "num_hidden_layers": integer("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": integer("attention.head_count_kv"),
        "head_dim": head_dim,
        "max_position_embeddings": integer("context_length"),
        "vocab_size": gguf.shape("token_embd.weight")[0],
        "rms_norm_eps": _shortest(gguf.get(f"{prefix}.attention.layer_norm_rms_epsilon", float)),
        "rope_theta": _shortest(gguf.get(f"{prefix}.rope.freq_base", float)),
        "tie_word_embeddings": not architecture.separate_head,
        "dtype": dtype,
        **generation_config(gguf, recipe),
        **architecture.config,
    }
    if window := gguf.find(f"{prefix}.attention.sliding_window", int):
        config["sliding_window"] = window
    return config


def generation_config(gguf: GgufFile, recipe: Recipe) -> Json:
    """The content of generation_config.json: the tokens that begin and end a text."""
    config: Json = {"eos_token_id": token_ids(gguf, recipe.end_tokens)}
    if (begin := gguf.find("tokenizer.ggml.bos_token_id", int)) is not None:
        config["bos_token_id"] = begin
    return config


def _shortest(value: float) -> float:
    """The shortest decimal that is the same float32: 1e-05 instead of 9.999999747378752e-06."""
    import numpy as np

    return float(str(np.float32(value)))
