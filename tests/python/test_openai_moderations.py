"""Moderation with the official Python client, and the underlying operations with boto3."""

from __future__ import annotations

from typing import Any

import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from openai.types import ModerationCreateResponse

from outcrop_process import PATIENCE, Outcrop

HIT = "I will kill you"


def test_texts_are_moderated_one_by_one(client: openai.OpenAI) -> None:
    raw = client.moderations.with_raw_response.create(
        model="omni-moderation-latest", input=["Granite is a rock.", HIT, "[misconduct:low]"]
    )
    ModerationCreateResponse.model_validate_json(raw.text, strict=True)
    answer = raw.parse()
    assert answer.model == "omni-moderation-latest" and answer.id.startswith("modr-")
    calm, violent, low = answer.results
    assert not calm.flagged and not any(calm.categories.model_dump().values())
    assert violent.flagged and violent.categories.violence
    assert violent.category_scores.violence > 0.5
    assert violent.category_applied_input_types.violence == ["text"]
    assert not low.flagged and 0 < low.category_scores.illicit < 0.5


def test_the_model_may_be_left_out(client: openai.OpenAI) -> None:
    answer = client.moderations.create(input=HIT)
    assert answer.results[0].flagged and answer.model == "omni-moderation-latest"


def test_parts_are_one_input(client: openai.OpenAI) -> None:
    parts: Any = [{"type": "text", "text": "Basalt"}, {"type": "text", "text": HIT}]
    [result] = client.moderations.create(input=parts).results
    assert result.flagged


def test_errors_are_openais(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.moderations.create(model="gpt-4o", input="a")
    assert caught.value.code == "model_not_found" and caught.value.param == "model"


@pytest.fixture(scope="module")
def runtime(emulator: Outcrop) -> Any:
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=emulator.url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret-for-tests",
        config=Config(connect_timeout=PATIENCE, read_timeout=PATIENCE, retries={"total_max_attempts": 1}),
    )


def applied(runtime: Any, text: str, guardrail: str = "gr1", **more: Any) -> Any:
    settings = {"guardrailIdentifier": guardrail, "guardrailVersion": "1", "source": "INPUT"}
    return runtime.apply_guardrail(**(settings | more), content=[{"text": {"text": text}}])


def test_boto3_applies_a_guardrail(runtime: Any) -> None:
    calm = applied(runtime, "granite")
    assert calm["action"] == "NONE" and calm["outputs"] == []
    assert calm["guardrailCoverage"]["textCharacters"] == {"guarded": 7, "total": 7}
    blocked = applied(runtime, HIT + " [topic:Shares]")
    assert blocked["action"] == "GUARDRAIL_INTERVENED" and len(blocked["outputs"]) == 1
    [assessment] = blocked["assessments"]
    [hit] = assessment["contentPolicy"]["filters"]
    assert (hit["type"], hit["confidence"], hit["action"]) == ("VIOLENCE", "HIGH", "BLOCKED")
    assert assessment["topicPolicy"]["topics"][0]["name"] == "Shares"
    masked = applied(runtime, "Write to a@b.example.", source="OUTPUT")
    assert masked["outputs"] == [{"text": "Write to {EMAIL}."}]
    assert masked["usage"]["contentPolicyUnits"] == 1


def test_boto3_sees_strengths_and_scopes(runtime: Any) -> None:
    for guardrail, level, action in [
        ("weakgr1", "medium", "NONE"),
        ("mediumgr1", "medium", "GUARDRAIL_INTERVENED"),
        ("gr1", "low", "GUARDRAIL_INTERVENED"),
    ]:
        answer = applied(runtime, f"[hate:{level}]", guardrail, outputScope="FULL")
        assert answer["action"] == action
        assert len(answer["assessments"][0]["contentPolicy"]["filters"]) == 6
    # Only inputs can contain attacks.
    answer = applied(runtime, "[prompt_attack]", source="OUTPUT")
    assert answer["action"] == "NONE"


def test_boto3_is_refused_as_by_the_service(runtime: Any) -> None:
    for guardrail, version, code in [
        ("missing1", "1", "ResourceNotFoundException"),
        ("gr1", "0", "ValidationException"),
        ("GR 1", "1", "ValidationException"),
    ]:
        with pytest.raises(ClientError) as caught:
            applied(runtime, "a", guardrail, guardrailVersion=version)
        assert caught.value.response["Error"]["Code"] == code


def test_boto3_checks_without_a_guardrail(runtime: Any) -> None:
    answer = runtime.invoke_guardrail_checks(
        messages=[
            {"role": "system", "content": [{"text": "é"}]},
            {"role": "user", "content": [{"text": "é a@b.example [violence:medium]"}]},
        ],
        checks={
            "contentFilter": {"categories": [{"category": "VIOLENCE"}, {"category": "HATE"}]},
            "sensitiveInformation": {"entities": [{"type": "EMAIL"}, {"type": "NAME"}]},
        },
    )
    scores = answer["results"]["contentFilter"]["results"]
    assert {s["category"]: s["severityScore"] for s in scores} == {"VIOLENCE": 0.6, "HATE": 0.0}
    [found] = answer["results"]["sensitiveInformation"]["results"]
    assert (found["type"], found["messageIndex"], found["contentIndex"]) == ("EMAIL", 1, 0)
    assert (found["beginOffset"], found["endOffset"]) == (2, 13)
    assert answer["usage"]["contentFilter"]["textUnits"] == 1
    assert "promptAttack" not in answer["results"]
