"""A configuration of your own, and how far its predictions lie from the uncompressed model's.

    python examples/own_config.py MODEL own.json

The file it writes is one for: tq-cert bench quality --model llama --methods mlx:kv4,config:own.json
"""

from pathlib import Path
import sys

from tq_mlx import TurboQuantConfig, family_of, status, upgrade_cache_list
import mlx.core as mx
from mlx_lm import load
from mlx_lm.models.cache import make_prompt_cache
from tq_core import MseCodec, UniformCodec

STORY = Path(__file__).parent / "prompts" / "lighthouse.txt"
OWN = TurboQuantConfig(keys=MseCodec(bits=5), values=UniformCodec(bits=3), tail_tokens=32, block_tokens=32)
BLOCK = 128


def main(name: str, file: str) -> None:
    """Feed the story block by block, dense and then compressed; print the mean KL divergence over all tokens."""
    model, tokenizer = load(name)
    tokens = mx.array([tokenizer.encode(STORY.read_text(encoding="utf-8"))[: 3 * BLOCK]])
    blocks = tokens.split(range(BLOCK, tokens.size, BLOCK), axis=1)
    dense = make_prompt_cache(model)
    expected = [log_probabilities(model(block, cache=dense)) for block in blocks]
    for config in (OWN, TurboQuantConfig.from_preset("lloyd_k4v4")):
        cache = make_prompt_cache(model)
        upgrade_cache_list(cache, config=config, model_family=family_of(model))
        divergence = 0.0
        for block, p in zip(blocks, expected, strict=True):
            divergence += (mx.exp(p) * (p - log_probabilities(model(block, cache=cache)))).sum().item()
        bits = status(cache).bits_per_value
        print(f"{config.label}: {bits:.2f} bits a value, KL {divergence / tokens.size:.4f} nats")
    Path(file).write_text(OWN.to_json(), encoding="utf-8")


def log_probabilities(logits: mx.array) -> mx.array:
    """Return log softmax [1, L, V] of the logits, float32."""
    logits = logits.astype(mx.float32)
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
