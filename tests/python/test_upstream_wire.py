"""The gateway's upstream requests: signature, path and body, checked by botocore, for many kinds of
chat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.credentials import Credentials

from outcrop_process import PATIENCE, Outcrop
from samples import CLAUDE, NOVA, PNG_BASE64, PNG_URL
from sse import chat, stream
from upstream import Expectation, Received, Reply, Upstream

STATIC = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SESSION = Credentials("ASIDEXAMPLE", "another/secret+key", "FwoGZXIvYXdzEXAMPLE//token==")
BEARER = "bedrock-api-key-EXAMPLE"
ARN = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/a1b2c3d4e5f6"
PROFILE = "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.amazon.nova-lite-v1:0"


def says(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


HI = [says("user", "Hi.")]

# name -> request without model; each is sent plain and streamed.
CHATS: dict[str, dict[str, Any]] = {
    "one user message": {"messages": HI},
    "system first": {"messages": [says("system", "Be brief."), *HI]},
    "developer first": {"messages": [says("developer", "Be brief."), *HI]},
    "several system messages": {
        "messages": [says("system", "a"), says("developer", "b"), *HI, says("system", "c")]
    },
    "system in parts": {"messages": [says("system", [text("a"), text("b")]), *HI]},
    "blank system": {"messages": [says("system", "  "), *HI]},
    "user in parts": {"messages": [says("user", [text("a"), text("b")])]},
    "three turns": {"messages": [*HI, says("assistant", "Hello."), says("user", "Bye.")]},
    "users in a row": {"messages": [*HI, says("user", "two"), says("user", "three")]},
    "assistants in a row": {
        "messages": [*HI, says("assistant", "a"), says("assistant", "b"), says("user", "c")]
    },
    "assistant first": {"messages": [says("assistant", "I begin."), *HI]},
    "assistant last": {"messages": [*HI, says("assistant", "The answer is")]},
    "assistant without content": {"messages": [*HI, says("assistant", None), says("user", "and?")]},
    "assistant in parts": {
        "messages": [*HI, says("assistant", [text("a"), text("b")]), says("user", "c")]
    },
    "assistant refusal": {
        "messages": [
            *HI,
            says("assistant", [{"type": "refusal", "refusal": "I would rather not."}]),
            says("user", "Why?"),
        ]
    },
    "empty strings": {"messages": [says("user", ""), says("assistant", ""), says("user", "x")]},
    "blank text parts": {"messages": [says("user", [text(""), text(" \n"), text("x")])]},
    "empty content array": {"messages": [says("user", []), says("user", "x")]},
    "names on messages": {"messages": [says("user", "x", name="ada")]},
    "replayed reasoning": {
        "messages": [
            *HI,
            says("assistant", "Yes.", reasoning_content="I thought.", annotations=[], audio=None),
            says("user", "ok"),
        ]
    },
    "image": {"messages": [says("user", [text("see"), image(PNG_URL)])]},
    "image alone": {"messages": [says("user", [image(PNG_URL, detail="high")])]},
    "two images": {"messages": [says("user", [image(PNG_URL), text("or"), image(PNG_URL)])]},
    "image url as string": {
        "messages": [says("user", [text("x"), {"type": "image_url", "image_url": PNG_URL}])]
    },
    "image with parameters": {
        "messages": [
            says("user", [text("x"), image(f"data:image/png;charset=x;base64,{PNG_BASE64}")])
        ]
    },
    "temperature and top_p": {"messages": HI, "temperature": 0.3, "top_p": 0.8},
    "temperature zero": {"messages": HI, "temperature": 0},
    "temperature above one": {"messages": HI, "temperature": 1.7},
    "max_tokens": {"messages": HI, "max_tokens": 17},
    "max_completion_tokens": {"messages": HI, "max_completion_tokens": 18, "max_tokens": 3},
    "stop string": {"messages": HI, "stop": "END"},
    "stop list": {"messages": HI, "stop": ["a", "b", "c", "d"]},
    "stop null": {"messages": HI, "stop": None},
    "explicit nulls": {
        "messages": HI,
        "temperature": None,
        "top_p": None,
        "max_tokens": None,
        "tools": None,
        "user": None,
        "n": None,
        "stream_options": None,
    },
    "parameters not honoured": {
        "messages": HI,
        "seed": 1,
        "user": "u",
        "frequency_penalty": 0.5,
        "presence_penalty": 0.5,
        "logit_bias": {"1": 2},
        "metadata": {"a": "b"},
        "store": True,
        "n": 1,
        "unheard_of": {"deep": [1, 2]},
    },
    "unicode": {"messages": [says("user", "Grüße 世界 \U0001f30d \u200b\u202e é \x07 end")]},
    "escapes": {"messages": [says("user", 'quote " slash \\ \\n \\u0000 </script> \r\n\t')]},
    "long text": {"messages": [says("user", "sediment " * 20_000)]},
    "many messages": {
        "messages": [says(("user", "assistant")[n % 2], f"message {n}") for n in range(201)]
    },
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(Expectation(credentials=STATIC)) as server:
        yield server


@pytest.fixture(scope="module")
def through(upstream: Upstream) -> Iterator[Outcrop]:
    """A gateway whose Bedrock is the judging server."""
    with gateway_for(upstream, STATIC) as running:
        yield running


def gateway_for(upstream: Upstream, credentials: Credentials | None) -> Outcrop:
    environment = {
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream.url,
        "AWS_REGION": upstream.expectation.region,
    }
    if credentials is not None:
        environment["AWS_ACCESS_KEY_ID"] = credentials.access_key
        environment["AWS_SECRET_ACCESS_KEY"] = credentials.secret_key
        if credentials.token:
            environment["AWS_SESSION_TOKEN"] = credentials.token
    else:
        environment["AWS_BEARER_TOKEN_BEDROCK"] = BEARER
    return Outcrop(["--listen", "127.0.0.1:0"], environment=environment)


def only(upstream: Upstream, before: int) -> Received:
    """The single request received since; the judge must have found no problem in it."""
    new = upstream.received[before:]
    assert len(new) == 1, f"{len(new)} requests arrived"
    assert not new[0].problems, "\n".join(new[0].problems) + "\n" + json.dumps(new[0].body)[:1500]
    return new[0]


def assert_accepted(through: Outcrop, upstream: Upstream, request: dict[str, Any]) -> Received:
    """Sends it plain and streamed; both must be well signed, equal, and answered."""
    before = len(upstream.received)
    status, headers, answer = chat(through.address, request)
    assert status == 200, answer
    assert answer["choices"][0]["message"]["content"] == "Hello from upstream."
    assert answer["usage"]["total_tokens"] == 18
    assert headers["content-type"] == "application/json"
    plain = only(upstream, before)
    assert plain.path.endswith("/converse")
    streamed = stream(
        through.address, {**request, "stream_options": {"include_usage": True}}
    )
    assert streamed.status == 200, streamed.raw
    assert streamed.done and streamed.text == "Hello from upstream."
    assert streamed.chunks[-1]["usage"]["total_tokens"] == 18
    second = only(upstream, before + 1)
    assert second.path.endswith("/converse-stream")
    assert second.body == plain.body
    return plain


@pytest.mark.parametrize("name", CHATS)
def test_every_chat_is_accepted(through: Outcrop, upstream: Upstream, name: str) -> None:
    received = assert_accepted(through, upstream, {"model": NOVA, **CHATS[name]})
    assert received.model_id == NOVA
    roles = [message["role"] for message in received.body["messages"]]
    assert roles[0] == "user", "Converse wants the user first"
    assert all(a != b for a, b in zip(roles, roles[1:])), f"turns do not alternate: {roles}"
    for message in received.body["messages"]:
        assert message["content"], "an empty message"
        assert all(block.get("text", "x").strip() for block in message["content"]), "blank text"


def test_text_arrives_unchanged(through: Outcrop, upstream: Upstream) -> None:
    for name in ("unicode", "escapes", "long text"):
        received = assert_accepted(through, upstream, {"model": NOVA, **CHATS[name]})
        assert received.body["messages"][0]["content"][0]["text"] == CHATS[name]["messages"][0]["content"]


def test_parameters_arrive(through: Outcrop, upstream: Upstream) -> None:
    request = {
        "model": NOVA,
        "messages": [says("system", "Be brief."), *HI],
        "temperature": 0.25,
        "top_p": 0.5,
        "max_tokens": 99,
        "max_completion_tokens": 77,
        "stop": ["one", "two"],
    }
    body = assert_accepted(through, upstream, request).body
    assert body["system"] == [{"text": "Be brief."}]
    assert body["inferenceConfig"] == {
        "temperature": 0.25,
        "topP": 0.5,
        "maxTokens": 77,
        "stopSequences": ["one", "two"],
    }


def test_twenty_identical_requests_are_the_same_bytes(through: Outcrop, upstream: Upstream) -> None:
    """A prompt cache compares bytes, so the order of a schema's keys is always the caller's."""
    keys = ["zeta", "alpha", "mid", "beta", "omega", "a1"]
    schema = {"type": "object", "properties": {key: {"type": "string"} for key in keys}}
    tool = {"type": "function", "function": {"name": "find.it", "parameters": schema}}
    call = {"id": "c/1", "type": "function", "function": {"name": "find.it", "arguments": '{"zeta": "1", "alpha": "2"}'}}
    messages = [*HI, says("assistant", None, tool_calls=[call]), {"role": "tool", "tool_call_id": "c/1", "content": "ok"}]
    upstream.received.clear()
    for _ in range(20):
        answer = httpx.post(
            f"{through.url}/v1/chat/completions",
            json={"model": NOVA, "messages": messages, "tools": [tool]},
            timeout=PATIENCE,
        )
        assert answer.status_code == 200, answer.text
    bodies = {one.raw for one in upstream.received}
    assert len(upstream.received) == 20 and len(bodies) == 1
    (raw,) = bodies
    places = [raw.index(f'"{key}"'.encode()) for key in keys]
    assert places == sorted(places), raw


def test_image_bytes_pass_through(through: Outcrop, upstream: Upstream) -> None:
    body = assert_accepted(through, upstream, {"model": NOVA, **CHATS["image"]}).body
    blocks = body["messages"][0]["content"]
    assert {"image": {"format": "png", "source": {"bytes": PNG_BASE64}}} in blocks


@pytest.mark.parametrize("model", [NOVA, CLAUDE, ARN, PROFILE, "amazon.nova-lite-v1:0"])
def test_model_ids(through: Outcrop, upstream: Upstream, model: str) -> None:
    received = assert_accepted(through, upstream, {"model": model, "messages": HI})
    assert received.model_id == model
    label = received.path.split("/model/")[1].rsplit("/", 1)[0]
    assert ":" not in label and "/" not in label, f"the label is not encoded: {label}"


def test_no_client_secret_is_forwarded(through: Outcrop, upstream: Upstream) -> None:
    before = len(upstream.received)
    chat(
        through.address,
        {"model": NOVA, "messages": HI},
        {"authorization": "Bearer sk-client-canary", "x-api-key": "sk-client-canary", "cookie": "sk-client-canary"},
    )
    received = only(upstream, before)
    assert "sk-client-canary" not in json.dumps(received.headers)


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1"])
def test_session_token_and_region(region: str) -> None:
    with Upstream(Expectation(credentials=SESSION, region=region)) as upstream:
        with gateway_for(upstream, SESSION) as running:
            assert_accepted(running, upstream, {"model": NOVA, "messages": HI})


def test_bearer_key() -> None:
    with Upstream(Expectation(bearer=BEARER)) as upstream:
        with gateway_for(upstream, None) as running:
            assert_accepted(running, upstream, {"model": ARN, "messages": HI})


def test_endpoint_with_a_path() -> None:
    with Upstream(Expectation(credentials=STATIC), prefix="/prefix/of/proxy") as upstream:
        with gateway_for(upstream, STATIC) as running:
            received = assert_accepted(running, upstream, {"model": ARN, "messages": HI})
            assert received.path.startswith("/prefix/of/proxy/model/arn%3Aaws%3A")


# AWS's status and error type -> status and code that a client sees.
FAILURES = [
    (400, "ValidationException", "The provided model identifier is invalid.", 404, "model_not_found"),
    (400, "ValidationException", "Input is too long for requested model.", 400, "context_length_exceeded"),
    (400, "ValidationException", "Something else is wrong.", 400, None),
    (429, "ThrottlingException", "Too many requests, please wait.", 429, "rate_limit_exceeded"),
    (503, "ServiceUnavailableException", "Bedrock is unable to process.", 503, None),
]


@pytest.mark.parametrize(("status", "kind", "message", "seen", "code"), FAILURES)
def test_failures_become_openai_errors(
    through: Outcrop, upstream: Upstream, status: int, kind: str, message: str, seen: int, code: str | None
) -> None:
    upstream.reply = Reply(
        status=status,
        body=json.dumps({"message": message}).encode(),
        headers={"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"},
    )
    try:
        for streamed in (False, True):
            got, _, answer = chat(
                through.address, {"model": NOVA, "messages": HI, "stream": streamed}
            )
            assert got == seen, answer
            assert set(answer["error"]) >= {"message", "type", "param", "code"}
            if code is not None:
                assert answer["error"]["code"] == code
            assert message.rstrip(".") in answer["error"]["message"] or code == "context_length_exceeded"
    finally:
        upstream.reply = Reply()


def test_an_error_page_is_an_error(through: Outcrop, upstream: Upstream) -> None:
    for status in (200, 502):
        upstream.reply = Reply(status=status, body=b"<html>Bad Gateway</html>")
        try:
            got, _, answer = chat(through.address, {"model": NOVA, "messages": HI})
        finally:
            upstream.reply = Reply()
        assert got >= 500, answer
        assert "<html>" not in json.dumps(answer)
        assert answer["error"]["message"]
