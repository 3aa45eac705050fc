"""curl on Bedrock's own API: each way to authenticate, on each of the four operations."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from authority import Authority, https_gateway
from outcrop_process import PATIENCE, Outcrop
from samples import CLAUDE

DUMMY_KEYS = ["--aws-sigv4", "aws:amz:us-east-1:bedrock", "--user", "AKIDDUMMY:dummy"]
BEARER = ["--header", "authorization: Bearer anything"]
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "What is an outcrop?"}]}]}
CLAUDES_OWN = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "What is an outcrop?"}],
}


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of a gateway that serves https, and the certificate to trust."""
    authority = Authority(tmp_path_factory.mktemp("tls"))
    with https_gateway(authority) as (_, url):
        yield url, authority.root


def curl(url: str, body: dict[str, object], *arguments: str) -> bytes:
    """The body of an answer, which must be a 200."""
    program = shutil.which("curl")
    assert program, "curl is not installed"
    result = subprocess.run(
        [program, "--disable", "--silent", "--show-error", "--fail-with-body", "--max-time", "20", *arguments,
         "--header", "content-type: application/json", "--data", json.dumps(body), url],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0, (result.stdout, result.stderr)
    return result.stdout


def events(stream: bytes) -> list[tuple[str, Any]]:
    """Type and payload of every frame, their checksums verified."""
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    return [(frame.headers[":event-type"], json.loads(frame.payload)) for frame in buffer]


def check_all_four(base: str, *arguments: str) -> None:
    """The four operations, by alias and by id."""
    whole = json.loads(curl(f"{base}/model/nova-lite/converse", CONVERSE, *arguments))
    text = whole["output"]["message"]["content"][0]["text"]
    assert "What is an outcrop?" in text
    stream = curl(f"{base}/model/nova-lite/converse-stream", CONVERSE, *arguments)
    read = events(stream)
    assert [read[0][0], read[-1][0]] == ["messageStart", "metadata"]
    pieces = [event["delta"]["text"] for kind, event in read if kind == "contentBlockDelta"]
    assert "".join(pieces) == text and len(pieces) > 3
    embedded = json.loads(curl(f"{base}/model/titan-embed-text-v2/invoke", {"inputText": "Granite"}, *arguments))
    assert len(embedded["embedding"]) == 1024
    stream = curl(f"{base}/model/{CLAUDE}/invoke-with-response-stream", CLAUDES_OWN, *arguments)
    kinds = [kind for kind, _ in events(stream)]
    assert set(kinds) == {"chunk"} and len(kinds) > 5


def test_dummy_keys_over_http(gateway: Outcrop) -> None:
    check_all_four(f"{gateway.url}/bedrock", *DUMMY_KEYS)


def test_a_bearer_key_over_http(gateway: Outcrop) -> None:
    check_all_four(f"{gateway.url}/bedrock", *BEARER)


def test_no_credentials_over_http(gateway: Outcrop) -> None:
    check_all_four(f"{gateway.url}/bedrock")


def test_a_bearer_key_over_https(secure: tuple[str, Path]) -> None:
    url, root = secure
    check_all_four(f"{url}/bedrock", *BEARER, "--cacert", str(root))
