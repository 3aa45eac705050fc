"""The console as its reader uses it, and the gateway behind it by its API."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.error
import urllib.request
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from outcrop_process import Outcrop

MASTER = "sk-master-of-the-console-tests-0123456789"
VIEWER = "sk-viewer-of-the-console-tests-0123456789"
CONFIG = f"""
master_key: {MASTER}
admin: {{ read_only_key: {VIEWER} }}
data_dir: .
models:
  house:
    - model: us.amazon.nova-lite-v1:0
    - model: us.amazon.nova-micro-v1:0
"""
# For work on the page: its files from a folder.
OWN_FILES = {name: os.environ[name] for name in ["OUTCROP_CONSOLE_DIR"] if name in os.environ}
# For any step on a slow machine: only a page that hangs takes longer.
PATIENCE = 60_000


def skip_without(program: str) -> NoReturn:
    """Skips a test whose program is missing; fails it with CI=true."""
    message = f"{program} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def chromium() -> str:
    """The path of Debian's Chromium."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or skip_without("chromium")


class Gateway:
    """A running gateway and its admin API."""

    def __init__(self, process: Outcrop, key: str = MASTER) -> None:
        self.process = process
        self.url = process.url
        self.key = key

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers of an answer."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {key or self.key}", "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null"), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null"), dict(error.headers)

    def get(self, path: str) -> Any:
        """The body of an answer that must be a success."""
        status, body, _ = self.ask("GET", path)
        assert status == 200, f"{path}: {status} {body}"
        return body

    def make_key(self, **fields: Any) -> dict[str, Any]:
        """A new key."""
        status, body, _ = self.ask("POST", "/key/generate", fields)
        assert status == 200, body
        return body

    def chat(self, key: str, text: str = "Hello", model: str = "house", **more: Any) -> tuple[int, Any, dict[str, str]]:
        """A chat completion."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.ask("POST", "/v1/chat/completions", body, key)


class Console:
    """A page of the console in a context of its own. It fails where the page breaks its policy, throws, or asks another
    address."""

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:
        self.url = url
        settings = {"viewport": {"width": 1280, "height": 900}, "timezone_id": "Europe/Paris", **context}
        self.context = browser.new_context(**settings)
        self.context.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        self.page: Page = self.context.new_page()
        self.requests: list[Request] = []
        self.faults: list[str] = []
        self.watch(self.page)

    def watch(self, page: Page) -> None:
        """Notes requests and faults of a page."""
        page.on("request", lambda request: self.requests.append(request))
        page.on("pageerror", lambda error: self.faults.append(f"thrown: {error}"))
        page.on("console", lambda said: self.faults.append(said.text) if "policy" in said.text.lower() else None)

    def __enter__(self) -> Console:
        self.page.goto(f"{self.url}/console/")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        foreign = [one.url for one in self.requests if urlsplit(one.url).netloc != urlsplit(self.url).netloc]
        foreign = [url for url in foreign if not url.startswith("blob:")]
        self.context.close()
        if kind is None:
            assert not foreign, f"other addresses were asked: {foreign}"
            assert not self.faults, self.faults

    def enter_key(self, key: str) -> None:
        """Types a key and signs in."""
        self.page.get_by_label("Key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()

    def sign_in(self, key: str) -> None:
        """Signs in and waits for the first screen."""
        self.enter_key(key)
        self.page.wait_for_selector("main[data-shown]")

    def go(self, place: str) -> None:
        """Shows a screen, by its address without the sign."""
        if self.page.url.endswith(f"#/{place}"):
            return
        shows = self.shows()
        self.page.evaluate("place => { location.hash = '#/' + place; }", place)
        self.wait_for_more(shows)

    def shows(self) -> int:
        """How often a screen was shown."""
        return int(self.page.evaluate("document.getElementById('app').dataset.shows ?? 0"))

    def wait_for_more(self, shows: int) -> None:
        """Waits until a screen was shown since then."""
        # The policy of the page forbids playwright's own waiting, which evaluates a string in it.
        deadline = time.monotonic() + PATIENCE / 1000
        while self.shows() <= shows:
            assert time.monotonic() < deadline, f"{self.page.url} is not shown:\n{self.text()}"
            self.page.wait_for_timeout(20)

    def press(self, *keys: str) -> None:
        """Presses keys that lead to a screen, and waits for it."""
        shows = self.shows()
        for key in keys:
            self.page.keyboard.press(key)
        self.wait_for_more(shows)

    def is_data(self, request: Request) -> bool:
        """Whether a request asks the admin API."""
        path = urlsplit(request.url).path
        return not path.startswith("/console") and request.resource_type == "fetch"

    def data_requests(self) -> list[str]:
        """The paths that the admin API was asked for so far."""
        return [urlsplit(one.url).path for one in self.requests if self.is_data(one)]

    def text(self) -> str:
        """All text of the page."""
        return self.page.locator("body").inner_text()
