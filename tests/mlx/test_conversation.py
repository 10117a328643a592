"""A conversation keeps its compressed cache between turns and loses nothing when it is stopped."""

import os
import signal
from dataclasses import replace

import mlx.core as mx
import pytest
from mlx_lm.models.cache import KVCache, make_prompt_cache

from tq_mlx import TurboQuantConfig, TurboQuantKVCache, hooks_installed, upgrade_cache_list
from tq_mlx.cli.conversation import ContextFullError, Conversation, plain_format, until_next_speaker
from tq_mlx.cli.interrupt import deferred_interrupt

LONG = "Tell me of the light. " * 15


def conversation(model, tokenizer, preset="lloyd_k4v4", **settings):
    return Conversation(model, tokenizer, TurboQuantConfig.from_preset(preset), **{"max_tokens": 8} | settings)


def exact(talk):
    """Give the codes so many bits that a token too many or too few would show."""
    keys, values = (replace(codec, bits=8) for codec in (talk.config.keys, talk.config.values))
    talk.config = replace(talk.config, keys=keys, values=values)
    return talk


def ask(talk, question, stop_after=None):
    said = []
    return talk.ask(question, said.append, lambda: stop_after is not None and len(said) >= stop_after), said


def offsets(talk):
    return {layer.offset for layer in talk.cache}


def assert_cache_is_of_the_tokens(talk, family):
    """The cache holds what the same tokens, passed to the model anew, put into another one."""
    assert offsets(talk) == {len(talk.tokens)}
    fresh = make_prompt_cache(talk.model)
    with hooks_installed():
        upgrade_cache_list(fresh, 0, config=talk.config, model_family=family)
        expected = talk.model(mx.array([[*talk.tokens, 1]]), cache=fresh)[0, -1]
        got = talk.model(mx.array([[1]]), cache=talk.cache)[0, -1]
        other = talk.model(mx.array([[1]]), cache=talk.cache)[0, -1]
    assert mx.abs(got - expected).max().item() < 0.01 < mx.abs(other - expected).max().item()


def test_only_new_tokens_are_prefilled(tiny_llama, tiny_tokenizer):
    talk = exact(conversation(tiny_llama, tiny_tokenizer))
    first, _ = ask(talk, LONG)
    second, _ = ask(talk, "And the sea?")
    assert first.prefilled > len(LONG)
    assert second.prefilled < 120 < first.held < second.held
    assert all(type(layer) is TurboQuantKVCache and layer.packed.length for layer in talk.cache)
    assert [message["role"] for message in talk.messages] == ["user", "assistant"] * 2
    assert second.cache.nbytes == sum(layer.nbytes for layer in talk.cache)
    assert_cache_is_of_the_tokens(talk, "llama")


def test_a_rule_for_key_bits_works_too(tiny_llama, tiny_tokenizer):
    talk = conversation(tiny_llama, tiny_tokenizer, "equal_noise_k45v4")
    ask(talk, LONG)
    assert all(type(layer) is TurboQuantKVCache for layer in talk.cache)
    assert ask(talk, "And the sea?")[0].prefilled < 120


def test_a_sliding_window_that_cannot_go_back_is_prefilled_anew(tiny_gemma, tiny_tokenizer):
    talk = exact(conversation(tiny_gemma, tiny_tokenizer))
    ask(talk, LONG)
    talk.messages[-1]["content"] = "Something else was said."  # what the cache holds is not what was said
    answer, _ = ask(talk, "And the sea?")
    assert answer.prefilled > len(LONG)
    assert_cache_is_of_the_tokens(talk, "gemma")


def test_what_is_streamed_is_the_answer(tiny_llama, tiny_tokenizer):
    answer, said = ask(conversation(tiny_llama, tiny_tokenizer), LONG)
    assert "".join(said) == answer.text


def test_a_stopped_answer_stays(tiny_llama, tiny_tokenizer):
    talk = exact(conversation(tiny_llama, tiny_tokenizer))
    answer, _ = ask(talk, LONG, stop_after=3)
    assert answer.text
    assert talk.messages[-1] == {"role": "assistant", "content": answer.text}
    assert offsets(talk) == {len(talk.tokens)}
    assert ask(talk, "And the sea?")[0].prefilled < 120
    assert_cache_is_of_the_tokens(talk, "llama")


def test_a_question_stopped_in_its_prefill_is_taken_back(tiny_llama, tiny_tokenizer):
    talk = exact(conversation(tiny_llama, tiny_tokenizer))
    before, _ = ask(talk, LONG)
    messages = list(talk.messages)
    calls = []

    def second_block():
        calls.append(1)
        return len(calls) > 2

    answer = talk.ask("What then? " * 100, lambda _: None, second_block)
    assert (answer.text, talk.messages) == ("", messages)
    assert before.held < len(talk.tokens)
    assert offsets(talk) == {len(talk.tokens)}
    ask(talk, "And the sea?")
    assert_cache_is_of_the_tokens(talk, "llama")


def test_reset_forgets_all_but_the_system_message(tiny_llama, tiny_tokenizer):
    talk = conversation(tiny_llama, tiny_tokenizer, system="Be brief.")
    ask(talk, LONG)
    talk.reset()
    assert talk.messages == [{"role": "system", "content": "Be brief."}]
    assert talk.tokens == []
    assert all(type(layer) is KVCache and layer.empty() for layer in talk.cache)


def test_a_full_context_refuses_the_question_and_keeps_the_rest(tiny_llama, tiny_tokenizer):
    talk = conversation(tiny_llama, tiny_tokenizer, context=380)
    first, _ = ask(talk, LONG)
    messages, tokens = list(talk.messages), list(talk.tokens)
    with pytest.raises(ContextFullError, match=r"380 are the most.*/reset"):
        ask(talk, LONG)
    assert (talk.messages, talk.tokens) == (messages, tokens)
    assert not first.full
    assert ask(conversation(tiny_llama, tiny_tokenizer, context=360, max_tokens=50), LONG)[0].full


def test_a_model_without_a_template_gets_a_transcript():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    assert plain_format(messages) == "Be brief.\nUser: Why?\nAssistant:"
    assert until_next_speaker(" Because.\nUser: And", plain=True) == " Because."
    assert until_next_speaker(" Because.\nUser: And", plain=False) == " Because.\nUser: And"


def test_ctrl_c_is_noted_once_and_raised_twice():
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupt() as interruption:
        assert not interruption.requested
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
