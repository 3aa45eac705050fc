"""Anthropic's own client for Bedrock, through /bedrock: text, streams, a tool loop, reasoning, errors."""

from __future__ import annotations

import random
from typing import Any

import anthropic
import pytest

from invented import request_for, tools, words
from outcrop_process import Outcrop
from page import set_up
from samples import CLAUDE

LIMIT = 4000


@pytest.fixture()
def client(gateway: Outcrop) -> anthropic.AnthropicBedrock:
    made: anthropic.AnthropicBedrock = set_up("anthropic-bedrock", gateway.url)["client"]
    return made.with_options(max_retries=0)


def texts(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_text_and_stream(client: anthropic.AnthropicBedrock, rng: random.Random) -> None:
    [name] = words(rng, 1)
    request: Any = {"model": CLAUDE, "max_tokens": LIMIT, "messages": [{"role": "user", "content": f"Who is {name}?"}]}
    whole = client.messages.create(**request)
    assert name in texts(whole) and whole.usage.output_tokens > 0
    with client.messages.stream(**request) as stream:
        parts = list(stream.text_stream)
    assert "".join(parts) == texts(whole) and len(parts) > 3


@pytest.mark.parametrize("reasoning", [False, True], ids=["plain", "reasoning"])
def test_two_tools_and_back(client: anthropic.AnthropicBedrock, rng: random.Random, reasoning: bool) -> None:
    wanted, results = tools(rng), words(rng, 2)
    request: Any = {
        "model": CLAUDE,
        "max_tokens": LIMIT,
        "tools": [{"name": tool.name, "description": "A tool.", "input_schema": tool.schema} for tool in wanted],
    }
    if reasoning:
        request["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    messages: list[Any] = [{"role": "user", "content": request_for(wanted)}]
    with client.messages.stream(messages=messages, **request) as stream:
        called = stream.get_final_message()
    uses = [block for block in called.content if block.type == "tool_use"]
    assert [(use.name, use.input) for use in uses] == [(tool.name, tool.arguments) for tool in wanted]
    assert any(block.type == "thinking" for block in called.content) == reasoning
    messages.append({"role": "assistant", "content": called.content})
    answers = zip(uses, results, strict=True)
    content = [{"type": "tool_result", "tool_use_id": use.id, "content": result} for use, result in answers]
    messages.append({"role": "user", "content": content})
    final = texts(client.messages.create(messages=messages, **request))
    assert all(result in final for result in results), final


def test_an_unknown_model_is_an_error_of_its_kind(client: anthropic.AnthropicBedrock) -> None:
    with pytest.raises(anthropic.APIStatusError):
        client.messages.create(model="no.such-model-v9:0", max_tokens=10, messages=[{"role": "user", "content": "x"}])
