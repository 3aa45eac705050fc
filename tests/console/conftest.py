"""Fixtures of the browser tests: a gateway with accounts, Debian's Chromium, and a page that is watched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from console_pages import CONFIG, MASTER, OWN_FILES, Console, Gateway, chromium
from outcrop_process import Outcrop

pytest_plugins = ["outcrop_fixtures"]


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """A gateway with the emulator behind it, and accounts in SQLite."""
    arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"]
    with Outcrop(arguments, files={"outcrop.yaml": CONFIG}, environment=OWN_FILES) as running:
        yield Gateway(running)
        assert running.alive(), f"the gateway died during the suite:\n{running.log()}"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a network beyond loopback: names resolve to nothing."""
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
        started = playwright.chromium.launch(executable_path=chromium(), args=flags)
        yield started
        started.close()


@pytest.fixture()
def console(browser: Browser, gateway: Gateway) -> Iterator[Console]:
    """The console in a context of its own, signed in with the master key."""
    with Console(browser, gateway.url) as opened:
        opened.sign_in(MASTER)
        yield opened


@pytest.fixture()
def stranger(browser: Browser, gateway: Gateway) -> Iterator[Console]:
    """The console before anybody has signed in."""
    with Console(browser, gateway.url) as opened:
        yield opened


def pytest_addoption(parser: pytest.Parser) -> None:
    """Pictures for the documentation are taken only when they are asked for."""
    parser.addoption("--pictures", default=None, help="the folder for pictures of the screens")


def pytest_report_header() -> str:
    """Names the browser in the report."""
    return f"browser: {shutil.which('chromium') or 'none'}"
