"""Semantic Kernel, its agents of chat completions and of Responses: text, streams, and a plugin over the turns of a
thread."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from semantic_kernel.agents import ChatCompletionAgent, OpenAIResponsesAgent
from semantic_kernel.functions import kernel_function

from invented import words
from outcrop_process import Outcrop
from page import set_up


class Rocks:
    """A plugin that remembers the places it was asked about."""

    def __init__(self, result: str) -> None:
        self.result = result
        self.asked: list[str] = []

    @kernel_function(description="Finds a rock")
    def find_rock(self, place: str) -> str:
        self.asked.append(place)
        return self.result


def made(kind: str, url: str, **more: Any) -> Any:
    """An agent by the lines of its block."""
    block = set_up(kind, url)
    if kind == "semantic-kernel":
        return ChatCompletionAgent(service=block["service"], **more)
    agent = block["agent"]
    same = {"ai_model_id": agent.ai_model_id, "client": agent.client, "name": agent.name}
    return OpenAIResponsesAgent(**same, store_enabled=agent.store_enabled, **more)


KINDS = pytest.mark.parametrize("kind", ["semantic-kernel", "semantic-kernel-responses"])


@KINDS
def test_text_and_stream(gateway: Outcrop, rng: random.Random, kind: str) -> None:
    [name] = words(rng, 1)
    agent = made(kind, gateway.url, instructions="Be brief.")

    async def both() -> tuple[str, list[str]]:
        whole = await agent.get_response(f"Who is {name}?")
        return str(whole), [str(part.content) async for part in agent.invoke_stream(f"Who is {name}?")]

    whole, parts = asyncio.run(both())
    assert name in whole and name in "".join(parts) and len(parts) > 3


@KINDS
def test_plugin_over_turns(gateway: Outcrop, rng: random.Random, kind: str) -> None:
    first, second, result = words(rng, 3)
    rocks = Rocks(result)
    agent = made(kind, gateway.url, plugins=[rocks])

    async def turns() -> list[str]:
        one = await agent.get_response(f'Call Rocks-find_rock with place "{first}".')
        two = await agent.get_response(f'Call Rocks-find_rock with place "{second}".', thread=one.thread)
        return [str(one), str(two)]

    assert all(result in said for said in asyncio.run(turns()))
    assert rocks.asked == [first, second]
