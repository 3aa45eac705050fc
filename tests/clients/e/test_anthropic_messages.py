"""Messages with Anthropic's official Python client: its own accumulator reads the streams, on both ways to Bedrock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from outcrop_process import PATIENCE, Outcrop
from samples import CLAUDE, NOVA, PNG_BASE64

WEATHER: Any = [
    {
        "name": "weather",
        "description": "Reports the weather of a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
QUESTION: Any = {"role": "user", "content": "The weather in Oslo, please."}


@pytest.fixture()
def claude(gateway: Outcrop) -> Iterator[anthropic.Anthropic]:
    """The official client without retries."""
    with anthropic.Anthropic(
        base_url=gateway.url, api_key="any", max_retries=0, timeout=PATIENCE
    ) as made:
        yield made


def streamed(client: anthropic.Anthropic, **asked: Any) -> Any:
    with client.messages.stream(max_tokens=4000, **asked) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    return final


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_a_stream_accumulates_to_the_whole_answer(claude: anthropic.Anthropic, model: str) -> None:
    asked: Any = {"model": model, "messages": [{"role": "user", "content": "Granite is"}], "system": "Be brief."}
    whole = claude.messages.create(max_tokens=4000, **asked)
    final = streamed(claude, **asked)
    assert final.content[0].text == whole.content[0].text != ""
    assert final.stop_reason == whole.stop_reason == "end_turn"
    assert final.usage.input_tokens == whole.usage.input_tokens > 0
    assert final.usage.output_tokens == whole.usage.output_tokens > 0
    assert whole._request_id and whole._request_id.startswith("req_")


@pytest.mark.parametrize("with_thinking", [True, False])
@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_thinking_and_calls_make_the_round_trip(
    claude: anthropic.Anthropic, model: str, with_thinking: bool
) -> None:
    options: Any = {
        "model": model,
        "tools": WEATHER,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    first = streamed(claude, messages=[QUESTION], **options)
    assert first.stop_reason == "tool_use"
    kept = [block for block in first.content if with_thinking or block.type != "thinking"]
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "fair, plus 21"}
        for block in first.content
        if block.type == "tool_use"
    ]
    turns = [QUESTION, {"role": "assistant", "content": kept}, {"role": "user", "content": results}]
    second = claude.messages.create(max_tokens=4000, messages=turns, **options)
    assert "fair, plus 21" in "".join(block.text for block in second.content if block.type == "text")


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_images_are_read(claude: anthropic.Anthropic, model: str) -> None:
    image = {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}
    content: Any = [{"type": "image", "source": image}, {"type": "text", "text": "What is this?"}]
    answer = claude.messages.create(
        model=model, max_tokens=100, messages=[{"role": "user", "content": content}]
    )
    assert answer.stop_reason in ("end_turn", "max_tokens")


def test_betas_do_not_fail_a_call(claude: anthropic.Anthropic) -> None:
    answer = claude.beta.messages.create(
        model=CLAUDE,
        max_tokens=100,
        betas=["interleaved-thinking-2025-05-14", "no-such-2099-01-01"],
        messages=[{"role": "user", "content": "Granite is"}],
    )
    assert answer.stop_reason


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_tokens_are_counted(claude: anthropic.Anthropic, model: str) -> None:
    counted = claude.messages.count_tokens(model=model, messages=[QUESTION], tools=WEATHER)
    assert counted.input_tokens > 10


def test_models_are_listed_page_by_page(claude: anthropic.Anthropic) -> None:
    listed = [model.id for model in claude.models.list(limit=50)]
    assert len(listed) == len(set(listed)) > 50
    one = claude.models.retrieve("anthropic.claude-sonnet-4-5-20250929-v1:0")
    assert one.display_name == "Claude Sonnet 4.5" and one.created_at.year == 2025


def test_refusals_have_their_classes(claude: anthropic.Anthropic) -> None:
    asking: Any = [{"role": "user", "content": "x"}]
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="no.such-model-v1:0", max_tokens=9, messages=asking)
    with pytest.raises(anthropic.RateLimitError):
        claude.messages.create(model="emulator.throttle", max_tokens=9, messages=asking)
    with pytest.raises(anthropic.BadRequestError) as refused:
        claude.messages.create(model=NOVA, max_tokens=0, messages=asking)
    assert "max_tokens" in refused.value.message
    with pytest.raises(anthropic.APIStatusError), claude.messages.stream(
        model="emulator.cut-3", max_tokens=99, messages=[{"role": "user", "content": "one two three four five"}]
    ) as stream:
        for _ in stream:
            pass
