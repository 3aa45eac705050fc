"""Fixtures of this project: the gateway, and no AWS set-up of the developer's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from admin_calls import generated
from aws_environment import without_aws
from outcrop_process import Outcrop

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


MASTER = "sk-1234"


@pytest.fixture(scope="session")
def keyed() -> Iterator[Outcrop]:
    """A demo gateway that wants keys."""
    with Outcrop(["--demo", "--listen", "127.0.0.1:0"], environment={"LITELLM_MASTER_KEY": MASTER}) as running:
        yield running
        assert running.alive(), running.log()


@pytest.fixture()
def key(keyed: Outcrop) -> dict[str, Any]:
    """A new key of that gateway, with its AWS key pair."""
    return generated(keyed, MASTER, {})
