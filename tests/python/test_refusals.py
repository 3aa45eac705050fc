"""Every refusal of a key, by every header and signature, on every route: its status and type are the ones that clients
match, and no call reaches Bedrock."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from admin_calls import call
from outcrop_process import PATIENCE, Outcrop
from scripted import KEYS as AWS_KEYS

MASTER = "sk-a-master-key-of-the-tests-0123456789"
NOVA = "us.amazon.nova-lite-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
CHAT = {"model": NOVA, "messages": [{"role": "user", "content": "Hi"}]}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
ROUTES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", {**CHAT, "stream": True}),
    ("/v1/completions", {"model": NOVA, "prompt": "Hi"}),
    ("/v1/embeddings", {"model": TITAN, "input": "Hi"}),
    ("/v1/chat/completions/input_tokens", CHAT),
    (f"/bedrock/model/{NOVA}/converse", CONVERSE),
    (f"/bedrock/model/{NOVA}/converse-stream", CONVERSE),
    (f"/bedrock/model/{NOVA}/invoke", CONVERSE),
    (f"/bedrock/model/{NOVA}/invoke-with-response-stream", CONVERSE),
    (f"/bedrock/model/{NOVA}/count-tokens", {"input": {"converse": CONVERSE}}),
]
# Counting costs no money and takes no room of rates.
FREE = ("/v1/chat/completions/input_tokens", f"/bedrock/model/{NOVA}/count-tokens")


@dataclass(frozen=True)
class Refusal:
    """The answer to a call with a key made of `fields`: on OpenAI's routes, and on Bedrock's own."""

    fields: dict[str, Any]
    status: int
    type: str
    begins: str
    native: tuple[int, str]
    param: str | None = None
    headers: tuple[str, ...] = ()


KEYS = {
    "expired": Refusal(
        {"duration": "0s"}, 401, "expired_key", "Authentication Error - Expired Key. Key Expiry time ",
        (403, "ExpiredTokenException"), "expires",
    ),
    "blocked": Refusal(
        {"blocked": True}, 401, "auth_error", "Authentication Error, Key is blocked.",
        (403, "AccessDeniedException"),
    ),
    "model": Refusal(
        {"models": ["sonnet"]}, 403, "key_model_access_denied", "key not allowed to access model.",
        (403, "AccessDeniedException"), "model",
    ),
    "geography": Refusal(
        {"allowed_geographies": ["eu"]}, 403, "key_model_access_denied", "", (403, "AccessDeniedException"), "model",
    ),
    "route": Refusal(
        {"allowed_routes": ["info_routes"]}, 403, "auth_error", "Virtual key is not allowed to call this route.",
        (403, "AccessDeniedException"),
    ),
    "rpm": Refusal(
        {"rpm_limit": 0}, 429, "rate_limit_error", "Rate limit exceeded for api_key: ",
        (429, "ThrottlingException"), headers=("rate_limit_type",),
    ),
    "parallel": Refusal(
        {"max_parallel_requests": 0}, 429, "rate_limit_error", "Rate limit exceeded for api_key: ",
        (429, "ThrottlingException"), headers=("rate_limit_type",),
    ),
    "budget": Refusal(
        {"max_budget": 0}, 429, "budget_exceeded", "Budget has been exceeded! Key=",
        (400, "ServiceQuotaExceededException"), headers=("x-outcrop-limit",),
    ),
    "end user": Refusal(
        {"metadata": {"end_user": "spent"}}, 429, "budget_exceeded", "ExceededBudget: End User=spent over budget.",
        (400, "ServiceQuotaExceededException"), "user", ("x-outcrop-limit",),
    ),
}


class Gateway:
    """A gateway, and the emulator behind it whose calls are counted."""

    def __init__(self, running: Outcrop, upstream: Outcrop) -> None:
        self.running = running
        self.upstream = upstream

    def send(
        self, path: str, body: Any, headers: dict[str, str], key: Credentials | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        text = json.dumps(body)
        url = f"{self.running.url}{path.replace(':', '%3A')}"
        request = AWSRequest("POST", url, {"content-type": "application/json", **headers}, text)
        if key:
            SigV4Auth(key, "bedrock", "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection(*self.running.address, timeout=PATIENCE)
        connection.request("POST", url.removeprefix(self.running.url), text, dict(request.headers))
        answer = connection.getresponse()
        received = answer.status, answer.headers, answer.read()
        connection.close()
        return received

    def admin(self, path: str, body: Any) -> dict[str, Any]:
        status, told = call(self.running, "POST", path, body, key=MASTER)
        assert status == 200, told
        return told

    def calls(self) -> int:
        connection = http.client.HTTPConnection(*self.upstream.address, timeout=PATIENCE)
        connection.request("GET", "/_emulator/calls")
        calls = [call for call in json.loads(connection.getresponse().read()) if call["model_id"]]
        connection.close()
        return len(calls)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Outcrop(["emulate", "--listen", "127.0.0.1:0"], ready_path=None) as upstream:
        environment = {"LITELLM_MASTER_KEY": MASTER, "AWS_ENDPOINT_URL": upstream.url, **AWS_KEYS}
        text = "listen: 127.0.0.1:0\n"
        with Outcrop(
            ["--config", "outcrop.yaml"], environment=environment, files={"outcrop.yaml": text}
        ) as running:
            made = Gateway(running, upstream)
            made.admin("/customer/new", {"user_id": "spent", "max_budget": 0})
            yield made


def credentials(key: dict[str, Any]) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """The ways to send a key."""
    secret = key["key"]
    yield "authorization", lambda: {"headers": {"authorization": f"Bearer {secret}"}}
    for name in ("x-api-key", "api-key", "x-litellm-api-key", "x-goog-api-key", "ocp-apim-subscription-key"):
        yield name, lambda name=name: {"headers": {name: secret}}
    pair = Credentials(key["outcrop"]["aws_access_key_id"], key["outcrop"]["aws_secret_access_key"])
    yield "signature", lambda: {"headers": {}, "key": pair}


def check(path: str, told: str, refusal: Refusal, received: tuple[int, http.client.HTTPMessage, bytes]) -> None:
    status, headers, body = received
    answer = json.loads(body)
    if path.startswith("/bedrock"):
        assert (status, headers["x-amzn-errortype"]) == refusal.native, (told, body)
        assert answer["message"], told
        return
    error = answer["error"]
    assert (status, error["type"], error["param"]) == (refusal.status, refusal.type, refusal.param), (told, body)
    assert error["message"].startswith(refusal.begins), (told, error)
    for name in refusal.headers:
        assert headers[name], (told, name, headers.items())


@pytest.mark.parametrize("case", KEYS)
def test_a_key_is_refused_alike_on_every_route(gateway: Gateway, case: str) -> None:
    refusal = KEYS[case]
    key = gateway.admin("/key/generate", refusal.fields)
    before, count = gateway.calls(), 0
    for name, credential in credentials(key):
        for path, body in ROUTES:
            if path in FREE and refusal.status == 429:
                continue
            # Titan runs in its region, which is in the United States.
            received = gateway.send(path, body, **credential())
            check(path, f"{case} {name} {path}", refusal, received)
            assert key["key"] not in received[2].decode(), "a key is repeated"
            count += 1
    assert count >= 56
    assert gateway.calls() == before, "a refused call reached Bedrock"


def test_missing_wrong_and_ambiguous_credentials_are_told_apart(gateway: Gateway) -> None:
    one, other = (gateway.admin("/key/generate", {}) for _ in range(2))
    nothing = Refusal(
        {}, 401, "auth_error", "Authentication Error, No api key passed in.",
        (403, "MissingAuthenticationTokenException"),
    )
    unknown = Refusal(
        {}, 401, "auth_error", "Authentication Error, Invalid proxy server token passed.",
        (403, "UnrecognizedClientException"), "key",
    )
    both = Refusal({}, 400, "bad_request_error", "", (400, "ValidationException"))
    stranger = {"key": f"{one['key'][:-4]}abcd", "outcrop": {**one["outcrop"], "aws_access_key_id": "OCunknown00000"}}
    forged = {**one["outcrop"], "aws_secret_access_key": "x" * 40}
    before = gateway.calls()
    for path, body in ROUTES:
        check(path, f"nothing {path}", nothing, gateway.send(path, body, {}))
        for name, credential in credentials(stranger):
            check(path, f"unknown {name} {path}", unknown, gateway.send(path, body, **credential()))
        ambiguous = {"authorization": f"Bearer {one['key']}", "x-api-key": other["key"]}
        check(path, f"both {path}", both, gateway.send(path, body, ambiguous))
        signed = Credentials(forged["aws_access_key_id"], forged["aws_secret_access_key"])
        status, headers, _ = gateway.send(path, body, {}, signed)
        expected = (403, "InvalidSignatureException") if path.startswith("/bedrock") else (401, None)
        assert (status, headers["x-amzn-errortype"]) == expected, path
    assert gateway.calls() == before
