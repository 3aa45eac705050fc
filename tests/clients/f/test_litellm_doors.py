"""LiteLLM as a client of each API: chat completions, Responses and Messages, with tools over turns."""

from __future__ import annotations

import json
import random
from typing import Any

import litellm
import pytest

from invented import request_for, tools, words
from outcrop_process import Outcrop
from page import set_up


def completion(messages: list[Any], stream: bool, settings: dict[str, Any]) -> Any:
    answer = litellm.completion(messages=messages, stream=stream, **settings)
    if stream:
        answer = litellm.stream_chunk_builder(list(answer), messages=messages)
    return answer.choices[0].message


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("block", ["litellm", "litellm-anthropic"])
def test_two_tools_and_another_turn(gateway: Outcrop, rng: random.Random, block: str, stream: bool) -> None:
    wanted, results = tools(rng, joints="_"), words(rng, 2)
    settings = set_up(block, gateway.url)["settings"] | {"tools": [tool.definition for tool in wanted]}
    messages: list[Any] = []
    for _ in range(2):
        messages.append({"role": "user", "content": request_for(wanted)})
        called = completion(messages, stream, settings)
        assert [(call.function.name, json.loads(call.function.arguments)) for call in called.tool_calls] == [
            (tool.name, tool.arguments) for tool in wanted
        ]
        messages.append(called.model_dump(exclude_none=True))
        messages += [
            {"role": "tool", "tool_call_id": call.id, "name": tool.name, "content": result}
            for call, tool, result in zip(called.tool_calls, wanted, results, strict=True)
        ]
        final = completion(messages, stream, settings)
        assert all(result in final.content for result in results), final.content
        messages.append(final.model_dump(exclude_none=True))


def said(response: Any) -> str:
    parts = [part for item in response.output if item.type == "message" for part in item.content]
    return "".join(part.text for part in parts)


def respond(stream: bool, **request: Any) -> Any:
    answer = litellm.responses(stream=stream, **request)
    if not stream:
        return answer
    events = list(answer)
    assert len(events) > 3 and events[-1].type == "response.completed"
    return events[-1].response


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_tools_over_turns_of_responses(gateway: Outcrop, rng: random.Random, stream: bool) -> None:
    wanted, results = tools(rng, joints="_"), words(rng, 2)
    settings = set_up("litellm", gateway.url)["settings"]
    settings["tools"] = [{"type": "function", **tool.definition["function"]} for tool in wanted]
    history: list[Any] = []
    for _ in range(2):
        history.append({"role": "user", "content": request_for(wanted)})
        called = respond(stream, input=history, **settings)
        calls = [item for item in called.output if item.type == "function_call"]
        assert [(call.name, json.loads(call.arguments)) for call in calls] == [
            (tool.name, tool.arguments) for tool in wanted
        ]
        history += [item.model_dump(exclude_none=True) for item in called.output]
        history += [
            {"type": "function_call_output", "call_id": call.call_id, "output": result}
            for call, result in zip(calls, results, strict=True)
        ]
        final = respond(stream, input=history, **settings)
        assert all(result in said(final) for result in results), said(final)
        history += [item.model_dump(exclude_none=True) for item in final.output]


def test_errors_are_litellms_own(gateway: Outcrop) -> None:
    for block, unknown in [("litellm", "openai/no.such-model-v9:0"), ("litellm-anthropic", "anthropic/no.such-model")]:
        settings = set_up(block, gateway.url)["settings"] | {"model": unknown, "max_retries": 0}
        with pytest.raises(litellm.NotFoundError):
            litellm.completion(messages=[{"role": "user", "content": "Hi."}], **settings)
