"""Tool calls with the official Python client: requested, streamed, answered, forced and forbidden.

Every name and value is invented anew, so that the calls can only come from the user's own text.
"""

from __future__ import annotations

import json
import random
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessage
from pydantic import BaseModel

from invented import InventedTool, request_for, tools, words
from samples import CLAUDE, NOVA

MODELS = [NOVA, CLAUDE]


def ask(text: str) -> list[Any]:
    """A conversation of one user message."""
    return [{"role": "user", "content": text}]


def streamed(
    client: openai.OpenAI, **request: Any
) -> tuple[ChatCompletionMessage, str | None, list[ChatCompletionChunk]]:
    """The message that the SDK's own accumulator makes of a stream, with its chunks."""
    chunks = []
    with client.chat.completions.stream(**request) as stream:
        for event in stream:
            if event.type == "chunk":
                chunks.append(event.chunk)
        choice = stream.get_final_completion().choices[0]
    return choice.message, choice.finish_reason, chunks


def said(client: openai.OpenAI, *, stream: bool, **request: Any) -> tuple[ChatCompletionMessage, str | None]:
    """The answer, complete or accumulated from a stream."""
    if stream:
        message, finish, chunks = streamed(client, **request)
        assert_one_identity_per_call(chunks)
        return message, finish
    choice = client.chat.completions.create(**request).choices[0]
    return choice.message, choice.finish_reason


def assert_one_identity_per_call(chunks: list[ChatCompletionChunk]) -> None:
    """Indexes count from 0 without gaps; id, type and name come with the first delta only."""
    seen: list[int] = []
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            assert call.function is not None
            first = call.index not in seen
            assert (call.id is not None) is first and (call.type is not None) is first
            assert (call.function.name is not None) is first
            if first:
                assert call.index == len(seen), f"index {call.index} after {seen}"
                seen.append(call.index)
            else:
                assert call.index == seen[-1], "two calls are mixed"


def calls_of(message: ChatCompletionMessage) -> list[tuple[str, Any]]:
    return [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]


def results_for(message: ChatCompletionMessage, results: list[str]) -> list[Any]:
    """The tool messages that answer a message's calls, in the order of the calls."""
    assert message.tool_calls is not None
    return [
        {"role": "tool", "tool_call_id": call.id, "content": result}
        for call, result in zip(message.tool_calls, results, strict=True)
    ]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", MODELS)
def test_two_calls_and_back(
    client: openai.OpenAI, rng: random.Random, model: str, stream: bool
) -> None:
    """A complete round: two calls at once, results out of order, and an answer with both."""
    wanted, results = tools(rng), words(rng, 2)
    request: dict[str, Any] = {"model": model, "tools": [tool.definition for tool in wanted]}
    messages = ask(request_for(wanted))
    message, finish = said(client, stream=stream, messages=messages, **request)
    assert finish == "tool_calls"
    assert calls_of(message) == [(tool.name, tool.arguments) for tool in wanted], messages
    assert message.tool_calls is not None
    assert len({call.id for call in message.tool_calls}) == 2
    messages += [message.model_dump(exclude_none=True), *reversed(results_for(message, results))]
    final, finish = said(client, stream=stream, messages=messages, **request)
    assert finish == "stop" and final.tool_calls is None
    for result in results:
        assert result in (final.content or ""), f"{result} is not in {final.content!r}"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_one_tool_twice(client: openai.OpenAI, rng: random.Random, stream: bool) -> None:
    [tool], values = tools(rng, 1), words(rng, 2)
    name = next(iter(tool.arguments))
    wanted = [InventedTool(tool.name, {name: value}) for value in values]
    message, finish = said(
        client,
        stream=stream,
        model=CLAUDE,
        messages=ask(request_for(wanted)),
        tools=[wanted[0].definition],
    )
    assert finish == "tool_calls"
    assert calls_of(message) == [(tool.name, one.arguments) for one in wanted]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", MODELS)
def test_forced_tool(client: openai.OpenAI, rng: random.Random, model: str, stream: bool) -> None:
    """The named tool is called although the text requests the other one."""
    other, forced = tools(rng)
    value = next(iter(forced.arguments.values()))
    message, finish = said(
        client,
        stream=stream,
        model=model,
        messages=ask(f'What do you make of "{value}"? Do not {other.asked}.'),
        tools=[other.definition, forced.definition],
        tool_choice={"type": "function", "function": {"name": forced.name}},
    )
    [(name, arguments)] = calls_of(message)
    assert name == forced.name and finish == "tool_calls"
    assert {key: type(v) for key, v in arguments.items()} == {
        key: type(v) for key, v in forced.arguments.items()
    }


@pytest.mark.parametrize("model", MODELS)
def test_required_and_none(client: openai.OpenAI, rng: random.Random, model: str) -> None:
    [tool] = tools(rng, 1)
    request: dict[str, Any] = {"model": model, "tools": [tool.definition]}
    hello = client.chat.completions.create(messages=ask("Good morning."), **request).choices[0]
    assert hello.message.tool_calls is None and hello.finish_reason == "stop"
    must = client.chat.completions.create(
        messages=ask("Good morning."), tool_choice="required", **request
    ).choices[0]
    assert [name for name, _ in calls_of(must.message)] == [tool.name]
    assert must.finish_reason == "tool_calls"
    for stream in (False, True):
        must_not, finish = said(
            client, stream=stream, messages=ask(request_for([tool])), tool_choice="none", **request
        )
        assert must_not.tool_calls is None and finish == "stop" and must_not.content


@pytest.mark.parametrize("model", MODELS)
def test_history_with_calls_but_no_tools(
    client: openai.OpenAI, rng: random.Random, model: str
) -> None:
    """Bedrock requires the tools of past calls to be declared; OpenAI's clients drop them after use."""
    [tool], [result] = tools(rng, 1), words(rng, 1)
    call = {
        "id": "call_of_some_other_vendor:0/" + "x" * 60,
        "type": "function",
        "function": {"name": tool.name, "arguments": json.dumps(tool.arguments)},
    }
    answer = client.chat.completions.create(
        model=model,
        messages=[
            *ask(request_for([tool])),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": result},
        ],
    ).choices[0]
    assert answer.finish_reason == "stop" and answer.message.tool_calls is None
    assert result in (answer.message.content or "")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", MODELS)
def test_no_arguments(client: openai.OpenAI, rng: random.Random, model: str, stream: bool) -> None:
    """A tool without parameters is called with an empty object, never with an empty string."""
    bare, empty = words(rng, 2)
    message, finish = said(
        client,
        stream=stream,
        model=model,
        messages=ask(f"Call `{bare}` and call `{empty}`."),
        tools=[
            {"type": "function", "function": {"name": bare}},
            {"type": "function", "function": {"name": empty, "parameters": {"type": "object", "properties": {}}}},
        ],
    )
    assert finish == "tool_calls" and message.tool_calls is not None
    assert [(call.function.name, call.function.arguments) for call in message.tool_calls] == [
        (bare, "{}"),
        (empty, "{}"),
    ]


def test_one_call_at_a_time(client: openai.OpenAI, rng: random.Random) -> None:
    """Honoured, or named as ignored."""
    wanted = tools(rng)
    raw = client.chat.completions.with_raw_response.create(
        model=CLAUDE,
        messages=ask(request_for(wanted)),
        tools=[tool.definition for tool in wanted],
        parallel_tool_calls=False,
    )
    calls = calls_of(raw.parse().choices[0].message)
    assert calls[0] == (wanted[0].name, wanted[0].arguments)
    ignored = "parallel_tool_calls" in raw.headers.get("x-outcrop-ignored", "")
    assert (len(calls) == 1) is not ignored


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_names_that_bedrock_refuses(client: openai.OpenAI, rng: random.Random, stream: bool) -> None:
    """The client sees its own name, in answers and in the next round."""
    [base], [result] = tools(rng, 1), words(rng, 1)
    tool = InventedTool(f"{base.name}.with/odd:signs-{'x' * 70}", base.arguments)
    value = next(iter(tool.arguments.values()))
    request: dict[str, Any] = {"model": NOVA, "tools": [tool.definition]}
    messages = ask(f'What is "{value}"?')
    message, finish = said(
        client,
        stream=stream,
        messages=messages,
        tool_choice={"type": "function", "function": {"name": tool.name}},
        **request,
    )
    assert [name for name, _ in calls_of(message)] == [tool.name] and finish == "tool_calls"
    messages += [message.model_dump(exclude_none=True), *results_for(message, [result])]
    final, _ = said(client, stream=stream, messages=messages, **request)
    assert result in (final.content or "")


def test_parsed_tool_arguments(client: openai.OpenAI, rng: random.Random) -> None:
    """The SDK's helper for strict tools returns a pydantic object."""

    class BookTable(BaseModel):
        restaurant: str
        guests: int

    [restaurant], guests = words(rng, 1), rng.randrange(2, 60)
    answer = client.chat.completions.parse(
        model=CLAUDE,
        messages=ask(f'Book table at restaurant "{restaurant}", guests {guests}.'),
        tools=[openai.pydantic_function_tool(BookTable)],
    )
    calls = answer.choices[0].message.tool_calls
    assert calls is not None and len(calls) == 1
    assert calls[0].function.parsed_arguments == BookTable(restaurant=restaurant, guests=guests)
