"""Tests of the judging upstream: boto3 passes its checks, and each kind of wrong request does not."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from outcrop_process import PATIENCE
from upstream import Expectation, Received, Upstream

KEYS = Credentials("AKIDEXAMPLE", "secret-for-tests", "token-for-tests")
MODEL = "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.amazon.nova-lite-v1:0"
LABEL = "us.amazon.nova-lite-v1%3A0"
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(Expectation(credentials=KEYS)) as server:
        yield server


def send(
    upstream: Upstream,
    body: dict[str, Any],
    *,
    keys: Credentials = KEYS,
    service: str = "bedrock",
    tampered: bytes | None = None,
    sent: dict[str, str] | None = None,
) -> Received:
    """One signed request; `tampered` and `sent` change it after it was signed."""
    data = json.dumps(body).encode()
    path = f"/model/{LABEL}/converse"
    request = AWSRequest("POST", f"{upstream.url}{path}", data=data)
    request.headers["content-type"] = "application/json"
    SigV4Auth(keys, service, "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", upstream.server.server_port, timeout=PATIENCE)
    try:
        headers = {**dict(request.headers.items()), **(sent or {})}
        connection.request("POST", path, tampered or data, headers)
        connection.getresponse().read()
    finally:
        connection.close()
    return upstream.received[-1]


def test_boto3_has_no_problems(upstream: Upstream) -> None:
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=upstream.url,
        region_name="us-east-1",
        aws_access_key_id=KEYS.access_key,
        aws_secret_access_key=KEYS.secret_key,
        aws_session_token=KEYS.token,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=PATIENCE, read_timeout=PATIENCE),
    )
    message = {"role": "user", "content": [{"text": "Grüße"}, {"image": {"format": "png", "source": {"bytes": b"x"}}}]}
    answer = client.converse(modelId=MODEL, messages=[message], inferenceConfig={"maxTokens": 5})
    assert answer["output"]["message"]["content"] == [{"text": "Hello from upstream."}]
    events = list(client.converse_stream(modelId=MODEL, messages=[message])["stream"])
    text = "".join(e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e)
    assert text == "Hello from upstream." and events[-1]["metadata"]["usage"]["totalTokens"] == 18
    assert [received.problems for received in upstream.received[-2:]] == [[], []]
    assert upstream.received[-1].model_id == MODEL


def test_a_valid_request_has_no_problems(upstream: Upstream) -> None:
    assert send(upstream, BODY).problems == []


def test_wrong_signatures_are_found(upstream: Upstream) -> None:
    other = Credentials(KEYS.access_key, "another secret", KEYS.token)
    stranger = Credentials("AKIDSTRANGER", KEYS.secret_key, KEYS.token)
    other_token = Credentials(KEYS.access_key, KEYS.secret_key, "another-token")
    assert "signature differs" in send(upstream, BODY, keys=other).problems[0]
    assert "credential scope" in send(upstream, BODY, keys=stranger).problems[0]
    assert "session token" in send(upstream, BODY, keys=other_token).problems[0]
    assert "credential scope" in send(upstream, BODY, service="bedrock-runtime").problems[0]
    changed = json.dumps(BODY).replace("hi", "ho").encode()
    assert "signature differs" in send(upstream, BODY, tampered=changed).problems[0]
    late = send(upstream, BODY, sent={"x-amz-unsigned": "x"})
    assert "sent and not signed" in late.problems[0]
    assert "not signed" in send(upstream, BODY, sent={"Authorization": "Bearer x"}).problems[0]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"messages": "hi"}, "messages"),
        ({**BODY, "temperature": 1}, "no member"),
        ({**BODY, "inferenceConfig": {"maxTokens": 1.5}}, "maxTokens"),
        ({**BODY, "inferenceConfig": {"maxTokens": 0}}, "maxTokens"),
        ({**BODY, "inferenceConfig": {"stopSequences": [""]}}, "stopSequences"),
        ({"messages": [{"role": "developer", "content": [{"text": "x"}]}]}, "role"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "no member"),
        ({"messages": [{"role": "user", "content": [{"text": "x", "cachePoint": {"type": "default"}}]}]}, "union"),
        ({"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "?"}}}]}]}, "base64"),
        ({"messages": [{"role": "user"}]}, "content"),
        ({**BODY, "inferenceConfig": {"temperature": 1.5}}, "above the most"),
        ({**BODY, "inferenceConfig": {"stopSequences": ["x"] * 2501}}, "above the most"),
        ({**BODY, "requestMetadata": {"team": "a|b"}}, "pattern"),
        ({**BODY, "requestMetadata": {"te|am": "a"}}, "pattern"),
        ({**BODY, "toolConfig": {"tools": [{"toolSpec": {"name": "a b", "inputSchema": {"json": {}}}}]}}, "pattern"),
        ({**BODY, "toolConfig": {"tools": [{"toolSpec": {"name": "a" * 65, "inputSchema": {"json": {}}}}]}}, "most"),
    ],
)
def test_wrong_bodies_are_found(upstream: Upstream, body: dict[str, Any], part: str) -> None:
    assert part in " ".join(send(upstream, body).problems)


def test_bearer_keys_are_compared() -> None:
    with Upstream(Expectation(bearer="right")) as upstream:
        plain = {"Authorization": "Bearer right"}
        assert send(upstream, BODY, sent=plain).problems == ["x-amz-date beside a bearer key"]
        assert "wrong bearer key" in send(upstream, BODY).problems
