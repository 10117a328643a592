"""Small random models of many of mlx-lm's own classes, all from one dictionary of the usual fields."""

import importlib

import mlx.core as mx

FIELDS = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "vocab_size": 96,
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    **dict.fromkeys(("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon"), 1e-5),
    **dict.fromkeys(("attention_bias", "mlp_bias", "bias", "use_qkv_bias", "layer_norm_bias", "use_qk_norm"), False),
    **dict.fromkeys(("partial_rotary_factor", "rotary_pct"), 0.5),
    **dict.fromkeys(("logits_scaling", "embedding_multiplier", "residual_multiplier"), 1.0),
    "attention_multiplier": 0.17,
    "rotary_emb_base": 10000,
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 512,
    "n_ctx": 512,
    "num_layers": 2,
    "num_experts": 2,
    "num_local_experts": 2,
    "num_experts_per_tok": 1,
    "moe_intermediate_size": 32,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "sliding_window": 32,
    "sliding_window_pattern": 2,
    "no_rope_layer_interval": 2,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "query_pre_attn_scalar": 32,
    "layer_types": ["full_attention"] * 2,
}

GEMMA3N = {
    **FIELDS,
    "model_type": "gemma3n",
    "num_hidden_layers": 4,
    "num_kv_shared_layers": 2,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "vocab_size_per_layer_input": 96,
    "rope_local_base_freq": 10000.0,
    "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
    "hidden_size_per_layer_input": 8,
    "altup_num_inputs": 2,
    "altup_coef_clip": 120.0,
    "altup_correct_scale": True,
    "altup_active_idx": 0,
    "laurel_rank": 4,
}

MORE = {
    "afm7": {"hidden_dim": 64, "num_layers": 4, "num_kv_reuse_layers": 2, "num_heads": 2, "num_kv_heads": 1},
    "gemma3n": {"text_config": GEMMA3N},
    "gpt_oss": {"layer_types": ["sliding_attention", "full_attention"]},
    "olmo3": {"layer_types": ["sliding_attention", "full_attention"]},
    "deepseek_v2": {
        "kv_lora_rank": 16,
        "q_lora_rank": 16,
        "qk_rope_head_dim": 16,
        "v_head_dim": 16,
        "qk_nope_head_dim": 16,
        "rope_scaling": {"factor": 1.0, "type": "yarn", "mscale_all_dim": 1.0},
    },
}
"""Fields that some architectures need besides, or instead."""

PLAIN = (
    *("llama", "gemma", "gemma3_text", "qwen2", "qwen3", "qwen3_moe", "phi", "phi3", "starcoder2", "cohere", "cohere2"),
    *("olmo2", "olmo3", "granite", "granitemoe", "gpt_neox", "gpt2", "internlm2", "internlm3", "smollm3"),
    *("helium", "mixtral", "glm", "glm4", "exaone", "seed_oss", "mimo", "hunyuan_v1_dense", "nanochat", "olmoe"),
    *("gpt_oss", "afm7", "gemma3n"),
)
"""Architectures whose cached attention is mlx-lm's scaled_dot_product_attention and nothing else."""

PECULIAR = ("gemma2", "plamo2", "deepseek_v2", "iquestloopcoder", "stablelm")
"""Architectures that handle keys and values themselves, keep state of another kind, or cache something else."""


def tiny(architecture):
    """Return a model with random weights, 96 tokens of vocabulary."""
    module = importlib.import_module(f"mlx_lm.models.{architecture}")
    mx.random.seed(1)
    fields = {"model_type": architecture} | FIELDS | MORE.get(architecture, {})
    model = module.Model(module.ModelArgs.from_dict(fields))
    mx.eval(model.parameters())
    return model
