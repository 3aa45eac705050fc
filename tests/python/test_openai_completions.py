"""Text completions with the official Python client: prompts of every form, echo, streams, holes, refusals."""

from __future__ import annotations

import openai
import pytest
from openai.types import Completion

from samples import CLAUDE, ECHO, NOVA


def texts(chunks: list[Completion]) -> dict[int, str]:
    """The text of every choice of a stream."""
    found: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            found[choice.index] = found.get(choice.index, "") + choice.text
    return found


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_a_text_is_continued(client: openai.OpenAI, model: str) -> None:
    answer = client.completions.create(model=model, prompt="Granite is", max_tokens=200)
    assert answer.id.startswith("cmpl-")
    assert answer.object == "text_completion"
    assert answer.model == model
    [choice] = answer.choices
    assert choice.text and choice.finish_reason == "stop" and choice.logprobs is None
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id


def test_the_default_limit_is_openais(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=ECHO, prompt="word " * 100)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage and answer.usage.completion_tokens == 16


def test_prompts_of_every_form(client: openai.OpenAI) -> None:
    # "hello world" and "hello" in cl100k_base.
    for prompt, expected in [
        ("hello world", ["hello world"]),
        (["hello world", "hello"], ["hello world", "hello"]),
        ([15339, 1917], ["hello world"]),
        ([[15339, 1917], [15339]], ["hello world", "hello"]),
    ]:
        answer = client.completions.create(model=ECHO, prompt=prompt, max_tokens=50)
        assert [choice.text for choice in answer.choices] == expected
        assert [choice.index for choice in answer.choices] == list(range(len(expected)))


def test_streams_of_several_prompts(client: openai.OpenAI) -> None:
    request = {"model": ECHO, "prompt": ["Grüße, 世界", "🌍"], "n": 2, "max_tokens": 50, "echo": True}
    whole = client.completions.create(**request)
    with client.completions.create(
        stream=True, stream_options={"include_usage": True}, **request
    ) as stream:
        chunks = list(stream)
    assert texts(chunks) == {choice.index: choice.text for choice in whole.choices}
    assert texts(chunks)[3] == "🌍🌍"
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert [reason for reason in reasons if reason] == ["stop"] * 4
    assert chunks[-1].usage == whole.usage and not chunks[-1].choices
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_hole(client: openai.OpenAI) -> None:
    request = {"model": ECHO, "prompt": "a = ", "suffix": "\nprint(a)", "max_tokens": 50}
    # The echo returns the text that the model was asked with.
    expected = "<before>a = </before><cursor/><after>\nprint(a)</after>"
    assert client.completions.create(**request).choices[0].text == expected
    with client.completions.create(stream=True, **request) as stream:
        assert texts(list(stream)) == {0: expected}


def test_fields_without_effect_are_named(client: openai.OpenAI) -> None:
    raw = client.completions.with_raw_response.create(
        model=ECHO, prompt="a", logprobs=3, best_of=2, logit_bias={"50256": -100}
    )
    assert set(raw.headers["x-outcrop-ignored"].split(", ")) >= {"logprobs", "best_of", "logit_bias"}
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model=ECHO, prompt="a", echo=True, max_tokens=0, logprobs=1)
    assert (refused.value.param, refused.value.code) == ("logprobs", "unsupported_parameter")


def test_errors_are_those_of_the_client(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as blank:
        client.completions.create(model=ECHO, prompt="")
    assert blank.value.param == "prompt"
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="no-such-model", prompt="a")
