"""openai-agents in chat mode: text, streams, tools over turns, typed answers, handoffs."""

from __future__ import annotations

import random
from typing import Any

import pytest
from agents import Agent, Runner, function_tool
from pydantic import BaseModel

from invented import words
from outcrop_process import Outcrop
from page import set_up


class Rock(BaseModel):
    """A rock with its name and its weight in grams."""

    name: str
    weight: int


@pytest.fixture()
def made(gateway: Outcrop) -> Agent:
    """The agent of the page, after whose lines all agents of the process use the gateway."""
    agent: Agent = set_up("openai-agents", gateway.url)["agent"]
    return agent


def like(made: Agent, **more: Any) -> Agent:
    return Agent(name="assistant", model=made.model, **more)


def test_text(made: Agent, rng: random.Random) -> None:
    [name] = words(rng, 1)
    assert name in Runner.run_sync(made, f"Who is {name}?").final_output


async def streamed(agent: Agent, asked: str) -> tuple[int, str]:
    run = Runner.run_streamed(agent, asked)
    deltas = [event async for event in run.stream_events() if event.type == "raw_response_event"]
    return len(deltas), run.final_output


def test_stream(made: Agent, rng: random.Random) -> None:
    import asyncio

    [name] = words(rng, 1)
    count, text = asyncio.run(streamed(made, f"Who is {name}?"))
    assert name in text and count > 3


def test_tools_over_turns(made: Agent, rng: random.Random) -> None:
    first, second, result = words(rng, 3)
    asked: list[str] = []

    @function_tool
    def find_rock(place: str) -> str:
        """Finds a rock."""
        asked.append(place)
        return result

    agent = like(made, tools=[find_rock])
    run = Runner.run_sync(agent, f'Call find_rock with place "{first}".')
    assert asked == [first] and result in run.final_output
    more = {"role": "user", "content": f'Call find_rock with place "{second}".'}
    run = Runner.run_sync(agent, [*run.to_input_list(), more])
    assert asked == [first, second] and result in run.final_output


def test_typed_answer(made: Agent, rng: random.Random) -> None:
    [name], weight = words(rng, 1), rng.randrange(100, 10_000)
    run = Runner.run_sync(like(made, output_type=Rock), f'The rock: name "{name}", weight {weight}.')
    assert run.final_output == Rock(name=name, weight=weight)


def test_handoff(made: Agent, rng: random.Random) -> None:
    [name] = words(rng, 1)
    billing = Agent(name="Billing", model=made.model)
    run = Runner.run_sync(like(made, handoffs=[billing]), f"Use transfer_to_billing for {name}.")
    assert run.last_agent.name == "Billing" and run.final_output
