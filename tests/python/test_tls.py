"""TLS in both directions: boto3's bearer keys require it towards the gateway, and AWS accepts only
https."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import boto3
import botocore.config
import httpx
import pytest

from authority import CONFIG, Authority, https_gateway
from outcrop_process import PATIENCE, Outcrop, run_to_end
from upstream import Expectation, Upstream

MODEL_ID = "us.amazon.nova-lite-v1:0"
MESSAGES = [{"role": "user", "content": [{"text": "Hello"}]}]


@pytest.fixture()
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_boto3_sends_its_bearer_key_over_https(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "any-key")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.root))
    with https_gateway(authority) as (_, url):
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=f"{url}/bedrock",
            region_name="us-east-1",
            config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE),
        )
        answer = client.converse(modelId=MODEL_ID, messages=MESSAGES)
        assert "Hello" in answer["output"]["message"]["content"][0]["text"]
        stream = client.converse_stream(modelId=MODEL_ID, messages=MESSAGES)["stream"]
        assert any("messageStop" in event for event in stream)


def test_a_renewed_certificate_is_used_without_a_restart(authority: Authority) -> None:
    with https_gateway(authority) as (gateway, url):
        first = shown(gateway)
        renewed = authority.issue()
        deadline = time.monotonic() + PATIENCE
        while shown(gateway) == first:
            assert time.monotonic() < deadline, gateway.log()
            time.sleep(0.1)
        assert shown(gateway).split() == renewed.split()
        # After a broken file the valid one stays in force.
        (authority.folder / "server.key").write_text("not a key")
        while "TLS certificate unchanged" not in gateway.log():
            assert time.monotonic() < deadline, gateway.log()
            time.sleep(0.1)
        assert httpx.get(f"{url}/readyz", verify=ssl.create_default_context(cafile=authority.root)).status_code == 200


def shown(gateway: Outcrop) -> str:
    """The certificate that the gateway sends, as PEM."""
    return ssl.get_server_certificate(gateway.address, timeout=PATIENCE)


def test_unusable_files_are_a_configuration_error(authority: Authority) -> None:
    (authority.folder / "server.key").write_text("not a key")
    files = {"outcrop.yaml": CONFIG.format(folder=authority.folder)}
    ended = run_to_end(["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"], files=files)
    assert ended.returncode == 2 and "server.key" in ended.stderr


@pytest.mark.parametrize("trusted", [True, False])
def test_bedrock_is_called_over_verified_tls(authority: Authority, trusted: bool) -> None:
    with Upstream(Expectation(bearer="key")) as upstream:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.folder / "server.pem", authority.folder / "server.key")
        upstream.server.socket = context.wrap_socket(upstream.server.socket, server_side=True)
        environment = {
            "AWS_REGION": "us-east-1",
            "AWS_BEARER_TOKEN_BEDROCK": "key",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream.url.replace("http:", "https:"),
        }
        if trusted:
            environment["AWS_CA_BUNDLE"] = str(authority.root)
        with Outcrop(["--listen", "127.0.0.1:0"], environment=environment) as gateway:
            answer = httpx.post(
                f"{gateway.url}/v1/chat/completions",
                json={"model": MODEL_ID, "messages": [{"role": "user", "content": "Hello"}]},
                timeout=PATIENCE,
            )
        if trusted:
            assert answer.status_code == 200, answer.text
            assert not upstream.received[0].problems
        else:
            assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_tls")
            assert not upstream.received
