"""A small random Llama whose greedy tokens vary: those of freshly initialised weights soon repeat one token."""

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm.models import llama

VOCABULARY = 96


def lively_llama(*, layers=2, heads=4, kv_heads=2, head_dim=64, vocabulary=VOCABULARY, seed=7):
    mx.random.seed(seed)
    args = llama.ModelArgs(
        model_type="llama",
        hidden_size=128,
        num_hidden_layers=layers,
        intermediate_size=128,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        rms_norm_eps=1e-5,
        vocab_size=vocabulary,
        tie_word_embeddings=False,
    )
    model = llama.Model(args)
    model.update(tree_map(lambda weight: 3 * weight if weight.ndim > 1 else weight, model.parameters()))
    mx.eval(model.parameters())
    return model
