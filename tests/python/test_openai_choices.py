"""Several answers to one request through the official Python client."""

from __future__ import annotations

import random

import openai
import pytest

from invented import request_for, tools
from samples import CLAUDE, ECHO, NOVA

COUNT = 3


def test_whole_answers(client: openai.OpenAI) -> None:
    """As many choices as requested, and usage summed over them."""
    messages = [{"role": "user", "content": "What is an outcrop?"}]
    one = client.chat.completions.create(model=NOVA, messages=messages)
    raw = client.chat.completions.with_raw_response.create(model=NOVA, messages=messages, n=COUNT)
    answer = raw.parse()
    assert [choice.index for choice in answer.choices] == list(range(COUNT))
    assert all(choice.message.content for choice in answer.choices)
    assert all(choice.finish_reason == "stop" for choice in answer.choices)
    assert answer.usage.prompt_tokens == COUNT * one.usage.prompt_tokens
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert "x-outcrop-ignored" not in raw.headers


def test_streamed_answers_through_the_accumulator(client: openai.OpenAI) -> None:
    """The SDK's own helper assembles the choices from one stream."""
    with client.chat.completions.stream(
        model=ECHO,
        messages=[{"role": "user", "content": "granite, chalk and slate"}],
        n=COUNT,
        stream_options={"include_usage": True},
    ) as events:
        answer = events.get_final_completion()
    assert sorted(choice.index for choice in answer.choices) == list(range(COUNT))
    for choice in answer.choices:
        assert choice.message.content == "granite, chalk and slate"
        assert choice.finish_reason == "stop"
    assert answer.usage.completion_tokens > 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_tool_calls_of_each(client: openai.OpenAI, rng: random.Random, stream: bool) -> None:
    known = tools(rng)
    asked = {
        "model": CLAUDE,
        "messages": [{"role": "user", "content": request_for(known)}],
        "tools": [tool.definition for tool in known],
        "n": 2,
    }
    if stream:
        with client.chat.completions.stream(**asked) as events:
            answer = events.get_final_completion()
    else:
        answer = client.chat.completions.create(**asked)
    assert len(answer.choices) == 2
    for choice in answer.choices:
        assert choice.finish_reason == "tool_calls"
        names = [call.function.name for call in choice.message.tool_calls]
        assert names == [tool.name for tool in known]


def test_too_many(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model=NOVA, messages=[{"role": "user", "content": "x"}], n=1000
        )
    assert refused.value.param == "n"
    assert refused.value.code == "integer_above_max_value"
