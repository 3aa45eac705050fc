"""Responses with the official Python client: its own accumulator reads the streams, tools make the round trip
however a client brings an answer back, formats are parsed."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from samples import CLAUDE, ECHO, NOVA

WEATHER: Any = [
    {
        "type": "function",
        "name": "weather",
        "description": "Reports the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
QUESTION: Any = [{"role": "user", "content": "The weather in Oslo, please."}]


class Rock(BaseModel):
    name: str
    hardness: int


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_a_stream_accumulates_to_the_whole_answer(client: openai.OpenAI, model: str) -> None:
    whole = client.responses.create(model=model, input="Granite is", instructions="Be brief.")
    assert whole.status == "completed" and whole.instructions == "Be brief."
    with client.responses.stream(model=model, input="Granite is", instructions="Be brief.") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed"
    assert final.output_text == whole.output_text != ""
    assert final.usage and whole.usage
    assert final.usage.total_tokens == whole.usage.total_tokens > 0
    assert final.usage.input_tokens_details.cached_tokens == 0


@pytest.mark.parametrize("brought_back", ["capsules", "as seen", "ids"])
def test_reasoning_and_calls_make_the_round_trip(client: openai.OpenAI, brought_back: str) -> None:
    options: Any = {"model": CLAUDE, "tools": WEATHER, "reasoning": {"effort": "low", "summary": "auto"}}
    if brought_back == "capsules":
        options |= {"include": ["reasoning.encrypted_content"], "store": False}
    with client.responses.stream(input=QUESTION, **options) as stream:
        for _ in stream:
            pass
        first = stream.get_final_response()
    assert [item.type for item in first.output][0] == "reasoning"
    history: Any = list(QUESTION)
    for item in first.output:
        sent = item.model_dump(exclude_none=True, exclude={"parsed_arguments"})
        if brought_back == "ids" and item.type != "function_call":
            sent = {"type": "item_reference", "id": item.id}
        history.append(sent)
    calls = [item for item in first.output if item.type == "function_call"]
    assert calls and json.loads(calls[0].arguments)
    history += [
        {"type": "function_call_output", "call_id": call.call_id, "output": "fair, plus 21"} for call in calls
    ]
    second = client.responses.create(input=history, **options)
    assert "fair, plus 21" in second.output_text


def test_a_format_is_parsed(client: openai.OpenAI) -> None:
    parsed = client.responses.parse(model=NOVA, input="A rock, please.", text_format=Rock)
    assert isinstance(parsed.output_parsed, Rock)
    with client.responses.stream(model=CLAUDE, input="A rock, please.", text_format=Rock) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_response().output_parsed, Rock)


def test_a_limit_makes_the_response_incomplete(client: openai.OpenAI) -> None:
    cut = client.responses.create(model=ECHO, input="word " * 50, max_output_tokens=16)
    assert cut.status == "incomplete"
    assert cut.incomplete_details and cut.incomplete_details.reason == "max_output_tokens"
    assert cut.output[0].type == "message" and cut.output[0].status == "incomplete"


def test_free_form_tools_take_text(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "custom", "name": "patch", "description": "Edits files"}]
    choice: Any = {"type": "custom", "name": "patch"}
    whole = client.responses.create(model=CLAUDE, input="Edit.", tools=tools, tool_choice=choice)
    with client.responses.create(
        model=CLAUDE, input="Edit.", tools=tools, tool_choice=choice, stream=True
    ) as events:
        pieces = [event.delta for event in events if event.type == "response.custom_tool_call_input.delta"]
    [call] = [item for item in whole.output if item.type == "custom_tool_call"]
    assert call.name == "patch" and call.input == "".join(pieces) and not call.input.startswith("{")


def test_refusals_name_their_field(client: openai.OpenAI) -> None:
    for options, param, code in [
        ({"previous_response_id": "resp_gone"}, "previous_response_id", "previous_response_not_found"),
        ({"background": True}, "background", "unsupported_parameter"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice", "unsupported_value"),
    ]:
        sent: Any = {"model": NOVA, "input": "x", **options}
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(**sent)
        assert (refused.value.param, refused.value.code) == (param, code)


def test_a_conversation_is_continued_and_its_responses_read(client: openai.OpenAI) -> None:
    first = client.responses.create(model=ECHO, input="one")
    with client.responses.stream(model=ECHO, input="two", previous_response_id=first.id) as events:
        for _ in events:
            pass
        second = events.get_final_response()
    assert second.output_text == "two" and second.previous_response_id == first.id
    assert client.responses.retrieve(second.id).output_text == "two"
    [item] = client.responses.input_items.list(second.id).data
    assert item.type == "message" and item.role == "user" and item.id
    assert item.content[0].type == "input_text" and item.content[0].text == "two"
    client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(second.id)


def test_input_tokens_are_counted(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model=NOVA, input="How old is granite?", tools=WEATHER)
    assert counted.object == "response.input_tokens" and counted.input_tokens > 10
