"""Fixtures of this project: the gateway, and no AWS set-up of the developer's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from aws_environment import without_aws

pytest_plugins = ["outcrop_fixtures"]

# Set before any client is imported: none of them may report or download.
os.environ.update(
    {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
)


@pytest.fixture(autouse=True)
def no_aws_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Takes the developer's AWS variables and files away."""
    without_aws(monkeypatch)
    yield
