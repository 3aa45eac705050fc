"""Custom tools, strict tools and the `.stream()` helper of the official Python client.

Every name and value is invented anew, so that the calls can only come from the user's own text.
"""

from __future__ import annotations

import json
import random
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from invented import request_for, tools, words
from samples import CLAUDE, NOVA

MODELS = [NOVA, CLAUDE]


def user(text: str) -> list[Any]:
    """A conversation of one user message."""
    return [{"role": "user", "content": text}]


def custom(name: str) -> dict[str, Any]:
    """A tool that accepts free text."""
    return {"type": "custom", "custom": {"name": name, "description": "Runs a command line."}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_a_custom_tool_is_called_with_text_and_answered(
    client: openai.OpenAI, rng: random.Random, model: str, stream: bool
) -> None:
    name, result = words(rng, 2)
    request: dict[str, Any] = {
        "model": model,
        "messages": user("Run whatever you like."),
        "tools": [custom(name)],
        "tool_choice": {"type": "custom", "custom": {"name": name}},
    }
    if stream:
        call, finish = summed(client, request)
    else:
        choice = client.chat.completions.create(**request).choices[0]
        assert choice.message.tool_calls
        [told] = choice.message.tool_calls
        call, finish = told.model_dump(exclude_none=True), choice.finish_reason
    assert finish == "tool_calls"
    assert call["type"] == "custom" and call["custom"]["name"] == name
    assert isinstance(call["custom"]["input"], str) and call["id"]
    request["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": result},
    ]
    request.pop("tool_choice")
    final = client.chat.completions.create(**request).choices[0]
    assert result in (final.message.content or "")


def summed(client: openai.OpenAI, request: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The one call of a stream, assembled from its pieces, and the stream's finish reason."""
    call: dict[str, Any] = {"custom": {"name": "", "input": ""}}
    finish = None
    with client.chat.completions.create(**request, stream=True) as chunks:
        for chunk in chunks:
            [choice] = chunk.choices
            finish = choice.finish_reason or finish
            for piece in choice.delta.tool_calls or []:
                told = piece.model_dump(exclude_none=True)
                assert told.pop("index") == 0
                made = told.pop("custom", {})
                assert "function" not in told
                assert not set(told) & set(call), "an id and a type come once"
                call.update(told)
                for key, text in made.items():
                    call["custom"][key] += text
    return call, finish


@pytest.mark.parametrize("model", MODELS)
def test_the_stream_helper_parses_strict_tools(
    client: openai.OpenAI, rng: random.Random, model: str
) -> None:
    name, colour = words(rng, 2)

    class Sample(BaseModel):
        colour: str

    tool: Any = openai.pydantic_function_tool(Sample, name=name)
    assert tool["function"]["strict"] is True
    events: list[Any] = []
    with client.chat.completions.stream(
        model=model, messages=user(f'Call `{name}` with colour "{colour}".'), tools=[tool]
    ) as stream:
        events.extend(stream)
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls
    [call] = final.choices[0].message.tool_calls
    assert call.function.parsed_arguments == Sample(colour=colour)
    [done] = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert done.name == name and done.parsed_arguments == Sample(colour=colour)
    pieces = [e.arguments_delta for e in events if e.type == "tool_calls.function.arguments.delta"]
    assert json.loads("".join(pieces)) == {"colour": colour}


@pytest.mark.parametrize("model", MODELS)
def test_strict_tools_are_called_as_others(
    client: openai.OpenAI, rng: random.Random, model: str
) -> None:
    wanted = tools(rng)
    definitions = [tool.definition for tool in wanted]
    for definition in definitions:
        definition["function"]["strict"] = True
    for stream in (False, True):
        request: dict[str, Any] = {
            "model": model, "messages": user(request_for(wanted)), "tools": definitions,
        }
        if stream:
            with client.chat.completions.stream(**request) as events:
                message = events.get_final_completion().choices[0].message
        else:
            message = client.chat.completions.create(**request).choices[0].message
        calls = [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or []]
        assert calls == [(tool.name, tool.arguments) for tool in wanted]


@pytest.mark.parametrize("model", MODELS)
def test_the_stream_helper_emits_its_events_in_order(
    client: openai.OpenAI, rng: random.Random, model: str
) -> None:
    [word] = words(rng, 1)

    class Named(BaseModel):
        name: str

    with client.chat.completions.stream(
        model=model,
        messages=user(f'Describe the sample: name "{word}".'),
        response_format=Named,
        stream_options={"include_usage": True},
    ) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    kinds = [event.type for event in events if event.type != "chunk"]
    assert kinds[-1] == "content.done" and set(kinds[:-1]) == {"content.delta"}
    deltas = "".join(event.delta for event in events if event.type == "content.delta")
    assert json.loads(deltas) == {"name": word}
    assert final.choices[0].message.parsed == Named(name=word)
    assert final.usage is not None and final.usage.total_tokens > 0
