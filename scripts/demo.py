"""The main job on two real models: the same long prompt, generated from a dense and from a compressed cache.

make demo
"""

import subprocess
import sys
from pathlib import Path

PROMPT = Path(__file__).parent.parent / "examples" / "prompts" / "lighthouse.txt"

QUESTIONS = {  # the Llama sample model answers questions; the Gemma one continues text
    "llama": "\nWhat is the name of the first keeper, and who kept the light after him?",
    "gemma": "\nToday the museum of the town shows the log of Ellen Rede. Visitors who read it learn that",
}


def main() -> int:
    """Build each sample model, generate from it, and show both runs side by side."""
    for family, question in QUESTIONS.items():
        print(f"\n== {family} ==", flush=True)
        built = subprocess.run(["tq-cert", "sample-model", family], stdout=subprocess.PIPE, text=True, check=True)
        command = ["tq-mlx", "generate", "--model", built.stdout.strip(), "--preset", "lloyd_k4v4", "--prompt", "-"]
        command += ["--max-tokens", "64", "--compare"]
        subprocess.run(command, input=PROMPT.read_text(encoding="utf-8") + question, text=True, check=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:  # the command has said what was wrong
        sys.exit(error.returncode)
    except KeyboardInterrupt:
        sys.exit(130)
