"""The official clients on loopback, responses to a browser's page, and contents that the log must not
have."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import boto3
import botocore.config
import openai
import pytest

from outcrop_process import PATIENCE, Outcrop, answers
from samples import ECHO, NOVA
from sse import chat

DEMO = ["--demo", "--listen", "127.0.0.1:0"]
PAGE = "https://chat.example"
SECRET = "granite-and-basalt-4711"


@pytest.fixture(scope="module")
def open_to_a_page() -> Iterator[Outcrop]:
    """A gateway that one page may call, and that a proxy calls by a host name."""
    environment = {"OUTCROP_CORS_ORIGINS": f"{PAGE}, http://localhost:3000", "OUTCROP_ALLOWED_HOSTS": "gateway.example"}
    with Outcrop(DEMO, environment=environment) as running:
        yield running


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_official_clients_need_no_settings(gateway: Outcrop, name: str) -> None:
    base = f"http://{name}:{gateway.address[1]}"
    client = openai.OpenAI(base_url=f"{base}/v1", api_key="unused", max_retries=0)
    messages = [{"role": "user", "content": SECRET}]
    assert client.chat.completions.create(model=ECHO, messages=messages).choices[0].message.content == SECRET
    chunks = client.chat.completions.create(model=ECHO, messages=messages, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SECRET
    assert client.embeddings.create(model="titan-embed-text-v2", input="x").data
    assert client.moderations.create(input="x").results
    assert any(client.models.list())
    native = boto3.client(
        "bedrock-runtime",
        endpoint_url=f"{base}/bedrock",
        region_name="us-east-1",
        aws_access_key_id="unused",
        aws_secret_access_key="unused",
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )
    answer = native.converse(modelId=ECHO, messages=[{"role": "user", "content": [{"text": SECRET}]}])
    assert answer["output"]["message"]["content"][0]["text"] == SECRET


def ask(running: Outcrop, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=PATIENCE)
    try:
        connection.putrequest(method, path, skip_host="host" in headers)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        response.read()
        return response.status, {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()


def test_a_listed_page_may_call(gateway: Outcrop, open_to_a_page: Outcrop) -> None:
    body = json.dumps({"model": ECHO, "messages": [{"role": "user", "content": "x"}]}).encode()
    page = {"origin": PAGE, "sec-fetch-site": "cross-site", "content-type": "application/json"}
    preflight = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    path = "/v1/chat/completions"
    for running, status, asked in [(gateway, 403, 403), (open_to_a_page, 200, 204)]:
        found, headers = ask(running, "POST", path, page, body)
        assert found == status
        assert headers.get("access-control-allow-origin") == (PAGE if status == 200 else None)
        assert ask(running, "OPTIONS", path, preflight)[0] == asked
    plain = {"content-type": "application/json", "host": "gateway.example"}
    assert ask(gateway, "POST", path, plain, body)[0] == 403
    assert ask(open_to_a_page, "POST", path, plain, body)[0] == 200
    assert ask(gateway, "GET", "/readyz", {"host": "gateway.example"})[0] == 200


def test_curl_without_a_type_is_told_what_to_add(gateway: Outcrop) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert ask(gateway, "POST", "/v1/chat/completions", form, b"{}")[0] == 415


def test_names_cannot_add_lines_to_the_log() -> None:
    with Outcrop(DEMO, environment={"RUST_LOG": "debug"}) as running:
        forged = "x\n[2026-01-01T00:00:00Z INFO  outcrop] forged\u2028\u202e"
        arn = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/a\nforged"
        for name in [forged, arn, f"bedrock/{forged}", f"emulator.error-500\n{forged}"]:
            assert chat(running.address, {"model": name, "messages": [{"role": "user", "content": "x"}]})[0] >= 400
        assert answers(running.url, "/livez")
        log = running.log()
    assert "\u2028" not in log and "\u202e" not in log
    assert all(line.startswith("[2") for line in log.splitlines() if "forged" in line), log
    assert not [line for line in log.splitlines() if line.startswith("[2026-01-01T00")], log


@pytest.mark.parametrize(("level", "told"), [("trace", False), ("info,outcrop::upstream_messages=debug", True)])
def test_awss_messages_are_logged_on_request(level: str, told: bool) -> None:
    """AWS's messages may quote the prompt."""
    with Outcrop(DEMO, environment={"RUST_LOG": level}) as running:
        answer = chat(running.address, {"model": NOVA, "messages": [{"role": "user", "content": SECRET}], "max_tokens": 99_999_999})
        wrong = chat(running.address, {"model": f"no.{SECRET}", "messages": [{"role": "user", "content": "x"}]})
        log = running.log()
    assert answer[0] and wrong[0] >= 400
    said = [line for line in log.splitlines() if "outcrop::upstream_messages" in line]
    assert bool(said) == told, log
