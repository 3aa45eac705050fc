"""smolagents: text, streams, and a tool-calling agent's first step."""

from __future__ import annotations

import random
from typing import Any

from smolagents import ToolCallingAgent, tool

from invented import words
from outcrop_process import Outcrop
from page import set_up


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": text}]}]


def test_text_and_stream(gateway: Outcrop, rng: random.Random) -> None:
    [name] = words(rng, 1)
    model = set_up("smolagents", gateway.url)["model"]
    assert name in model(said(f"Who is {name}?")).content
    parts = [part.content or "" for part in model.generate_stream(said(f"Who is {name}?"))]
    assert name in "".join(parts) and len(parts) > 3


def test_a_tool_is_called(gateway: Outcrop, rng: random.Random) -> None:
    place, result = words(rng, 2)
    asked: list[str] = []

    @tool
    def find_rock(place: str) -> str:
        """Finds a rock.

        Args:
            place: where to look
        """
        asked.append(place)
        return result

    model = set_up("smolagents", gateway.url)["model"]
    agent = ToolCallingAgent([find_rock], model, max_steps=2, verbosity_level=0)
    agent.run(f'Call find_rock with place "{place}".')
    assert asked, "the tool was not called"
