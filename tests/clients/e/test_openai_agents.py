"""openai-agents on Responses and in chat mode: text, streams, tools over turns, typed answers, handoffs, reasoning."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from agents import Agent, ModelSettings, Runner, SQLiteSession, function_tool, set_default_openai_api
from openai.types.shared import Reasoning
from pydantic import BaseModel

from invented import words
from outcrop_process import Outcrop
from page import set_up
from samples import CLAUDE


class Rock(BaseModel):
    """A rock with its name and its weight in grams."""

    name: str
    weight: int


@pytest.fixture(params=["openai-agents", "openai-agents-chat"])
def made(request: pytest.FixtureRequest, gateway: Outcrop) -> Iterator[Agent]:
    """The agent of the page, after whose lines all agents of the process use the gateway."""
    agent: Agent = set_up(request.param, gateway.url)["agent"]
    yield agent
    set_default_openai_api("responses")


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


@pytest.fixture()
def responses(gateway: Outcrop) -> Agent:
    """The agent of the page that uses the Responses API."""
    agent: Agent = set_up("openai-agents", gateway.url)["agent"]
    return agent


def test_turns_of_a_session(responses: Agent, rng: random.Random) -> None:
    first, second, result = words(rng, 3)

    @function_tool
    def find_rock(place: str) -> str:
        """Finds a rock."""
        return f"{result} in {place}"

    agent = like(responses, tools=[find_rock])
    session = SQLiteSession(first)
    for place in (first, second):
        run = Runner.run_sync(agent, f'Call find_rock with place "{place}".', session=session)
        assert f"{result} in {place}" in run.final_output


def test_turns_that_continue_the_last_response(responses: Agent, gateway: Outcrop, rng: random.Random) -> None:
    """Every request after the first sends its new items only."""
    first, second, result = words(rng, 3)

    @function_tool
    def find_rock(place: str) -> str:
        """Finds a rock."""
        return f"{result} in {place}"

    agent, previous = like(responses, tools=[find_rock]), None
    for place in (first, second):
        run = Runner.run_sync(
            agent,
            f'Call find_rock with place "{place}".',
            previous_response_id=previous,
            auto_previous_response_id=True,
        )
        assert f"{result} in {place}" in run.final_output
        previous = run.last_response_id
    items = responses_of(gateway).input_items.list(str(previous)).data
    assert [item.type for item in items] == ["function_call_output"], items


def responses_of(gateway: Outcrop) -> Any:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="unused").responses


def test_reasoning_goes_with_its_calls(responses: Agent, rng: random.Random) -> None:
    place, result = words(rng, 2)

    @function_tool
    def find_rock(place: str) -> str:
        """Finds a rock."""
        return result

    settings = ModelSettings(
        reasoning=Reasoning(effort="low", summary="auto"),
        response_include=["reasoning.encrypted_content"],
        store=False,
    )
    agent = Agent(name="assistant", model=CLAUDE, tools=[find_rock], model_settings=settings)
    run = Runner.run_sync(agent, f'Call find_rock with place "{place}".')
    assert result in run.final_output
    assert any(item.type == "reasoning_item" for item in run.new_items)
