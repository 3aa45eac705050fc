"""LiteLLM as a client of an OpenAI-compatible server: completion, streams, tools, JSON, embeddings."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import litellm
import pytest
from litellm.utils import ModelResponse
from pydantic import BaseModel

from invented import request_for, tools, words
from samples import CLAUDE, NOVA, PNG_URL


@pytest.fixture()
def target(base_url: str) -> dict[str, Any]:
    return {"api_base": base_url, "api_key": "any", "max_retries": 0}


def user(text: Any) -> list[Any]:
    return [{"role": "user", "content": text}]


def calls_of(answer: ModelResponse) -> list[tuple[str, Any]]:
    calls = answer.choices[0].message.tool_calls or []
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


def rebuilt(stream: Any, messages: list[Any]) -> ModelResponse:
    """The answer as LiteLLM puts it together from chunks."""
    chunks = list(stream)
    assert len({chunk.created for chunk in chunks}) == 1
    answer = litellm.stream_chunk_builder(chunks, messages=messages)
    assert answer is not None
    return answer


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_text(target: dict[str, Any], rng: random.Random, model: str) -> None:
    [name] = words(rng, 1)
    messages = [{"role": "developer", "content": "Be brief."}, *user(f"Who is {name}?")]
    whole = litellm.completion(model=f"openai/{model}", messages=messages, **target)
    assert name in whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    streamed = rebuilt(
        litellm.completion(
            model=f"openai/{model}",
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
            **target,
        ),
        messages,
    )
    assert streamed.choices[0].message.content == whole.choices[0].message.content
    assert streamed.usage.total_tokens == whole.usage.total_tokens


def test_asynchronous(target: dict[str, Any], rng: random.Random) -> None:
    names = words(rng, 5)

    async def all_at_once() -> list[ModelResponse]:
        return await asyncio.gather(
            *(
                litellm.acompletion(model=f"openai/{NOVA}", messages=user(name), **target)
                for name in names
            )
        )

    for name, answer in zip(names, asyncio.run(all_at_once()), strict=True):
        assert name in answer.choices[0].message.content


def test_image(target: dict[str, Any]) -> None:
    answer = litellm.completion(
        model=f"openai/{NOVA}",
        messages=user(
            [
                {"type": "text", "text": "What is in the picture?"},
                {"type": "image_url", "image_url": {"url": PNG_URL}},
            ]
        ),
        **target,
    )
    assert "png" in answer.choices[0].message.content.lower()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_two_tools(target: dict[str, Any], rng: random.Random, model: str, stream: bool) -> None:
    wanted, results = tools(rng), words(rng, 2)
    messages = user(request_for(wanted))
    request = {
        "model": f"openai/{model}",
        "messages": messages,
        "tools": [tool.definition for tool in wanted],
        **target,
    }
    answer = litellm.completion(stream=stream, **request)
    if stream:
        answer = rebuilt(answer, messages)
    assert calls_of(answer) == [(tool.name, tool.arguments) for tool in wanted]
    assert answer.choices[0].finish_reason == "tool_calls"
    messages.append(answer.choices[0].message.model_dump(exclude_none=True))
    for call, tool, result in zip(
        answer.choices[0].message.tool_calls, wanted, results, strict=True
    ):
        # LiteLLM's own examples send the name of the tool along.
        messages.append(
            {"role": "tool", "tool_call_id": call.id, "name": tool.name, "content": result}
        )
    final = litellm.completion(**request).choices[0]
    assert final.finish_reason == "stop"
    assert all(result in final.message.content for result in results), final.message.content


def test_replayed_extensions(target: dict[str, Any], rng: random.Random) -> None:
    """What LiteLLM adds for other vendors comes back in the next turn and does no harm."""
    [name] = words(rng, 1)
    messages = [
        {
            "role": "system",
            "content": [
                {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
            ],
        },
        *user("Hello."),
        {
            "role": "assistant",
            "content": "Hello.",
            "reasoning_content": "A greeting.",
            "thinking_blocks": [
                {"type": "thinking", "thinking": "A greeting.", "signature": "bm90IHJlYWw="}
            ],
            "provider_specific_fields": {"citations": None},
        },
        *user(f"Who is {name}?"),
    ]
    answer = litellm.completion(model=f"openai/{NOVA}", messages=messages, **target)
    assert name in answer.choices[0].message.content


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_typed_result(target: dict[str, Any], rng: random.Random, model: str) -> None:
    class Sample(BaseModel):
        name: str
        weight: int

    [name], weight = words(rng, 1), rng.randrange(100, 10_000)
    answer = litellm.completion(
        model=f"openai/{model}",
        messages=user(f'Describe the sample: name "{name}", weight {weight}.'),
        response_format=Sample,
        **target,
    )
    parsed = Sample.model_validate_json(answer.choices[0].message.content)
    assert parsed == Sample(name=name, weight=weight)


def test_errors_are_litellms_own(target: dict[str, Any]) -> None:
    """The classes that LiteLLM's users catch, made from our statuses and codes."""
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(model="openai/no.such-model-v9:0", messages=user("Hi."), **target)
    with pytest.raises(litellm.RateLimitError):
        litellm.completion(model="openai/emulator.throttle", messages=user("Hi."), **target)
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(
            model=f"openai/{NOVA}", messages=[{"role": "narrator", "content": "x"}], **target
        )


@pytest.mark.parametrize("model", ["amazon.titan-embed-text-v2:0", "cohere.embed-multilingual-v3"])
def test_embeddings(target: dict[str, Any], rng: random.Random, model: str) -> None:
    texts = words(rng, 7)
    answers = {
        encoding: litellm.embedding(
            model=f"openai/{model}", input=texts, encoding_format=encoding, **target
        )
        for encoding in ("float", None)
    }
    for answer in answers.values():
        assert [item["index"] for item in answer.data] == list(range(7))
    [single] = litellm.embedding(
        model=f"openai/{model}", input=texts[4], encoding_format="float", **target
    ).data
    assert single["embedding"] == pytest.approx(answers["float"].data[4]["embedding"], abs=1e-6)
    assert answers[None].data[4]["embedding"] == pytest.approx(single["embedding"], abs=1e-6)
