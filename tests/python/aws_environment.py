"""Environments for AWS's Python clients: without the developer's AWS settings, or with the environment
as the only source."""

from __future__ import annotations

import os

import pytest

REGION = "us-east-1"
DUMMY_KEYS = {"AWS_ACCESS_KEY_ID": "AKIDDUMMY", "AWS_SECRET_ACCESS_KEY": "dummy"}


def without_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes all of the developer's own AWS settings."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def pointed_at(gateway: str) -> dict[str, str]:
    """The variables that point bedrock-runtime's clients at a gateway, without credentials."""
    return {
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"{gateway}/bedrock",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_MAX_ATTEMPTS": "1",
    }
