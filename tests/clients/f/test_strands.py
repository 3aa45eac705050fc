"""strands: chat completions and Bedrock's own API, with tools over turns and typed answers."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pydantic import BaseModel
from strands import Agent, tool

from aws_environment import DUMMY_KEYS, pointed_at
from invented import words
from outcrop_process import Outcrop
from page import set_up


class Rock(BaseModel):
    """A rock with its name and its weight in grams."""

    name: str
    weight: int


@pytest.fixture(params=["strands", "strands-bedrock"])
def model(request: pytest.FixtureRequest, gateway: Outcrop, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The model of the page's block; Bedrock's is pointed here by the environment alone."""
    for name, value in {**pointed_at(gateway.url), **DUMMY_KEYS}.items():
        monkeypatch.setenv(name, value)
    return set_up(request.param, gateway.url)["model"]


def test_text(model: Any, rng: random.Random) -> None:
    [name] = words(rng, 1)
    assert name in str(Agent(model, callback_handler=None)(f"Who is {name}?"))


def test_tools_over_turns(model: Any, rng: random.Random) -> None:
    first, second, result = words(rng, 3)
    asked: list[str] = []

    @tool
    def find_rock(place: str) -> str:
        """Finds a rock."""
        asked.append(place)
        return result

    agent = Agent(model, tools=[find_rock], callback_handler=None)
    for place in (first, second):
        assert result in str(agent(f'Call find_rock with place "{place}".'))
    assert asked == [first, second]


def test_typed_answer(model: Any, rng: random.Random) -> None:
    [name], weight = words(rng, 1), rng.randrange(100, 10_000)
    agent = Agent(model, callback_handler=None, structured_output_model=Rock)
    answer = agent(f'The rock: name "{name}", weight {weight}.')
    assert answer.structured_output == Rock(name=name, weight=weight)
