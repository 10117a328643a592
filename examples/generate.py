"""Generate from a compressed cache, and see what that saved.

    python examples/generate.py MODEL

MODEL is a directory that mlx-lm loads, or the name of a hub model.
"""

from pathlib import Path
import sys

from tq_mlx import TurboQuantConfig, status
from mlx_lm import load, stream_generate
from mlx_lm.models.cache import make_prompt_cache

STORY = Path(__file__).parent / "prompts" / "lighthouse.txt"


def main(name: str) -> None:
    """Stream an answer about a story of some 600 tokens, then say what the cache holds."""
    model, tokenizer = load(name)
    question = STORY.read_text(encoding="utf-8") + "\nWho asked for the light at Cape Merrow?"
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True)
    cache = make_prompt_cache(model)
    config = TurboQuantConfig.from_preset("equal_noise_k4v4")
    for part in stream_generate(model, tokenizer, prompt, max_tokens=24, prompt_cache=cache, turboquant_config=config):
        print(part.text, end="", flush=True)

    held = status(cache)
    print(f"\n\nThe cache takes {held.nbytes / 1e6:.1f} MB; dense it would take {held.dense_bytes / 1e6:.1f} MB.")
    last = held.layers[-1]
    print(f"Layer {last.index}: {last.realised}, {last.reason}; its codes were read {last.codes_read} times.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
