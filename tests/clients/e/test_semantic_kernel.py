"""Semantic Kernel: text, streams, and a plugin over the turns of a thread."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from semantic_kernel.agents import ChatCompletionAgent
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


def service(gateway: Outcrop) -> Any:
    return set_up("semantic-kernel", gateway.url)["service"]


def test_text_and_stream(gateway: Outcrop, rng: random.Random) -> None:
    [name] = words(rng, 1)
    agent = ChatCompletionAgent(service=service(gateway), instructions="Be brief.")

    async def both() -> tuple[str, list[str]]:
        whole = await agent.get_response(f"Who is {name}?")
        return str(whole), [str(part.content) async for part in agent.invoke_stream(f"Who is {name}?")]

    whole, parts = asyncio.run(both())
    assert name in whole and name in "".join(parts) and len(parts) > 3


def test_plugin_over_turns(gateway: Outcrop, rng: random.Random) -> None:
    first, second, result = words(rng, 3)
    rocks = Rocks(result)
    agent = ChatCompletionAgent(service=service(gateway), plugins=[rocks])

    async def turns() -> list[str]:
        one = await agent.get_response(f'Call Rocks-find_rock with place "{first}".')
        two = await agent.get_response(f'Call Rocks-find_rock with place "{second}".', thread=one.thread)
        return [str(one), str(two)]

    assert all(result in said for said in asyncio.run(turns()))
    assert rocks.asked == [first, second]
