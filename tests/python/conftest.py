"""Fixtures of the suites around the official clients."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from aws_fakes import Judge, Mint
from outcrop_process import PATIENCE, Outcrop

pytest_plugins = ["outcrop_fixtures"]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Outcrop]:
    """The emulator alone, for AWS's own clients."""
    with Outcrop(["emulate", "--listen", "127.0.0.1:0"], ready_path=None) as running:
        yield running
        assert running.alive(), f"the emulator died during the suite:\n{running.log()}"


@pytest.fixture()
def client(gateway: Outcrop) -> Iterator[openai.OpenAI]:
    """The official client without retries, so that a test sees the first answer."""
    with openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key="any", max_retries=0, timeout=PATIENCE
    ) as made:
        yield made


@pytest.fixture()
def mint() -> Mint:
    """Unique credentials, with all secrets to search the log for."""
    return Mint()


@pytest.fixture()
def judge(mint: Mint) -> Iterator[Judge]:
    """A Bedrock that accepts only the mint's credentials."""
    with Judge(mint) as server:
        yield server
