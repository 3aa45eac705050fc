"""Responses with the official Python client: its own accumulator reads the streams, tools make the round trip
however a client brings an answer back, formats are parsed."""

from __future__ import annotations

import json
import time
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
        ({"background": True, "store": False}, "background", "unsupported_parameter"),
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


def test_a_conversation_is_compacted_and_goes_on(client: openai.OpenAI) -> None:
    history: Any = [
        {"role": "user", "content": "We launch on Tuesday."},
        {"role": "assistant", "content": "Noted."},
    ]
    compacted = client.responses.compact(model=NOVA, input=history, instructions="Be brief.")
    assert compacted.object == "response.compaction" and compacted.usage.total_tokens > 0
    assert [item.type for item in compacted.output] == ["message", "compaction"]
    sent: Any = [item.model_dump(exclude_none=True, warnings=False) for item in compacted.output]
    raw = client.responses.with_raw_response.create(
        model=NOVA, input=[*sent, {"role": "user", "content": "When do we launch?"}]
    )
    assert "x-outcrop-ignored" not in raw.headers and raw.parse().status == "completed"


def test_conversations_are_kept(client: openai.OpenAI) -> None:
    begun: Any = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "noted"}]
    made = client.conversations.create(metadata={"topic": "rocks"}, items=begun)
    assert made.object == "conversation" and made.metadata == {"topic": "rocks"}
    answer = client.responses.create(model=ECHO, input="two", conversation=made.id)
    assert answer.conversation and answer.conversation.id == made.id
    with client.responses.stream(model=ECHO, input="three", conversation=made.id) as events:
        for _ in events:
            pass
        assert events.get_final_response().output_text == "three"
    items = list(client.conversations.items.list(made.id, order="asc", limit=2))
    texts = [item.content[0].text for item in items if item.type == "message"]  # type: ignore[union-attr]
    assert texts == ["one", "noted", "two", "two", "three", "three"]
    added = client.conversations.items.create(
        made.id, items=[{"type": "message", "role": "user", "content": "four"}]
    )
    [new] = added.data
    assert new.type == "message" and new.id
    assert client.conversations.items.retrieve(new.id, conversation_id=made.id) == new
    assert client.conversations.items.delete(new.id, conversation_id=made.id).id == made.id
    changed = client.conversations.update(made.id, metadata={"topic": "gneiss"})
    assert changed.metadata == {"topic": "gneiss"} == client.conversations.retrieve(made.id).metadata
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=ECHO, input="x", conversation=made.id)


def test_a_response_is_made_in_the_background(client: openai.OpenAI) -> None:
    begun = client.responses.create(model=ECHO, input="granite", background=True)
    assert begun.background and begun.status == "queued" and not begun.output
    while (made := client.responses.retrieve(begun.id)).status in ("queued", "in_progress"):
        time.sleep(0.05)
    assert (made.status, made.output_text) == ("completed", "granite")
    assert client.responses.cancel(begun.id) == made


def test_a_background_stream_is_followed_again(client: openai.OpenAI) -> None:
    words = " ".join(f"w{number}" for number in range(40))
    first = client.responses.create(model=ECHO, input=words, background=True, stream=True)
    seen = [next(first) for _ in range(5)]
    first.close()
    created = seen[0]
    assert created.type == "response.created"
    rest = client.responses.retrieve(
        created.response.id, stream=True, starting_after=seen[-1].sequence_number
    )
    events = [*seen, *rest]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = events[-1]
    assert final.type == "response.completed" and final.response.output_text == words
    again = list(client.responses.retrieve(created.response.id, stream=True))
    assert again == events


def test_a_background_response_is_cancelled(client: openai.OpenAI) -> None:
    words = " ".join(f"w{number}" for number in range(20_000))
    stream = client.responses.create(model=ECHO, input=words, background=True, stream=True)
    created = next(stream)
    assert created.type == "response.created"
    cancelled = client.responses.cancel(created.response.id)
    assert cancelled.status == "cancelled" and cancelled.background
    last = list(stream)[-1]
    assert last.type == "response.incomplete" and last.response.status == "cancelled"
    assert client.responses.retrieve(created.response.id).status == "cancelled"
