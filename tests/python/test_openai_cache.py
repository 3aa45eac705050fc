"""Prompt caching with the official Python client: marks as extra fields of parts, tools and the request, and
the counts in `usage.prompt_tokens_details`."""

from __future__ import annotations

import random
from typing import Any

import openai
import pytest
from openai.types import CompletionUsage

from invented import words
from samples import CLAUDE, NOVA

MARK = {"type": "ephemeral"}


def long_text(rng: random.Random) -> str:
    """A text longer than any model's minimum, and unique."""
    return " ".join(words(rng, 4)) + " stone" * 4_000


def cached(usage: CompletionUsage | None) -> tuple[int, int]:
    """Tokens read from the cache and written to it."""
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    details = usage.prompt_tokens_details
    if details is None:
        return 0, 0
    read, written = details.cached_tokens or 0, getattr(details, "cache_write_tokens", None) or 0
    assert read + written <= usage.prompt_tokens
    return read, written


def marked_part(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": text, "cache_control": MARK}]}]}


def marked_system(text: str) -> dict[str, Any]:
    system = {"role": "system", "content": [{"type": "text", "text": text, "cache_control": MARK}]}
    return {"messages": [system, {"role": "user", "content": "Hi"}]}


def breakpoint_of_openai(text: str) -> dict[str, Any]:
    part = {"type": "text", "text": text, "prompt_cache_breakpoint": {"mode": "explicit"}}
    return {"messages": [{"role": "user", "content": [part]}]}


def top_level(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "extra_body": {"cache_control": MARK}}


def nothing_but_length(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": text}, {"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@pytest.mark.parametrize(
    "request_of", [marked_part, marked_system, breakpoint_of_openai, top_level, nothing_but_length]
)
def test_the_second_request_reads_the_firsts_cache(
    client: openai.OpenAI, rng: random.Random, model: str, request_of: Any
) -> None:
    request: dict[str, Any] = {"model": model, **request_of(long_text(rng))}
    read, written = cached(client.chat.completions.create(**request).usage)
    assert read == 0 and written > 4_000
    assert cached(client.chat.completions.create(**request).usage) == (written, 0)
    chunks = list(client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **request))
    assert cached(chunks[-1].usage) == (written, 0)


def test_a_request_may_limit_the_cache_to_its_own_marks(client: openai.OpenAI, rng: random.Random) -> None:
    request = nothing_but_length(long_text(rng))
    options = {"prompt_cache_options": {"mode": "explicit"}}
    for _ in range(2):
        answer = client.chat.completions.create(model=CLAUDE, extra_body=options, **request)
        assert cached(answer.usage) == (0, 0)


def test_ignored_fields_of_a_mark_are_named(client: openai.OpenAI, rng: random.Random) -> None:
    hour = {"type": "text", "text": " ".join(words(rng, 3)), "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    messages: Any = [{"role": "user", "content": [hour]}]
    ignored = {}
    for model in (CLAUDE, NOVA, "us.meta.llama3-3-70b-instruct-v1:0"):
        answer = client.chat.completions.with_raw_response.create(model=model, messages=messages)
        ignored[model] = answer.headers.get("x-outcrop-ignored")
    assert list(ignored.values()) == [None, "messages.content.cache_control.ttl", "messages.content.cache_control"]
