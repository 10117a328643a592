"""Prefill a long text once, keep its compressed cache in a file, and ask about the text as often as you like.

    python examples/prompt_file.py MODEL story.safetensors

The first run writes the file; later ones start from it.
"""

from pathlib import Path
import sys

from tq_mlx import TurboQuantConfig, family_of, load_cache, save_cache, upgrade_cache_list
import mlx.core as mx
from mlx_lm import generate, load
from mlx_lm.models.cache import make_prompt_cache

STORY = Path(__file__).parent / "prompts" / "lighthouse.txt"
QUESTIONS = ("Question: who paid for the stone?\nAnswer:", "Question: when was it built?\nAnswer:")


def main(name: str, file: str) -> None:
    """Make the file if it is not there, then answer each question from a cache of its own."""
    model, tokenizer = load(name)
    if not Path(file).exists():
        cache = make_prompt_cache(model)
        model(mx.array([tokenizer.encode(STORY.read_text(encoding="utf-8"))]), cache=cache)
        config = TurboQuantConfig.from_preset("equal_noise_k4v4")
        upgrade_cache_list(cache, config=config, model_family=family_of(model))
        save_cache(file, cache, model=model)  # with a fingerprint of the model, and a digest of every tensor
    for question in QUESTIONS:
        cache = load_cache(file, model=model)  # anything but the file as it was written is refused
        prompt = tokenizer.encode("\n" + question, add_special_tokens=False)
        print(question, generate(model, tokenizer, prompt, max_tokens=8, prompt_cache=cache))
    print(f"{Path(file).stat().st_size / 1e6:.1f} MB on the disk, {cache[0].offset} tokens held")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
