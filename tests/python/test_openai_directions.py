"""The gateway's own headers with the official Python client: `extra_headers` set the policy for fields
that cannot be honoured, and request a dry run."""

from __future__ import annotations

import json
import random
from typing import Any

import openai
import pytest

from invented import words
from samples import CLAUDE, NOVA

POLICY = "x-outcrop-unsupported-params"
DRY_RUN = {"x-outcrop-dry-run": "true"}


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_a_caller_may_have_ignored_fields_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=NOVA, messages=user("Hi."), seed=7, logprobs=True, extra_headers={POLICY: "reject"}
        )
    error = caught.value
    assert (error.code, error.param) == ("unsupported_parameter", "logprobs")
    assert "'logprobs', 'seed'" in error.message
    dropped = client.chat.completions.with_raw_response.create(
        model=NOVA, messages=user("Hi."), seed=7, extra_headers={POLICY: "drop"}
    )
    assert "x-outcrop-ignored" not in dropped.headers
    assert dropped.parse().choices[0].message.content
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=NOVA, messages=user("Hi."), extra_headers={POLICY: "perhaps"}
        )
    assert caught.value.param == POLICY


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
@pytest.mark.parametrize("stream", [False, True])
def test_a_dry_run_of_a_chat(
    client: openai.OpenAI, rng: random.Random, model: str, stream: bool
) -> None:
    text = " ".join(words(rng, 5))
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=user(text), stream=stream, max_tokens=77, seed=7, extra_headers=DRY_RUN
    )
    shown = json.loads(raw.http_response.read())
    assert shown["object"] == "outcrop.dry_run"
    assert (shown["method"], shown["model"], shown["ignored"]) == ("POST", model, ["seed"])
    assert shown["url"].endswith("/converse-stream" if stream else "/converse")
    assert shown["body"]["messages"][0]["content"][0] == {"text": text}
    assert shown["body"]["inferenceConfig"] == {"maxTokens": 77}
    assert not {"authorization", "x-amz-security-token"} & {name.lower() for name in shown["headers"]}
    assert raw.headers["x-outcrop-ignored"] == "seed"
    assert "x-outcrop-attempts" not in raw.headers


def test_a_dry_run_of_embeddings(client: openai.OpenAI, rng: random.Random) -> None:
    texts = [" ".join(words(rng, 2)) for _ in range(3)]
    raw = client.embeddings.with_raw_response.create(
        model="amazon.titan-embed-text-v2:0", input=texts, extra_headers=DRY_RUN
    )
    shown = json.loads(raw.http_response.read())
    assert [call["body"]["inputText"] for call in shown["calls"]] == texts


def test_members_of_the_models_own_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=CLAUDE,
        messages=user("Hi."),
        extra_body={"additional_model_response_field_paths": ["/stop_reason"]},
    )
    [choice] = answer.choices
    assert choice.model_extra is not None
    told = choice.model_extra["outcrop"]["additional_model_response_fields"]
    assert told == {"stop_reason": "end_turn"}
