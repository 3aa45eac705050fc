"""Embeddings and the model list with the official Python client."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

import openai
import pytest

from invented import words
from outcrop_process import Outcrop
from samples import CLAUDE, NOVA

TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "cohere.embed-multilingual-v3"
MODELS = [TITAN, COHERE]
TEXT_MODELS = [
    "amazon.titan-embed-text-v1",
    TITAN,
    "amazon.titan-embed-image-v1",
    "cohere.embed-english-v3",
    COHERE,
    "us.cohere.embed-v4:0",
    "amazon.nova-2-multimodal-embeddings-v1:0",
    "us.twelvelabs.marengo-embed-3-0-v1:0",
]
LONG_LIST = 250


def floats(client: openai.OpenAI, model: str, texts: Any, **more: Any) -> list[list[float]]:
    """The vectors, requested as floats to avoid rounding."""
    answer = client.embeddings.create(model=model, input=texts, encoding_format="float", **more)
    assert answer.object == "list"
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    return [item.embedding for item in answer.data]


def close(one: list[float], other: list[float]) -> bool:
    return len(one) == len(other) and all(
        math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-7) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("model", TEXT_MODELS)
def test_every_family(client: openai.OpenAI, rng: random.Random, model: str) -> None:
    texts = words(rng, 3)
    answer = client.embeddings.create(model=model, input=texts)
    assert answer.model == model and answer.usage.prompt_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens
    vectors = [item.embedding for item in answer.data]
    assert len(vectors) == 3 and len({len(vector) for vector in vectors}) == 1
    assert all(math.hypot(*vector) == pytest.approx(1, abs=1e-3) for vector in vectors)
    assert not close(vectors[0], vectors[1])
    [alone] = floats(client, model, texts[1])
    assert close(alone, vectors[1])


@pytest.mark.parametrize("model", MODELS)
def test_base64_equals_float(client: openai.OpenAI, rng: random.Random, model: str) -> None:
    """The SDK requests base64 by default, and decodes it itself."""
    texts = words(rng, 4)
    raw = client.embeddings.with_raw_response.create(model=model, input=texts)
    assert '"embedding":"' in raw.text.replace(" ", ""), "the SDK's default was not base64"
    packed = [item.embedding for item in raw.parse().data]
    assert all(close(a, b) for a, b in zip(packed, floats(client, model, texts), strict=True))


@pytest.mark.parametrize("model", MODELS)
def test_a_long_list_keeps_its_order(
    client: openai.OpenAI, rng: random.Random, model: str
) -> None:
    """More texts than a service accepts per call: split, sent separately, and joined."""
    texts = words(rng, LONG_LIST)
    vectors = floats(client, model, texts)
    assert len(vectors) == LONG_LIST
    for n in [0, 1, 95, 96, 97, 191, 192, LONG_LIST - 1, *rng.sample(range(LONG_LIST), 8)]:
        [alone] = floats(client, model, texts[n])
        assert close(alone, vectors[n]), f"vector {n} of {model} belongs to another text"


@pytest.mark.parametrize("model", MODELS)
def test_token_ids_are_decoded_to_text(client: openai.OpenAI, model: str) -> None:
    """cl100k: 15339 is `hello`, 1917 is ` world`."""
    both = floats(client, model, [[15339, 1917], [15339]])
    plain = floats(client, model, ["hello world", "hello"])
    assert all(close(a, b) for a, b in zip(both, plain, strict=True))
    [flat] = floats(client, model, [15339, 1917])
    assert close(flat, plain[0])


def test_dimensions(client: openai.OpenAI, rng: random.Random) -> None:
    texts = words(rng, 2)
    for size in (256, 512):
        assert {len(v) for v in floats(client, TITAN, texts, dimensions=size)} == {size}


@pytest.mark.parametrize("model", MODELS)
def test_empty_input_is_refused_with_its_position(client: openai.OpenAI, model: str) -> None:
    for given, param in ((["a", "", "b"], "input[1]"), ([], "input"), ("", "input")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model=model, input=given)
        assert caught.value.type == "invalid_request_error"
        assert caught.value.param == param, given


def test_a_chat_model_does_not_embed(client: openai.OpenAI) -> None:
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as caught:
        client.embeddings.create(model=NOVA, input="x")
    assert caught.value.message


def test_asynchronous(gateway: Outcrop, rng: random.Random) -> None:
    texts = words(rng, 6)

    async def embed() -> list[list[float]]:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any") as client:
            answers = await asyncio.gather(
                *(client.embeddings.create(model=TITAN, input=text) for text in texts)
            )
            return [answer.data[0].embedding for answer in answers]

    vectors = asyncio.run(embed())
    assert len({tuple(vector) for vector in vectors}) == len(texts)


def test_models_list_and_retrieve(client: openai.OpenAI) -> None:
    models = list(client.models.list())
    ids = [model.id for model in models]
    assert len(ids) == len(set(ids)) > 10
    assert all(model.object == "model" and model.created >= 0 and model.owned_by for model in models)
    for wanted in (ids[0], ids[-1], TITAN, CLAUDE):
        assert client.models.retrieve(wanted).id == wanted
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no.such-model-v9:0")
    assert caught.value.code == "model_not_found"


def test_short_names(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="nova-lite", messages=[{"role": "user", "content": "Hello."}]
    )
    assert answer.choices[0].finish_reason == "stop" and answer.model == "nova-lite"
    for model in ("titan-embed-text-v2", "embed-multilingual"):
        assert floats(client, model, "hello")
