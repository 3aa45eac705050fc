"""Fixtures of the client suites: a demo gateway for a whole run, and its log beside every failure."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import openai
import pytest

from outcrop_process import Outcrop

LOG_TAIL = 4000


@pytest.fixture(scope="session")
def gateway() -> Iterator[Outcrop]:
    """The gateway with its embedded emulator, shared by the tests that do not hurt it."""
    with Outcrop(["--demo", "--listen", "127.0.0.1:0"]) as running:
        yield running
        assert running.alive(), f"the gateway died during the suite:\n{running.log()}"


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
        base_url=f"{gateway.url}/v1", api_key="any", max_retries=0, timeout=30
    ) as made:
        yield made


def pytest_configure() -> None:
    """A run that is told to end ends like one interrupted: the fixtures stop their processes."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Adds the tail of every involved process's log to a failed test's report."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for name, value in getattr(item, "funcargs", {}).items():
        if isinstance(value, Outcrop):
            report.sections.append((f"log of `{name}`", value.log()[-LOG_TAIL:]))
