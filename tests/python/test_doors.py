"""What a newcomer meets first: unknown addresses in the log, Azure's client, and a gateway without credentials."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from openai import AzureOpenAI, BadRequestError, InternalServerError

from outcrop_process import PATIENCE, Outcrop
from samples import ECHO

VERSION = "2024-10-21"
VECTORS = "amazon.titan-embed-text-v2:0"


def asking(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_unknown_addresses_stand_in_the_log(gateway: Outcrop) -> None:
    """Method and path, escaped and cut; no query string, which may hold a key."""
    for path in ("/v1/assistant?key=hidden", "/v1/a%0Ab\"c", "/" + "x" * 2_000):
        assert httpx.post(f"{gateway.url}{path}", json={}).status_code == 404
    log = gateway.log_with('unknown method="POST" path="/v1/assistant" ', f'path="/{"x" * 255}"')
    assert "hidden" not in log and "x" * 256 not in log
    assert 'path="/v1/a%0Ab%22c"' in log or 'path="/v1/a%0Ab\\"c"' in log


def test_azure_chat_by_model(gateway: Outcrop) -> None:
    """The deployment of the path is the model."""
    client = AzureOpenAI(azure_endpoint=gateway.url, api_key="unused", api_version=VERSION, max_retries=0)
    answer = client.chat.completions.create(model=ECHO, messages=asking("granite"))
    assert answer.choices[0].message.content == "granite" and answer.model == ECHO
    stream = client.chat.completions.create(model=ECHO, messages=asking("granite and basalt"), stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == "granite and basalt"
    assert client.models.list().data


def test_azure_chat_by_deployment(gateway: Outcrop) -> None:
    """A deployment of the client's counts before the model of a call."""
    client = AzureOpenAI(
        azure_endpoint=f"{gateway.url}/", azure_deployment=ECHO, api_key="unused", api_version=VERSION, max_retries=0
    )
    answer = client.chat.completions.create(model="gpt-4o", messages=asking("granite"))
    assert answer.choices[0].message.content == "granite" and answer.model == ECHO
    with pytest.raises(BadRequestError, match="makes no images"):
        client.images.generate(prompt="granite")
    with pytest.raises(InternalServerError, match="not implemented here") as refused:
        client.audio.speech.create(model="tts-1", voice="alloy", input="granite")
    assert refused.value.status_code == 501


def test_azure_embeddings(gateway: Outcrop) -> None:
    """Names with a colon travel in a path."""
    client = AzureOpenAI(azure_endpoint=gateway.url, azure_ad_token="unused", api_version=VERSION, max_retries=0)
    vectors = client.embeddings.create(model=VECTORS, input=["granite", "basalt"], dimensions=256)
    assert [len(one.embedding) for one in vectors.data] == [256, 256]


def test_without_credentials_it_is_alive_and_not_ready(tmp_path: Path) -> None:
    """It says so at the start and to every caller, and is ready once a sign-in has written keys."""
    environment = {"AWS_REGION": "us-east-1", "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    with Outcrop(["--listen", "127.0.0.1:0"], environment=environment, ready_path="/livez") as running:
        wait_for(running, "no_credentials")
        assert httpx.head(f"{running.url}/readyz").status_code == 503
        log = running.log()
        warned = [line for line in log.splitlines() if "outcrop::credential_search" in line]
        assert len(warned) == 1 and "no usable AWS credentials" in warned[0] and "AWS_PROFILE" in warned[0], log
        body = {"model": "nova-lite", "messages": asking("granite")}
        refused = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=PATIENCE)
        assert refused.status_code == 503 and refused.headers["x-should-retry"] == "false"
        assert refused.json()["error"]["code"] == "credentials_unavailable"
        native = httpx.post(f"{running.url}/bedrock/model/nova-lite/converse", json={}, timeout=PATIENCE)
        assert native.status_code == 503 and "AWS_BEARER_TOKEN_BEDROCK" in native.json()["message"]
        keys = "[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = test\n"
        (tmp_path / "credentials").write_text(keys)
        wait_for(running, "ready")
        assert "credentials found" in running.log()


def test_one_target_with_keys_of_its_own_is_enough() -> None:
    """The gateway's own account may have none where names bring theirs."""
    target = "{ model: nova-lite, access_key_id: AKIDTEST, secret_access_key: test }"
    arguments = ["--config", "outcrop.yaml", "--listen", "127.0.0.1:0"]
    files = {"outcrop.yaml": f"models:\n  own: {target}\n"}
    with Outcrop(arguments, environment={"AWS_REGION": "us-east-1"}, files=files) as running:
        assert "no usable AWS credentials" not in running.log(), running.log()


def wait_for(running: Outcrop, status: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while (found := httpx.get(f"{running.url}/readyz").json()["status"]) != status:
        assert time.monotonic() < deadline, f"{found}, not {status}"
        time.sleep(0.05)
