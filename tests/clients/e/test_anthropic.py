"""anthropic-python on the Messages API: text, streams, tools over turns, reasoning, its tool runner, typed answers,
counted tokens, errors."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from aws_environment import REGION
from invented import request_for, tools, words
from outcrop_process import PATIENCE, Outcrop
from page import set_up
from samples import CLAUDE, NOVA, PNG_BASE64

LIMIT = 4000
MODELS = pytest.mark.parametrize("model", [NOVA, CLAUDE, "claude-sonnet-4-5"])


class Rock(BaseModel):
    """A rock with its name and its weight in grams."""

    name: str
    weight: int


@pytest.fixture()
def client(gateway: Outcrop) -> anthropic.Anthropic:
    made: anthropic.Anthropic = set_up("anthropic-python", gateway.url)["client"]
    return made.with_options(max_retries=0)


@pytest.fixture(params=["page", "bearer", "signed"])
def mantle(
    request: pytest.FixtureRequest, gateway: Outcrop, keyed: Outcrop, key: dict[str, Any]
) -> anthropic.AnthropicBedrockMantle:
    """The client of the page for Bedrock's Messages endpoint, and clients with each credential of a key."""
    if request.param == "page":
        return set_up("anthropic-bedrock-mantle", gateway.url)["client"].with_options(max_retries=0)
    ours = key["outcrop"]
    credentials = {
        "bearer": {"api_key": key["key"]},
        "signed": {"aws_access_key": ours["aws_access_key_id"], "aws_secret_key": ours["aws_secret_access_key"]},
    }[request.param]
    return anthropic.AnthropicBedrockMantle(
        base_url=f"{keyed.url}/anthropic", aws_region=REGION, max_retries=0, **credentials
    )


def test_bedrocks_messages_endpoint(mantle: anthropic.AnthropicBedrockMantle, rng: random.Random) -> None:
    [name] = words(rng, 1)
    request: Any = {"model": CLAUDE, "max_tokens": LIMIT, "messages": [{"role": "user", "content": f"Who is {name}?"}]}
    whole = mantle.messages.create(**request)
    assert name in texts(whole)
    with mantle.messages.stream(**request) as stream:
        assert "".join(stream.text_stream) == texts(whole)


def texts(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


@MODELS
def test_text_and_stream(client: anthropic.Anthropic, rng: random.Random, model: str) -> None:
    [name] = words(rng, 1)
    request: Any = {
        "model": model,
        "max_tokens": LIMIT,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": f"Who is {name}?"}],
    }
    whole = client.messages.create(**request)
    assert name in texts(whole) and whole.stop_reason == "end_turn"
    assert whole.usage.input_tokens > 0 and whole.usage.output_tokens > 0
    with client.messages.stream(**request) as stream:
        parts = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(parts) == texts(final) == texts(whole) and len(parts) > 3
    assert final.usage.input_tokens == whole.usage.input_tokens
    assert final.usage.output_tokens == whole.usage.output_tokens


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("model", "reasoning"), [(NOVA, False), (CLAUDE, False), (CLAUDE, True)])
def test_two_tools_and_another_turn(
    client: anthropic.Anthropic, rng: random.Random, model: str, reasoning: bool, stream: bool
) -> None:
    wanted, results = tools(rng), words(rng, 2)
    request: Any = {
        "model": model,
        "max_tokens": LIMIT,
        "tools": [{"name": tool.name, "description": "A tool.", "input_schema": tool.schema} for tool in wanted],
    }
    if reasoning:
        request["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    messages: list[Any] = []

    def ask(content: Any) -> Any:
        messages.append({"role": "user", "content": content})
        if stream:
            with client.messages.stream(messages=messages, **request) as running:
                answer = running.get_final_message()
        else:
            answer = client.messages.create(messages=messages, **request)
        messages.append({"role": "assistant", "content": answer.content})
        return answer

    for _ in range(2):
        called = ask(request_for(wanted))
        uses = [block for block in called.content if block.type == "tool_use"]
        assert [(use.name, use.input) for use in uses] == [(tool.name, tool.arguments) for tool in wanted]
        assert called.stop_reason == "tool_use"
        assert any(block.type == "thinking" and block.signature for block in called.content) == reasoning
        answers = zip(uses, results, strict=True)
        final = ask([{"type": "tool_result", "tool_use_id": use.id, "content": result} for use, result in answers])
        assert all(result in texts(final) for result in results), texts(final)


def test_its_tool_runner(client: anthropic.Anthropic, rng: random.Random) -> None:
    place, result = words(rng, 2)
    asked: list[str] = []

    @anthropic.beta_tool
    def find_rock(place: str) -> str:
        """Finds a rock.

        Args:
            place: where to look
        """
        asked.append(place)
        return result

    runner = client.beta.messages.tool_runner(
        model=CLAUDE,
        max_tokens=LIMIT,
        tools=[find_rock],
        messages=[{"role": "user", "content": f'Call find_rock with place "{place}".'}],
    )
    assert result in texts(runner.until_done()) and asked == [place]


def test_typed_answers(client: anthropic.Anthropic, rng: random.Random) -> None:
    rock = Rock(name=words(rng, 1)[0], weight=rng.randrange(100, 10_000))
    asked: Any = [{"role": "user", "content": f'The rock: name "{rock.name}", weight {rock.weight}.'}]
    parsed = client.messages.parse(model=CLAUDE, max_tokens=LIMIT, messages=asked, output_format=Rock)
    assert parsed.parsed_output == rock


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_tokens_are_counted(client: anthropic.Anthropic, model: str) -> None:
    def count(text: str) -> int:
        messages: Any = [{"role": "user", "content": text}]
        return client.messages.count_tokens(model=model, messages=messages).input_tokens

    assert 0 < count("Hi") < count("granite " * 200)


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_an_image(client: anthropic.Anthropic, model: str) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}
    content: Any = [{"type": "text", "text": "What is in the picture?"}, {"type": "image", "source": source}]
    answer = client.messages.create(model=model, max_tokens=LIMIT, messages=[{"role": "user", "content": content}])
    assert "png" in texts(answer).lower()


def test_models_are_listed_page_by_page(client: anthropic.Anthropic) -> None:
    listed = [model.id for model in client.models.list(limit=50)]
    assert len(listed) == len(set(listed)) > 50 and any("claude" in name for name in listed)
    one = client.models.retrieve("anthropic.claude-sonnet-4-5-20250929-v1:0")
    assert one.display_name == "Claude Sonnet 4.5" and one.created_at.year == 2025


def test_thinking_may_be_left_out_of_a_tool_turn(client: anthropic.Anthropic, rng: random.Random) -> None:
    wanted, [result] = tools(rng)[:1], words(rng, 1)
    specs = [{"name": tool.name, "description": "A tool.", "input_schema": tool.schema} for tool in wanted]
    request: Any = {
        "model": CLAUDE,
        "max_tokens": LIMIT,
        "tools": specs,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    asked: Any = {"role": "user", "content": request_for(wanted)}
    first = client.messages.create(messages=[asked], **request)
    kept = [block for block in first.content if block.type != "thinking"]
    assert len(kept) < len(first.content)
    answers = [
        {"type": "tool_result", "tool_use_id": block.id, "content": result} for block in kept if block.type == "tool_use"
    ]
    turns = [asked, {"role": "assistant", "content": kept}, {"role": "user", "content": answers}]
    assert result in texts(client.messages.create(messages=turns, **request))


def test_betas_do_not_fail_a_call(client: anthropic.Anthropic) -> None:
    answer = client.beta.messages.create(
        model=CLAUDE,
        max_tokens=100,
        betas=["interleaved-thinking-2025-05-14", "no-such-2099-01-01"],
        messages=[{"role": "user", "content": "Granite is"}],
    )
    assert answer.stop_reason and answer._request_id and answer._request_id.startswith("req_")


def test_asynchronous(gateway: Outcrop, rng: random.Random) -> None:
    names = words(rng, 4)

    async def all_at_once() -> list[Any]:
        async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="any", max_retries=0) as client:
            asked = (
                client.messages.create(model=NOVA, max_tokens=99, messages=[{"role": "user", "content": name}])
                for name in names
            )
            return await asyncio.gather(*asked)

    for name, answer in zip(names, asyncio.run(all_at_once()), strict=True):
        assert name in texts(answer)


def test_errors_are_of_their_kind(client: anthropic.Anthropic) -> None:
    hi: Any = {"max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(model="no.such-model-v9:0", **hi)
    assert unknown.value.body["error"]["type"] == "not_found_error" and unknown.value.request_id
    with pytest.raises(anthropic.RateLimitError):
        client.messages.create(model="emulator.throttle", **hi)
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(model=NOVA, **{**hi, "max_tokens": 0})
    cut: Any = {"model": "emulator.cut-3", "max_tokens": 99}
    with pytest.raises(anthropic.APIStatusError), client.messages.stream(
        messages=[{"role": "user", "content": "one two three four five"}], **cut
    ) as stream:
        stream.until_done()


def test_message_batches(client: anthropic.Anthropic, rng: random.Random) -> None:
    names = words(rng, 100)
    requests: Any = [
        {
            "custom_id": f"m-{number}",
            "params": {"model": CLAUDE, "max_tokens": LIMIT, "messages": [{"role": "user", "content": f"Who is {name}?"}]},
        }
        for number, name in enumerate(names)
    ]
    requests[3]["params"]["messages"] = []
    batch = client.messages.batches.create(requests=requests)
    deadline = time.monotonic() + PATIENCE
    while client.messages.batches.retrieve(batch.id).processing_status != "ended":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    batch = client.messages.batches.retrieve(batch.id)
    assert (batch.request_counts.succeeded, batch.request_counts.errored) == (99, 1)
    results = list(client.messages.batches.results(batch.id))
    assert [one.custom_id for one in results] == [one["custom_id"] for one in requests]
    for one, name in zip(results, names, strict=True):
        if one.result.type == "succeeded":
            assert name in texts(one.result.message)
        else:
            assert one.result.type == "errored" and one.custom_id == "m-3"
            assert one.result.error.error.type == "invalid_request_error"
    assert batch.id in [one.id for one in client.messages.batches.list(limit=1)]
    assert client.messages.batches.delete(batch.id).id == batch.id
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(batch.id)
