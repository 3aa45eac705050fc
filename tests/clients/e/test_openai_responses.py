"""openai-python on the Responses API: text, streams, tools over turns, reasoning, typed answers, counted tokens."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from invented import request_for, tools, words
from outcrop_process import Outcrop
from page import set_up
from samples import CLAUDE, NOVA, PNG_URL

MODELS = pytest.mark.parametrize("model", [NOVA, CLAUDE])


class Rock(BaseModel):
    """A rock with its name and its weight in grams."""

    name: str
    weight: int


@pytest.fixture()
def client(gateway: Outcrop) -> openai.OpenAI:
    made: openai.OpenAI = set_up("openai-python", gateway.url)["client"]
    return made.with_options(max_retries=0)


def offered(wanted: list[Any]) -> list[Any]:
    return [{"type": "function", **tool.definition["function"]} for tool in wanted]


def calls_of(response: Any) -> list[Any]:
    return [item for item in response.output if item.type == "function_call"]


def answered(calls: list[Any], results: list[str]) -> list[Any]:
    return [
        {"type": "function_call_output", "call_id": call.call_id, "output": result}
        for call, result in zip(calls, results, strict=True)
    ]


@MODELS
def test_text_and_stream(client: openai.OpenAI, rng: random.Random, model: str) -> None:
    [name] = words(rng, 1)
    request: Any = {"model": model, "instructions": "Be brief.", "input": f"Who is {name}?"}
    whole = client.responses.create(**request)
    assert name in whole.output_text and whole.status == "completed"
    assert whole.usage and whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens
    with client.responses.stream(**request) as stream:
        parts = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(parts) == final.output_text == whole.output_text and len(parts) > 3
    plain = [event.type for event in client.responses.create(stream=True, **request)]
    assert plain[0] == "response.created" and plain[-1] == "response.completed"


@MODELS
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kept", ["items", "references"])
def test_two_tools_and_another_turn(
    client: openai.OpenAI, rng: random.Random, model: str, stream: bool, kept: str
) -> None:
    """Past items come back whole, or as references to those that the gateway remembers."""
    wanted, results = tools(rng), words(rng, 2)
    history: list[Any] = []

    def ask(items: list[Any]) -> Any:
        history.extend(items)
        request: Any = {"model": model, "tools": offered(wanted), "input": history, "store": kept == "references"}
        if stream:
            with client.responses.stream(**request) as running:
                response = running.get_final_response()
        else:
            response = client.responses.create(**request)
        if kept == "items":
            history.extend(response.output)
        else:
            history.extend({"type": "item_reference", "id": item.id} for item in response.output)
        return response

    for turn in range(2):
        called = ask([{"role": "user", "content": request_for(wanted)}])
        calls = calls_of(called)
        assert [(call.name, json.loads(call.arguments)) for call in calls] == [
            (tool.name, tool.arguments) for tool in wanted
        ], turn
        final = ask(answered(calls, results))
        assert all(result in final.output_text for result in results), final.output_text


def test_reasoning_goes_with_its_calls(client: openai.OpenAI, rng: random.Random) -> None:
    wanted, results = tools(rng), words(rng, 2)
    request: Any = {
        "model": CLAUDE,
        "tools": offered(wanted),
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "max_output_tokens": 8000,
    }
    history: list[Any] = [{"role": "user", "content": request_for(wanted)}]
    with client.responses.stream(input=history, **request) as stream:
        summary = [event for event in stream if event.type == "response.reasoning_summary_text.delta"]
        called = stream.get_final_response()
    thoughts = [item for item in called.output if item.type == "reasoning"]
    assert summary and thoughts and thoughts[0].encrypted_content and called.output[0].type == "reasoning"
    history += [*called.output, *answered(calls_of(called), results)]
    final = client.responses.create(input=history, **request)
    assert all(result in final.output_text for result in results), final.output_text


@MODELS
def test_typed_answers(client: openai.OpenAI, rng: random.Random, model: str) -> None:
    rock = Rock(name=words(rng, 1)[0], weight=rng.randrange(100, 10_000))
    asked = f'The rock: name "{rock.name}", weight {rock.weight}.'
    assert client.responses.parse(model=model, input=asked, text_format=Rock).output_parsed == rock
    with client.responses.stream(model=model, input=asked, text_format=Rock) as stream:
        assert stream.get_final_response().output_parsed == rock


def test_responses_are_stored_unless_forbidden(client: openai.OpenAI) -> None:
    kept = client.responses.create(model=NOVA, input="Hi")
    assert kept.to_dict()["store"] is True
    assert client.responses.retrieve(kept.id).output_text == kept.output_text
    made = client.responses.create(model=NOVA, input="Hi", store=False)
    assert made.to_dict()["store"] is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as unknown:
        client.responses.create(model=NOVA, input="And?", previous_response_id=made.id)
    assert unknown.value.code == "previous_response_not_found"


def test_tokens_are_counted(client: openai.OpenAI) -> None:
    few = client.responses.input_tokens.count(model=CLAUDE, input="Hi").input_tokens
    many = client.responses.input_tokens.count(model=CLAUDE, input="granite " * 200).input_tokens
    assert 0 < few < many


def test_an_image(client: openai.OpenAI) -> None:
    content: Any = [
        {"type": "input_text", "text": "What is in the picture?"},
        {"type": "input_image", "image_url": PNG_URL, "detail": "auto"},
    ]
    answer = client.responses.create(model=NOVA, input=[{"role": "user", "content": content}])
    assert "png" in answer.output_text.lower()


def test_asynchronous(gateway: Outcrop, rng: random.Random) -> None:
    names = words(rng, 4)

    async def all_at_once() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
            asked = (client.responses.create(model=NOVA, input=f"Who is {name}?") for name in names)
            return [response.output_text for response in await asyncio.gather(*asked)]

    for name, text in zip(names, asyncio.run(all_at_once()), strict=True):
        assert name in text


def test_errors_are_of_their_kind(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="no.such-model-v9:0", input="Hi")
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model="emulator.throttle", input="Hi")
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=NOVA, input="Hi", temperature=99)
    assert refused.value.param == "temperature"
