"""boto3 configured by its environment alone, for programs that cannot be changed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import InvalidEndpointConfigurationError

from authority import Authority, https_gateway
from aws_environment import DUMMY_KEYS, pointed_at, without_aws
from outcrop_process import PATIENCE, Outcrop, clean_environment
from samples import ECHO

# A program that does not know about a gateway: it names no endpoint, region or keys.
PROGRAM = """
import json
import boto3

runtime = boto3.client("bedrock-runtime")
messages = [{"role": "user", "content": [{"text": "Who is there?"}]}]
whole = runtime.converse(modelId="emulator.echo", messages=messages)
stream = runtime.converse_stream(modelId="nova-lite", messages=messages)["stream"]
body = json.dumps({"inputText": "Granite", "dimensions": 256})
vector = runtime.invoke_model(modelId="titan-embed-text-v2", body=body)["body"].read()
try:
    runtime.converse(modelId="emulator.throttle", messages=messages)
    refused = None
except runtime.exceptions.ThrottlingException as error:
    refused = error.response["ResponseMetadata"]["HTTPStatusCode"]
print(json.dumps({
    "text": whole["output"]["message"]["content"][0]["text"],
    "events": [next(iter(event)) for event in stream],
    "dimensions": len(json.loads(vector)["embedding"]),
    "refused": refused,
}))
"""


def ran(environment: dict[str, str], folder: Path) -> dict[str, object]:
    """The program's output in an environment with no other AWS variables."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=clean_environment(str(folder), environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def check(said: dict[str, object]) -> None:
    events = said.pop("events")
    assert isinstance(events, list) and events[0] == "messageStart" and events[-1] == "metadata"
    assert events.count("contentBlockDelta") > 3
    assert said == {"text": "Who is there?", "dimensions": 256, "refused": 429}


def test_dummy_keys_over_http(gateway: Outcrop, tmp_path: Path) -> None:
    check(ran({**pointed_at(gateway.url), **DUMMY_KEYS}, tmp_path))


def test_the_endpoint_in_a_shared_profile(gateway: Outcrop, tmp_path: Path) -> None:
    """The same from ~/.aws/config, where AWS documents it too."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        "[default]\nregion = us-east-1\nmax_attempts = 1\nservices = gateway\n"
        "aws_access_key_id = AKIDDUMMY\naws_secret_access_key = dummy\n"
        f"[services gateway]\nbedrock_runtime =\n  endpoint_url = {gateway.url}/bedrock\n"
    )
    check(ran({"AWS_CONFIG_FILE": str(tmp_path / ".aws" / "config")}, tmp_path))


def test_a_bearer_key_over_https(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with https_gateway(authority) as (_, url):
        bearer = {"AWS_BEARER_TOKEN_BEDROCK": "any-key", "AWS_CA_BUNDLE": str(authority.root)}
        check(ran({**pointed_at(url), **bearer}, tmp_path))


@pytest.mark.parametrize("keys", [{}, DUMMY_KEYS], ids=["alone", "beside keys"])
def test_a_bearer_key_over_http_is_refused_by_boto3(
    gateway: Outcrop, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str]
) -> None:
    """Refused before a request is sent, even if keys would suffice, as docs/native-api.md says."""
    without_aws(monkeypatch)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name, value in {**pointed_at(gateway.url), **keys, "AWS_BEARER_TOKEN_BEDROCK": "any-key"}.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("bedrock-runtime")
    with pytest.raises(InvalidEndpointConfigurationError, match="requires an HTTPS endpoint"):
        client.converse(modelId=ECHO, messages=[{"role": "user", "content": [{"text": "x"}]}])
