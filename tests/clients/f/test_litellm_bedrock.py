"""LiteLLM's `bedrock/` provider, with the gateway as its endpoint of the runtime."""

from __future__ import annotations

import random
from typing import Any

import litellm
import pytest

from aws_environment import DUMMY_KEYS
from invented import request_for, tools, words
from outcrop_process import Outcrop
from page import set_up


@pytest.fixture()
def settings(gateway: Outcrop, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments of the page's block."""
    for name, value in DUMMY_KEYS.items():
        monkeypatch.setenv(name, value)
    made: dict[str, Any] = set_up("litellm-bedrock", gateway.url)["settings"]
    return made


def test_text_and_stream(settings: dict[str, Any], rng: random.Random) -> None:
    [name] = words(rng, 1)
    messages = [{"role": "user", "content": f"Who is {name}?"}]
    assert name in litellm.completion(messages=messages, **settings).choices[0].message.content
    parts = [chunk.choices[0].delta.content or "" for chunk in litellm.completion(messages=messages, stream=True, **settings)]
    assert name in "".join(parts) and len(parts) > 3


def test_two_tools_and_back(settings: dict[str, Any], rng: random.Random) -> None:
    wanted, results = tools(rng, joints="_"), words(rng, 2)
    offered = [tool.definition for tool in wanted]
    messages: list[Any] = [{"role": "user", "content": request_for(wanted)}]
    answer = litellm.completion(messages=messages, tools=offered, **settings).choices[0].message
    assert [call.function.name for call in answer.tool_calls] == [tool.name for tool in wanted]
    messages.append(answer)
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": result}
        for call, result in zip(answer.tool_calls, results, strict=True)
    ]
    final = litellm.completion(messages=messages, tools=offered, **settings).choices[0].message.content
    assert all(result in final for result in results), final
