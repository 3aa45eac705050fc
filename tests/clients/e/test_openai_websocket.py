"""openai-python and openai-agents on Responses over a WebSocket: tools over turns, what is not stored, and errors."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from agents import Agent, Runner, function_tool, set_default_openai_responses_transport

from invented import request_for, tools, words
from outcrop_process import Outcrop
from page import set_up
from samples import CLAUDE, NOVA


def test_lines_of_the_page(gateway: Outcrop) -> None:
    event = set_up("openai-python-websocket", gateway.url)["event"]
    assert event.type == "response.completed" and event.response.output


@pytest.fixture()
def connection(gateway: Outcrop) -> Iterator[Any]:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="unused")
    with client.responses.connect() as opened:
        yield opened


def last(connection: Any, **request: Any) -> Any:
    """The last event of a response."""
    connection.response.create(**request)
    for event in connection:
        if event.type in {"response.completed", "response.failed", "error"}:
            return event
    raise AssertionError("the connection was closed")


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_tools_over_turns(connection: Any, rng: random.Random, model: str) -> None:
    """Every request sends its new items only, and no response is stored."""
    wanted, results = tools(rng), words(rng, 2)
    offered = [{"type": "function", **tool.definition["function"]} for tool in wanted]
    previous: dict[str, str] = {}
    for _ in range(2):
        items: list[Any] = [{"role": "user", "content": request_for(wanted)}]
        for _ in range(2):
            event = last(connection, model=model, store=False, tools=offered, input=items, **previous)
            assert event.type == "response.completed", event
            previous = {"previous_response_id": event.response.id}
            calls = [item for item in event.response.output if item.type == "function_call"]
            items = [
                {"type": "function_call_output", "call_id": call.call_id, "output": result}
                for call, result in zip(calls, results, strict=False)
            ]
        texts = [part.text for item in event.response.output if item.type == "message" for part in item.content]
        assert all(result in "".join(texts) for result in results), texts


def test_mistakes_are_events(connection: Any) -> None:
    event = last(connection, model=NOVA, input="x", previous_response_id="resp_missing")
    assert event.type == "error" and event.error.code == "previous_response_not_found" and event.status == 400
    assert last(connection, model=NOVA, input="x").type == "response.completed"


def test_agents_over_a_websocket(gateway: Outcrop, rng: random.Random) -> None:
    first, second, result = words(rng, 3)
    asked: list[str] = []

    @function_tool
    def find_rock(place: str) -> str:
        """Finds a rock."""
        asked.append(place)
        return result

    before = len(gateway.log())
    try:
        made: Agent = set_up("openai-agents-websocket", gateway.url)["agent"]
        agent = Agent(name="assistant", model=made.model, tools=[find_rock])
        run = Runner.run_sync(agent, f'Call find_rock with place "{first}".')
        assert asked == [first] and result in run.final_output
        more = {"role": "user", "content": f'Call find_rock with place "{second}".'}
        run = Runner.run_sync(agent, [*run.to_input_list(), more])
        assert asked == [first, second] and result in run.final_output
    finally:
        set_default_openai_responses_transport("http")
    assert gateway.log()[before:].count("] req_") >= 4
