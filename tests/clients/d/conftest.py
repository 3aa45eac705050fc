"""Fixtures of the LangChain-AWS project: it speaks Bedrock's own API, so nothing of OpenAI's is here."""

from __future__ import annotations

import os
from collections.abc import Iterator

import boto3
import pytest

from aws_environment import without_aws
from outcrop_process import Outcrop

pytest_plugins = ["outcrop_fixtures"]

# Nothing here may phone home; set before LangChain is imported.
os.environ.update({"LANGCHAIN_TRACING_V2": "false", "LANGSMITH_TRACING": "false"})


@pytest.fixture(autouse=True)
def no_aws_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever runs the suite may have AWS set up: it is out of the way, also what boto3 kept of it."""
    without_aws(monkeypatch)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    yield


@pytest.fixture(scope="session")
def native_url(gateway: Outcrop) -> str:
    """What a user writes as `endpoint_url`."""
    return f"{gateway.url}/bedrock"
