"""Answers for schemas that no grammar accepts unchanged, with the official Python client."""

from __future__ import annotations

import json
import random
from typing import Any, Optional, Union

import openai
import pytest
from pydantic import BaseModel, Field

from invented import words
from samples import CLAUDE, NOVA

MODELS = [NOVA, CLAUDE]
WORD = "x-outcrop-structured-output"


class Layer(BaseModel):
    """A recursive type, which a grammar cannot express."""

    name: str
    below: Optional[Layer] = None


class Core(BaseModel):
    """Bounds, patterns, unions, optional members and a map by a list of pairs."""

    class Metal(BaseModel):
        symbol: str = Field(pattern="^[A-Z][a-z]?$")

    class Stone(BaseModel):
        hardness: int

    name: str = Field(min_length=1)
    weight: int = Field(ge=1, lt=100_000)
    share: float = Field(gt=0, le=1)
    labels: list[str] = Field(min_length=1, max_length=8)
    holds: Union[Metal, Stone]
    note: Optional[str] = None


def ask(text: str) -> list[Any]:
    """A conversation of one user message."""
    return [{"role": "user", "content": text}]


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema as instructor and others send it: not strict, directly from pydantic."""
    return {
        "type": "json_schema",
        "json_schema": {"name": model.__name__, "schema": model.model_json_schema()},
    }


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", [Core, Layer])
def test_the_validity_header_agrees_with_pydantic(
    client: openai.OpenAI, rng: random.Random, model: str, kind: type[BaseModel]
) -> None:
    """The header agrees with pydantic about an answer."""
    [name] = words(rng, 1)
    text = f'Describe the core: name "{name}", weight {rng.randrange(1, 1000)}, symbol "Au".'
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=ask(text), response_format=schema_of(kind)
    )
    content = raw.parse().choices[0].message.content or ""
    json.loads(content)
    assert raw.headers[WORD] in ("valid", "mismatch")
    if raw.headers[WORD] == "valid":
        kind.model_validate_json(content)
    else:
        with pytest.raises(ValueError):
            kind.model_validate_json(content)


@pytest.mark.parametrize("model", MODELS)
def test_parse_of_a_recursive_type(
    client: openai.OpenAI, rng: random.Random, model: str
) -> None:
    [name] = words(rng, 1)
    answer = client.chat.completions.parse(
        model=model, messages=ask(f'The layer has the name "{name}".'), response_format=Layer
    )
    parsed = answer.choices[0].message.parsed
    assert parsed is not None and parsed.name == name


@pytest.mark.parametrize("model", MODELS)
def test_the_client_raises_on_a_cut_answer(client: openai.OpenAI, model: str) -> None:
    """The gateway does not validate a partial answer, and `.parse()` raises the same error as with
    OpenAI."""
    request: dict[str, Any] = {
        "model": model,
        "messages": ask("Describe a core in many words."),
        "response_format": Core,
        "max_tokens": 2,
    }
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(**request)
    request["response_format"] = schema_of(Core)
    raw = client.chat.completions.with_raw_response.create(**request)
    assert raw.parse().choices[0].finish_reason == "length"
    assert WORD not in raw.headers
