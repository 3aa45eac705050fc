"""LangChain by the blocks of its page: tools over turns, and reasoning."""

from __future__ import annotations

import random
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from invented import request_for, tools, words
from outcrop_process import Outcrop
from page import set_up
from samples import CLAUDE

BLOCKS = ["langchain", "langchain-responses", "langchain-responses-stored", "langchain-anthropic"]


def ask(model: Any, messages: list[Any], stream: bool) -> AIMessage:
    if not stream:
        return model.invoke(messages)
    total: AIMessageChunk | None = None
    for chunk in model.stream(messages):
        total = chunk if total is None else total + chunk
    assert total is not None
    return total


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("block", BLOCKS)
def test_two_tools_and_another_turn(gateway: Outcrop, rng: random.Random, block: str, stream: bool) -> None:
    wanted, results = tools(rng, joints="_"), words(rng, 2)
    model = set_up(block, gateway.url)["model"].bind_tools([tool.definition for tool in wanted])
    messages: list[Any] = []
    for _ in range(2):
        messages.append(HumanMessage(request_for(wanted)))
        called = ask(model, messages, stream)
        assert [(call["name"], call["args"]) for call in called.tool_calls] == [
            (tool.name, tool.arguments) for tool in wanted
        ]
        answers = zip(called.tool_calls, results, strict=True)
        messages += [called, *(ToolMessage(result, tool_call_id=call["id"]) for call, result in answers)]
        final = ask(model, messages, stream)
        assert all(result in final.text for result in results), final.text
        messages.append(final)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_reasoning_goes_with_its_calls(gateway: Outcrop, rng: random.Random, stream: bool) -> None:
    wanted, results = tools(rng, joints="_"), words(rng, 2)
    model = ChatOpenAI(
        model=CLAUDE,
        base_url=f"{gateway.url}/v1",
        api_key="any",
        use_responses_api=True,
        reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content"],
        store=False,
        max_retries=0,
    ).bind_tools([tool.definition for tool in wanted])
    messages: list[Any] = [HumanMessage(request_for(wanted))]
    called = ask(model, messages, stream)
    assert any(block["type"] == "reasoning" for block in called.content_blocks), called
    answers = zip(called.tool_calls, results, strict=True)
    messages += [called, *(ToolMessage(result, tool_call_id=call["id"]) for call, result in answers)]
    final = ask(model, messages, stream)
    assert all(result in final.text for result in results), final.text


def test_embeddings(gateway: Outcrop, rng: random.Random) -> None:
    embeddings = set_up("langchain", gateway.url)["embeddings"]
    first, second = words(rng, 2)
    assert embeddings.embed_query(first) != embeddings.embed_query(second)
