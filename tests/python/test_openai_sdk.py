"""The official Python client against the demo gateway: its usual calls, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from outcrop_process import PATIENCE, Outcrop
from samples import CLAUDE, ECHO, NOVA, PNG_URL


def user(text: Any) -> list[Any]:
    """A conversation of one user message."""
    return [{"role": "user", "content": text}]


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def assert_whole(answer: ChatCompletion) -> None:
    """Properties of every finished answer."""
    assert answer.id.startswith("chatcmpl-")
    assert answer.object == "chat.completion"
    assert answer.created > 1_700_000_000
    [choice] = answer.choices
    assert choice.index == 0
    assert choice.message.role == "assistant"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert (
        answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    )


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_chat(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=user("Name a colour of rock."))
    assert_whole(answer)
    assert answer.model == model
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content
    assert answer.choices[0].message.tool_calls is None
    assert answer._request_id


def test_echo_keeps_every_character(client: openai.OpenAI) -> None:
    said = "Grüße, 世界 \U0001f30d 👩‍👩‍👧 \"quoted\" \\ back\tslash\nsecond line\u2028end"
    answer = client.chat.completions.create(model=ECHO, messages=user(said))
    assert answer.choices[0].message.content == said
    with client.chat.completions.create(model=ECHO, messages=user(said), stream=True) as chunks:
        assert text_of(list(chunks)) == said


def test_stream_with_usage(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model=NOVA,
        messages=user("Count slowly."),
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].delta.role for c in chunks[1:] if c.choices].count("assistant") == 0
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])
    finishes = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert finishes[-1] == "stop" and set(finishes[:-1]) == {None}
    assert len(chunks) > 5, "the answer came in one piece"


def test_stream_without_usage_has_no_usage(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model=NOVA, messages=user("Hello."), stream=True
    ) as stream:
        chunks = list(stream)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_stream_and_plain_answer_agree(client: openai.OpenAI) -> None:
    messages = user("Say the same thing twice.")
    plain = client.chat.completions.create(model=NOVA, messages=messages)
    with client.chat.completions.create(
        model=NOVA, messages=messages, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert text_of(chunks) == plain.choices[0].message.content
    assert chunks[-1].usage is not None and plain.usage is not None
    assert chunks[-1].usage.total_tokens == plain.usage.total_tokens


def test_stream_helper_accumulates(client: openai.OpenAI) -> None:
    deltas = []
    with client.chat.completions.stream(
        model=NOVA, messages=user("Tell me of slate."), stream_options={"include_usage": True}
    ) as stream:
        for event in stream:
            if event.type == "content.delta":
                deltas.append(event.delta)
        final = stream.get_final_completion()
    assert_whole(final)
    assert final.choices[0].message.content == "".join(deltas)
    assert final.choices[0].finish_reason == "stop"
    assert len(deltas) > 3


def test_image_by_data_url(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=NOVA,
        messages=user(
            [
                {"type": "text", "text": "What is in the picture?"},
                {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
            ]
        ),
    )
    assert_whole(answer)
    assert "png" in (answer.choices[0].message.content or "").lower()


@pytest.mark.parametrize("role", ["system", "developer"])
def test_instructions_reach_the_model(client: openai.OpenAI, role: str) -> None:
    question = {"role": "user", "content": "Who are you?"}
    bare = client.chat.completions.create(model=NOVA, messages=[question])
    told = client.chat.completions.create(
        model=NOVA,
        messages=[{"role": role, "content": "You are a geologist called Basalt."}, question],
    )
    assert bare.usage is not None and told.usage is not None
    assert told.usage.prompt_tokens > bare.usage.prompt_tokens
    assert told.choices[0].message.content != bare.choices[0].message.content


def test_odd_turns_are_repaired(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=ECHO,
        messages=[
            {"role": "assistant", "content": "I speak first."},
            {"role": "user", "content": "one"},
            {"role": "user", "content": ""},
            {"role": "assistant", "content": None},
            {"role": "user", "content": [{"type": "text", "text": "two"}]},
            {"role": "system", "content": "late instruction"},
            {"role": "user", "content": "three"},
        ],
    )
    assert "three" in (answer.choices[0].message.content or "")


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_token_limit_ends_with_length(client: openai.OpenAI, name: str) -> None:
    answer = client.chat.completions.create(
        model=NOVA, messages=user("A long story, please."), **{name: 2}
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None and answer.usage.completion_tokens <= 2


@pytest.mark.parametrize("stop", ["STOP", ["never", "STOP"]])
def test_stop_sequence_is_not_returned(client: openai.OpenAI, stop: Any) -> None:
    answer = client.chat.completions.create(
        model=ECHO, messages=user("before STOP after"), stop=stop
    )
    content = answer.choices[0].message.content or ""
    assert content.startswith("before") and "STOP" not in content and "after" not in content
    assert answer.choices[0].finish_reason == "stop"


def test_sampling_parameters_are_accepted(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=NOVA, messages=user("Hi."), temperature=0.2, top_p=0.9
    )
    assert_whole(answer)


def test_ignored_fields_are_named(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=NOVA,
        messages=user("Hi."),
        seed=7,
        logit_bias={"50": 1},
        extra_body={"made_up_by_a_client": True},
    )
    ignored = raw.headers.get("x-outcrop-ignored", "")
    for name in ("seed", "logit_bias", "made_up_by_a_client"):
        assert name in ignored, f"{name} is not in x-outcrop-ignored: {ignored!r}"
    assert_whole(raw.parse())
    plain = client.chat.completions.with_raw_response.create(model=NOVA, messages=user("Hi."))
    assert "x-outcrop-ignored" not in plain.headers


def test_reasoning_content(client: openai.OpenAI) -> None:
    """A model that always reasons: the reasoning is returned beside the answer, and before it in a
    stream."""
    model, messages = "openai.gpt-oss-20b-1:0", user("Think about granite.")
    answer = client.chat.completions.create(model=model, messages=messages)
    thought = getattr(answer.choices[0].message, "reasoning_content", None)
    assert isinstance(thought, str) and thought
    assert answer.choices[0].message.content
    kinds = []
    streamed = ""
    with client.chat.completions.create(model=model, messages=messages, stream=True) as chunks:
        for chunk in chunks:
            delta = chunk.choices[0].delta
            if piece := getattr(delta, "reasoning_content", None):
                kinds.append("thought")
                streamed += piece
            elif delta.content:
                kinds.append("text")
    assert streamed == thought
    assert kinds == sorted(kinds, reverse=True), f"thought and text are mixed: {kinds}"


def test_unknown_model(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no.such-model-v9:0", messages=user("Hi."))
    assert caught.value.code == "model_not_found"
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role"),
        ({"messages": user([{"type": "smell", "smell": "x"}])}, "messages[0].content[0].type"),
        ({"messages": user("x"), "temperature": "warm"}, "temperature"),
        ({"messages": []}, "messages"),
    ],
)
def test_bad_request(client: openai.OpenAI, arguments: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=NOVA, **arguments)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param == param
    assert caught.value.request_id


def test_throttling_is_a_rate_limit_error(client: openai.OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(
                model="emulator.throttle", messages=user("Hi."), stream=stream
            )
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.request_id


@pytest.mark.parametrize("model", ["emulator.cut-3", "emulator.exception-2"])
def test_failure_in_mid_stream_raises(client: openai.OpenAI, model: str) -> None:
    received = []
    with pytest.raises(openai.APIError) as caught:
        with client.chat.completions.create(
            model=model, messages=user("Tell me a lot."), stream=True
        ) as stream:
            for chunk in stream:
                received.append(chunk)
    assert not isinstance(caught.value, openai.APIStatusError)
    assert caught.value.message and caught.value.type
    assert received, "the failure came before the first chunk"


def test_asynchronous_client(gateway: Outcrop) -> None:
    async def talk() -> None:
        async with openai.AsyncOpenAI(
            base_url=f"{gateway.url}/v1", api_key="any", max_retries=0, timeout=PATIENCE
        ) as client:
            answers = await asyncio.gather(
                *(
                    client.chat.completions.create(model=ECHO, messages=user(f"number {n}"))
                    for n in range(12)
                )
            )
            assert [a.choices[0].message.content for a in answers] == [
                f"number {n}" for n in range(12)
            ]
            stream = await client.chat.completions.create(
                model=NOVA,
                messages=user("Hello."),
                stream=True,
                stream_options={"include_usage": True},
            )
            chunks = [chunk async for chunk in stream]
            assert text_of(chunks) and chunks[-1].usage is not None
            async with client.chat.completions.stream(
                model=NOVA, messages=user("Hello.")
            ) as helper:
                final = await helper.get_final_completion()
            assert final.choices[0].message.content == text_of(chunks)
            with pytest.raises(openai.RateLimitError):
                await client.chat.completions.create(
                    model="emulator.throttle", messages=user("Hi.")
                )
            broken = await client.chat.completions.create(
                model="emulator.cut-3", messages=user("Hi."), stream=True
            )
            with pytest.raises(openai.APIError):
                async for _ in broken:
                    pass

    asyncio.run(talk())
