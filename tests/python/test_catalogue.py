"""Model data through the real binary: prices in the model list, an operator's rows, and ARNs that do
not contain their model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import openai
import pytest
from botocore.exceptions import ClientError

from outcrop_process import PATIENCE, Outcrop, run_to_end
from sse import chat

PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
ROW = """\
catalogue:
  amazon.nova-lite-v1:0:
    context: 12345
    profile: { sampling: %s }
    prices: { input: 7, output: 8, geo: { input: 9 } }
"""


def asking(model: str) -> dict[str, Any]:
    message = {"role": "user", "content": "Hi."}
    return {"model": model, "messages": [message], "temperature": 0.5, "top_p": 0.5}


def before_the_demo(text: str) -> Outcrop:
    arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"]
    return Outcrop(arguments, files={"outcrop.yaml": text})


def ignored(running: Outcrop, model: str) -> str | None:
    status, headers, answer = chat(running.address, asking(model))
    assert status == 200, answer
    return headers.get("x-outcrop-ignored")


def until(what: str, holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def test_boto3_finds_the_model_behind_an_application_profile(emulator: Outcrop) -> None:
    control = boto3.client(
        "bedrock",
        endpoint_url=emulator.url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret-for-tests",
    )
    found = control.get_inference_profile(inferenceProfileIdentifier=PROFILE)
    assert (found["type"], found["status"]) == ("APPLICATION", "ACTIVE")
    assert [model["modelArn"].rsplit("/", 1)[1] for model in found["models"]] == [HAIKU]
    with pytest.raises(ClientError) as refused:
        control.get_inference_profile(inferenceProfileIdentifier="us.nobody.knows-v1:0")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_an_application_profile_is_treated_as_its_model(gateway: Outcrop) -> None:
    assert ignored(gateway, PROFILE) == "top_p"


def test_the_list_has_context_lifecycle_and_prices(client: openai.OpenAI) -> None:
    models = {model.id: model.model_dump() for model in client.models.list()}
    here, everywhere = (models[f"{prefix}.{HAIKU}"] for prefix in ("us", "global"))
    assert (here["context_length"], here["max_output_tokens"]) == (200_000, 64_000)
    assert here["lifecycle"]["status"] == "active"
    assert here["capabilities"]["input_modalities"] == ["text", "image", "document"]
    assert (everywhere["prices"]["input"], everywhere["prices"]["output"]) == (1.0, 5.0)
    assert (here["prices"]["input"], here["prices"]["cache_write_1h"]) == (1.1, 2.2)
    assert (here["prices"]["currency"], here["prices"]["dated"]) == ("USD", "2026-11-28")
    assert (here["prices"]["row"], here["prices"]["source"]) == (f"{HAIKU}/geo/standard", "listed")
    assert here["prices"]["batch"] == {"input": 0.55, "output": 2.75}, "a tenth more, as the standard tier"
    sol = models["us.openai.gpt-6-sol"]["prices"]["long"]
    assert (sol["above"], sol["input"], sol["output"]) == (272_000, 4.4, 16.5)
    nova = client.models.retrieve("nova-pro").model_dump()
    assert nova["prices"]["flex"] == {"input": 0.4, "output": 1.6, "cache_read": 0.1, "cache_write": 0}


def test_an_application_profile_costs_what_it_copies(client: openai.OpenAI) -> None:
    prices = client.models.retrieve(PROFILE).model_dump()["prices"]
    assert (prices["input"], prices["row"], prices["source"]) == (1.1, f"{HAIKU}/geo/standard", "listed")


def test_operator_rows_apply_and_are_reloaded() -> None:
    with before_the_demo(ROW % "both") as running:
        assert ignored(running, "nova-lite") is None
        with openai.OpenAI(base_url=f"{running.url}/v1", api_key="any", max_retries=0) as client:
            told = client.models.retrieve("us.amazon.nova-lite-v1:0").model_dump()
        assert (told["context_length"], told["prices"]["input"]) == (12_345, 9.0)
        Path(running.folder.name, "outcrop.yaml").write_text(ROW % "one")
        until("the row is read again", lambda: ignored(running, "nova-lite") == "top_p")


def test_check_shows_rows_and_refuses_wrong_ones() -> None:
    shown = run_to_end(["check", "c.yaml"], files={"c.yaml": ROW % "one"})
    assert shown.returncode == 0, shown.stderr
    assert "catalogue.amazon.nova-lite-v1:0.profile.sampling: one" in shown.stdout
    wrong = run_to_end(["check", "c.yaml"], files={"c.yaml": ROW.replace("sampling", "samplign") % "one"})
    assert wrong.returncode == 2
    assert "c.yaml:4: " in wrong.stderr and "did you mean sampling?" in wrong.stderr
