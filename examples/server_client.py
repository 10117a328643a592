"""Talk to a server whose caches are compressed, with the client of the OpenAI API (pip install openai).

tq-mlx serve --model MODEL --preset equal_noise_k4v4      in another terminal
python examples/server_client.py http://127.0.0.1:8080
"""

from concurrent.futures import ThreadPoolExecutor
import sys

from openai import OpenAI

QUESTIONS = ("Name a colour.", "What is the capital of France?", "Count to five.")


def main(address: str) -> None:
    """Ask several questions at once, which the server answers in one batch; then stream an answer."""
    client = OpenAI(base_url=f"{address}/v1", api_key="none")

    def ask(question: str) -> str:
        messages = [{"role": "user", "content": question}]
        answer = client.chat.completions.create(model="default_model", messages=messages, max_tokens=32)
        return answer.choices[0].message.content

    with ThreadPoolExecutor() as clients:
        for question, answer in zip(QUESTIONS, clients.map(ask, QUESTIONS), strict=True):
            print(f"{question}\n  {answer}")

    messages = [{"role": "user", "content": "Write one sentence about the sea."}]
    for chunk in client.chat.completions.create(model="default_model", messages=messages, max_tokens=32, stream=True):
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
