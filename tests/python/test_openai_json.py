"""JSON answers with the official Python client: any object, or one that matches a schema."""

from __future__ import annotations

import json
import random
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field

from invented import words
from samples import CLAUDE, NOVA

MODELS = [NOVA, CLAUDE]


class Sample(BaseModel):
    """A rock in a collection; nesting, enums and lists are common in real schemas."""

    class Place(BaseModel):
        country: str
        depth: int = Field(description="metres below ground")

    name: str
    weight: int
    kind: Literal["igneous", "sedimentary", "metamorphic"]
    place: Place
    labels: list[str]


def ask(text: str) -> list[Any]:
    """A conversation of one user message."""
    return [{"role": "user", "content": text}]


def described(rng: random.Random) -> tuple[str, str, int]:
    """A sentence about a sample, and the name and weight it gives."""
    [name], weight = words(rng, 1), rng.randrange(100, 10_000)
    return f'Describe the sample: name "{name}", weight {weight}. Answer in JSON.', name, weight


@pytest.mark.parametrize("model", MODELS)
def test_json_object(client: openai.OpenAI, rng: random.Random, model: str) -> None:
    text, _, _ = described(rng)
    request: dict[str, Any] = {
        "model": model,
        "messages": ask(text),
        "response_format": {"type": "json_object"},
    }
    whole = client.chat.completions.create(**request).choices[0]
    assert whole.finish_reason == "stop" and whole.message.tool_calls is None
    assert isinstance(json.loads(whole.message.content or ""), dict)
    with client.chat.completions.create(stream=True, **request) as chunks:
        deltas = [chunk.choices[0].delta for chunk in chunks]
    assert not any(delta.tool_calls for delta in deltas)
    streamed = "".join(delta.content or "" for delta in deltas)
    assert json.loads(streamed) == json.loads(whole.message.content or "")


@pytest.mark.parametrize("model", MODELS)
def test_parse(client: openai.OpenAI, rng: random.Random, model: str) -> None:
    text, name, weight = described(rng)
    answer = client.chat.completions.parse(model=model, messages=ask(text), response_format=Sample)
    choice = answer.choices[0]
    assert choice.finish_reason == "stop" and choice.message.tool_calls is None
    assert choice.message.parsed is not None
    assert (choice.message.parsed.name, choice.message.parsed.weight) == (name, weight)


@pytest.mark.parametrize("model", MODELS)
def test_parse_streamed(client: openai.OpenAI, rng: random.Random, model: str) -> None:
    text, name, weight = described(rng)
    deltas = []
    with client.chat.completions.stream(
        model=model, messages=ask(text), response_format=Sample
    ) as stream:
        for event in stream:
            if event.type == "content.delta":
                deltas.append(event.delta)
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "stop" and not choice.message.tool_calls
    assert choice.message.parsed is not None
    assert (choice.message.parsed.name, choice.message.parsed.weight) == (name, weight)
    assert len(deltas) > 3, "the answer came in one piece"


@pytest.mark.parametrize("model", MODELS)
def test_schema_beside_tools(client: openai.OpenAI, rng: random.Random, model: str) -> None:
    """A tool may be called first; the final answer matches the schema."""
    text, name, weight = described(rng)
    [tool] = words(rng, 1)
    answer = client.chat.completions.parse(
        model=model,
        messages=ask(text),
        response_format=Sample,
        tools=[
            {
                "type": "function",
                "function": {
                    "name": tool,
                    "strict": True,
                    "parameters": {
                        "type": "object",
                        "properties": {},
                        "required": [],
                        "additionalProperties": False,
                    },
                },
            }
        ],
    )
    parsed = answer.choices[0].message.parsed
    assert parsed is not None and (parsed.name, parsed.weight) == (name, weight)


def test_a_schema_without_an_object_is_refused_or_answered(client: openai.OpenAI) -> None:
    """A client's mistake never causes a 5xx."""
    try:
        answer = client.chat.completions.create(
            model=CLAUDE,
            messages=ask("Answer in JSON."),
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "list", "schema": {"type": "array", "items": {"type": "string"}}},
            },
        )
    except openai.BadRequestError as refused:
        assert refused.param and refused.param.startswith("response_format")
    else:
        assert isinstance(json.loads(answer.choices[0].message.content or ""), list)
