"""Fixtures for every Python suite, as a pytest plugin: a demo gateway for a whole run, a seed for
invented values, and the gateway's log in every failure report."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator

import pytest

from invented import SEED, seeded
from outcrop_process import Outcrop

LOG_TAIL = 4000


@pytest.fixture(scope="session")
def gateway() -> Iterator[Outcrop]:
    """The gateway with its embedded emulator, shared by tests that do not damage it."""
    with Outcrop(["--demo", "--listen", "127.0.0.1:0"]) as running:
        yield running
        assert running.alive(), f"the gateway died during the suite:\n{running.log()}"


@pytest.fixture()
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Randomness that is reproducible from the run's seed and the test's name."""
    return seeded(request.node.nodeid)


def pytest_configure() -> None:
    """Makes SIGTERM end a run like an interrupt, so that the fixtures stop their processes."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the seed that repeats the run's invented values."""
    terminalreporter.write_line(f"names and values invented with OUTCROP_TEST_SEED={SEED}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Adds the end of every involved process's log to a failed test's report."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for name, value in getattr(item, "funcargs", {}).items():
        if isinstance(value, Outcrop):
            report.sections.append((f"log of `{name}`", value.log()[-LOG_TAIL:]))
