"""Reasoning with tools through the official Python client, which sends back OpenAI's own fields only.

The emulator behind the gateway refuses a tool turn whose signed reasoning is missing or altered.
"""

from __future__ import annotations

import random
from typing import Any

import openai
import pytest

from invented import InventedTool, request_for, tools
from outcrop_process import Outcrop
from samples import CLAUDE

ADAPTIVE = "us.anthropic.claude-opus-4-6-v1"
BOUND = "us.anthropic.claude-opus-5-5"


def asked(client: openai.OpenAI, *, stream: bool, **request: Any) -> tuple[Any, str | None]:
    """The message, complete or accumulated by the SDK, and the gateway's reasoning header."""
    if stream:
        with client.chat.completions.stream(**request) as events:
            said = events._response.headers.get("x-outcrop-thinking")
            return events.get_final_completion().choices[0].message, said
    raw = client.chat.completions.with_raw_response.create(**request)
    return raw.parse().choices[0].message, raw.headers.get("x-outcrop-thinking")


def plain(message: Any) -> dict[str, Any]:
    """The message with OpenAI's own fields only."""
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.function.name, "arguments": call.function.arguments},
        }
        for call in message.tool_calls or []
    ]
    return {"role": "assistant", "content": message.content} | ({"tool_calls": calls} if calls else {})


def results(message: Any) -> list[dict[str, Any]]:
    return [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in message.tool_calls]


def request(model: str, known: list[InventedTool], messages: list[Any]) -> dict[str, Any]:
    definitions = [tool.definition for tool in known]
    return {"model": model, "messages": messages, "tools": definitions, "reasoning_effort": "low"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", [CLAUDE, ADAPTIVE])
def test_plain_clients_keep_reasoning_over_tool_turns(
    client: openai.OpenAI, rng: random.Random, model: str, stream: bool
) -> None:
    """Three rounds of parallel calls: every answer has its reasoning, and none is lost."""
    known = tools(rng, 6)
    messages: list[Any] = []
    for wanted in (known[:2], known[2:4], known[4:]):
        messages.append({"role": "user", "content": request_for(wanted)})
        message, said = asked(client, stream=stream, **request(model, known, messages))
        assert [call.function.name for call in message.tool_calls] == [tool.name for tool in wanted]
        assert said is None
        [detail] = message.reasoning_details
        assert detail["type"] == "reasoning.text" and detail["signature"]
        assert detail["text"] == message.reasoning_content
        messages += [plain(message), *results(message)]
        message, said = asked(client, stream=stream, **request(model, known, messages))
        assert said is None, "the thoughts were not put back"
        assert message.reasoning_content and message.content
        messages.append(plain(message))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_reasoning_is_not_shared_between_callers(
    gateway: Outcrop, rng: random.Random, stream: bool
) -> None:
    """Another key with the same conversation finds no saved reasoning, and the header says so."""
    known = tools(rng)
    messages: list[Any] = [{"role": "user", "content": request_for(known)}]
    keys = ("ann", "bob", "ann")
    clients = [
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) for key in keys
    ]
    try:
        message, _ = asked(clients[0], stream=stream, **request(CLAUDE, known, messages))
        messages += [plain(message), *results(message)]
        for key, client in zip(keys[1:], clients[1:], strict=True):
            message, said = asked(client, stream=stream, **request(CLAUDE, known, messages))
            thought = getattr(message, "reasoning_content", None)
            assert (said, bool(thought)) == (("dropped", False) if key == "bob" else (None, True))
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", [CLAUDE, BOUND])
def test_reasoning_details_need_no_reasoning_store(
    gateway: Outcrop, rng: random.Random, model: str, stream: bool
) -> None:
    """Another key, for which no reasoning is saved, sends it back with its positions."""
    known = tools(rng)
    messages: list[Any] = [{"role": "user", "content": request_for(known)}]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="ann", max_retries=0) as ann:
        message, _ = asked(ann, stream=stream, **request(model, known, messages))
    details = message.reasoning_details
    assert all(detail["id"].startswith("outcrop.1.") for detail in details)
    messages += [plain(message) | {"reasoning_details": details}, *results(message)]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="bob", max_retries=0) as bob:
        message, said = asked(bob, stream=stream, **request(model, known, messages))
    assert said is None and message.content


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_after_a_changed_system_prompt_the_conversation_continues_without_reasoning(
    client: openai.OpenAI, rng: random.Random, stream: bool
) -> None:
    """The newest models refuse reasoning from before a changed system prompt; the gateway retries
    without it."""
    known = tools(rng)
    messages: list[Any] = [{"role": "system", "content": "Be brief."}]
    messages.append({"role": "user", "content": request_for(known)})
    message, said = asked(client, stream=stream, **request(BOUND, known, messages))
    assert said is None
    messages += [plain(message), *results(message)]
    messages[0] = {"role": "system", "content": "Be thorough."}
    message, said = asked(client, stream=stream, **request(BOUND, known, messages))
    assert said == "dropped" and message.content
