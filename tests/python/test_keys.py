"""Keys of the gateway with the official clients, as people use them: LiteLLM's environment, its routes to make a key,
and the key on every surface. On the embedded store and on PostgreSQL."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import openai
import pytest
from botocore.config import Config

from admin_calls import call, generated
from authority import Authority, https_gateway
from outcrop_process import PATIENCE, Outcrop
from postgres import Postgres, installed

MASTER = "sk-1234"
NOVA = "us.amazon.nova-lite-v1:0"
# Past its end of life: Bedrock itself refuses it.
ENDED = "cohere.command-r-v1:0"
ASKED = [{"role": "user", "content": [{"text": "Hi"}]}]


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with Postgres(installed()) as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def keyed(request: pytest.FixtureRequest) -> Iterator[Outcrop]:
    """A demo gateway with LiteLLM's variables, on each store."""
    environment = {"LITELLM_MASTER_KEY": MASTER}
    if request.param == "postgres":
        environment["DATABASE_URL"] = request.getfixturevalue("database").database("keyed")
    with Outcrop(["--demo", "--listen", "127.0.0.1:0"], environment=environment) as running:
        yield running
        assert running.alive(), running.log()


def admin(gateway: Outcrop, method: str, path: str, body: Any = None, key: str = MASTER) -> tuple[int, Any]:
    """One call of the admin API."""
    return call(gateway, method, path, body, key=key)


def made(gateway: Outcrop, **fields: Any) -> dict[str, Any]:
    return generated(gateway, MASTER, fields)


@contextmanager
def bedrock(url: str, **settings: Any) -> Iterator[Any]:
    client = boto3.session.Session().client(
        "bedrock-runtime", endpoint_url=f"{url}/bedrock", region_name="us-east-1", **settings
    )
    try:
        yield client
    finally:
        client.close()


def signing(key: dict[str, Any]) -> dict[str, str]:
    """boto3's arguments for the AWS key pair of a key."""
    ours = key["outcrop"]
    return {
        "aws_access_key_id": ours["aws_access_key_id"],
        "aws_secret_access_key": ours["aws_secret_access_key"],
    }


def test_a_key_from_an_empty_body_works_on_every_surface(keyed: Outcrop) -> None:
    key = made(keyed)
    status, answer = admin(
        keyed, "POST", f"/bedrock/model/{NOVA}/converse", {"messages": ASKED}, key["key"]
    )
    assert status == 200, answer
    assert answer["output"]["message"]["role"] == "assistant"
    status, answer = admin(
        keyed, "POST", f"/bedrock/model/{ENDED}/converse", {"messages": ASKED}, key["key"]
    )
    assert (status, "end of its life" in answer["message"]) == (404, True), "the answer is Bedrock's"
    with openai.OpenAI(base_url=f"{keyed.url}/v1", api_key=key["key"], timeout=PATIENCE) as client:
        chat = client.chat.completions.create(model=NOVA, messages=[{"role": "user", "content": "Hi"}])
        assert chat.choices[0].message.content
        assert client.embeddings.create(model="amazon.titan-embed-text-v2:0", input="Hi").data[0].embedding
        assert any(model.id for model in client.models.list())
    with bedrock(keyed.url, **signing(key)) as client:
        assert client.converse(modelId=NOVA, messages=ASKED)["stopReason"]
        events = client.converse_stream(modelId=NOVA, messages=ASKED)["stream"]
        assert any("messageStop" in event for event in events)
        body = json.dumps({"messages": ASKED})
        assert client.invoke_model(modelId=NOVA, body=body)["body"].read()


def test_a_key_is_a_bearer_token_for_boto3_over_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    with https_gateway(authority, {"LITELLM_MASTER_KEY": MASTER}) as (_, url):
        address = urllib.parse.urlsplit(url)
        context = ssl.create_default_context(cafile=str(authority.root))
        connection = http.client.HTTPSConnection(
            address.hostname, address.port, timeout=PATIENCE, context=context
        )
        headers = {"authorization": f"Bearer {MASTER}"}
        connection.request("POST", "/key/generate", "{}", headers)
        key = json.loads(connection.getresponse().read())["key"]
        connection.close()
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", key)
        with bedrock(url, verify=str(authority.root)) as client:
            assert client.converse(modelId=NOVA, messages=ASKED)["stopReason"]
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", f"{key}x")
        with bedrock(url, verify=str(authority.root)) as client:
            with pytest.raises(botocore.exceptions.ClientError) as refused:
                client.converse(modelId=NOVA, messages=ASKED)
            assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_a_signature_proves_the_secret_and_the_request(keyed: Outcrop) -> None:
    key = made(keyed)
    wrong = {**signing(key), "aws_secret_access_key": "x" * 43}
    unknown = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "x"}
    for credentials, code in [(wrong, "InvalidSignatureException"), (unknown, "UnrecognizedClientException")]:
        with bedrock(keyed.url, **credentials) as client:
            with pytest.raises(botocore.exceptions.ClientError) as refused:
                client.converse(modelId=NOVA, messages=ASKED)
            assert refused.value.response["Error"]["Code"] == code

    def changed(request: Any, **_: Any) -> None:
        request.body = request.body.replace(b"Hi", b"Ho")

    with bedrock(keyed.url, **signing(key)) as client:
        client.meta.events.register_last("before-send.bedrock-runtime.Converse", changed)
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            client.converse(modelId=NOVA, messages=ASKED)
        assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"
    # ARNs have characters that clients encode in their own way.
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
    with bedrock(keyed.url, **signing(key), aws_session_token="ignored") as client:
        assert client.converse(modelId=arn, messages=ASKED)["stopReason"]
    assert admin(keyed, "POST", "/key/block", {"key": key["token"]})[0] == 200
    with bedrock(keyed.url, **signing(key)) as client:
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            client.converse(modelId=NOVA, messages=ASKED)
        assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


class Counted:
    """Counts the requests that a boto3 client sends."""

    def __init__(self, client: Any) -> None:
        self.requests = 0
        client.meta.events.register("before-send.bedrock-runtime", self.count)

    def count(self, **_: Any) -> None:
        self.requests += 1


def test_a_spent_budget_is_refused_once_by_default_retries(keyed: Outcrop) -> None:
    key = made(keyed, max_budget=0)
    with openai.OpenAI(base_url=f"{keyed.url}/v1", api_key=key["key"], timeout=PATIENCE) as client:
        sent = []
        client._client.event_hooks["request"].append(lambda request: sent.append(request.url.path))
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(
                model="nova-lite", messages=[{"role": "user", "content": "Hi"}]
            )
        assert (refused.value.type, refused.value.code) == ("budget_exceeded", "insufficient_quota")
        assert len(sent) == 1, "a retry cannot help"
    for mode in ("legacy", "standard", "adaptive"):
        config = Config(retries={"mode": mode})
        with bedrock(keyed.url, config=config, **signing(key)) as client:
            counted = Counted(client)
            with pytest.raises(botocore.exceptions.ClientError) as quota:
                client.converse(modelId="amazon.nova-lite-v1:0", messages=ASKED)
            assert quota.value.response["Error"]["Code"] == "ServiceQuotaExceededException"
            assert counted.requests == 1, mode


def test_no_key_is_in_any_log(emulator: Outcrop, tmp_path: Path) -> None:
    """Canaries: keys in headers, queries, bodies and paths, right and wrong, at the most talkative level."""
    environment = {
        "LITELLM_MASTER_KEY": "sk-master-canary-0123456789abcdefghij",
        "RUST_LOG": "trace",
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": "AKIDTEST",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "OUTCROP_DATA_DIR": str(tmp_path),
    }
    master = environment["LITELLM_MASTER_KEY"]
    with Outcrop(["--listen", "127.0.0.1:0"], environment=environment) as running:
        status, key = admin(running, "POST", "/key/generate", {"max_budget": 0}, master)
        assert status == 200
        raw = key["key"]
        canaries = {master, raw, raw[-43:], "sk-wrong-canary-0123456789"}
        for sent in (raw, "sk-wrong-canary-0123456789"):
            quoted = urllib.parse.quote(sent)
            for method, path, body in [
                ("GET", f"/key/info?key={quoted}", None),
                ("POST", f"/key/{quoted}/regenerate", {"max_budget": -1}),
                ("POST", "/key/update", {"key": sent, "max_budget": -1}),
                ("POST", "/key/delete", {"keys": [f"{sent}x"]}),
                ("POST", "/key/generate", {"key": sent}),
                ("GET", f"/v1/models/{quoted}", None),
                ("POST", f"/bedrock/model/{quoted}/converse", {"messages": ASKED}),
            ]:
                for bearer in (master, sent):
                    admin(running, method, path, body, bearer)
        secret = key["outcrop"]["aws_secret_access_key"]
        with bedrock(running.url, **signing(key)) as client:
            with pytest.raises(botocore.exceptions.ClientError):
                client.converse(modelId=NOVA, messages=ASKED)
        log = running.log()
        stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for canary in canaries | {secret}:
        at = log.find(canary)
        assert at < 0, log[max(0, at - 300) : at + 20]
        assert canary.encode() not in stored, "the store holds a secret"
