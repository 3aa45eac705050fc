"""Accessibility of every screen, its width, and pictures for the documentation."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser

from console_pages import MASTER, OWN_FILES, Console, Gateway
from outcrop_process import Outcrop

SCREENS = ["overview?range=7d", "keys", "models?q=nova", "requests?range=7d", "playground"]
# Rules whose findings readers cannot pass by.
SERIOUS = {"serious", "critical"}


def demo(running: Outcrop) -> tuple[str, str]:
    """Address and key of the console of a demo, as it greets."""
    found = re.search(r"(http://\S+)/console/\s+sign in with (\S+)", running.log())
    assert found, running.log()
    return found.group(1), found.group(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_screen_is_accessible(browser: Browser, gateway: Gateway, scheme: str) -> None:
    """B15: no serious finding of axe, wide and at 320 pixels, where nothing is cut off."""
    key = gateway.make_key(key_alias=f"looks-{scheme}", max_budget=1)["key"]
    gateway.chat(key)
    # Colours differ by the scheme, all else does not.
    rules = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}
    for width in (1280, 320):
        with Console(browser, gateway.url, color_scheme=scheme, viewport={"width": width, "height": 800}) as console:
            found = [*serious(console, "sign-in", rules)]
            console.sign_in(MASTER)
            for place in SCREENS:
                console.go(place)
                found += serious(console, place, rules)
                assert console.page.evaluate("document.documentElement.scrollWidth") <= width, (place, width)
            console.go("keys")
            console.page.get_by_role("button", name="New key").click()
            found += serious(console, "dialog", rules)
            assert not found, found


def serious(console: Console, place: str, rules: dict[str, list[str]]) -> list[tuple[str, str, str]]:
    """Serious findings of axe, each with its place."""
    # axe evaluates no string in the page: the policy would refuse it.
    options = {"preload": False, "resultTypes": ["violations"], **rules}
    found = Axe().run(console.page, options=options).response["violations"]
    return [(place, one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in SERIOUS]


def test_a_demo_shows_something_at_once(browser: Browser, request: pytest.FixtureRequest) -> None:
    """B20: from `--demo` to a living console; with --pictures each screen is a picture, light and dark."""
    pictures = request.config.getoption("--pictures")
    with Outcrop(["--demo", "--listen", "127.0.0.1:0"], environment=OWN_FILES) as running:
        url, key = demo(running)
        for scheme in ("light", "dark"):
            size = {"width": 1180, "height": 760}
            with Console(browser, url, color_scheme=scheme, viewport=size) as console:
                console.sign_in(key)
                for place in SCREENS:
                    console.go(place)
                    name = place.split("?")[0]
                    taken = console.page.screenshot()
                    assert len(taken) > 10_000, (name, scheme)
                    if pictures:
                        small = Image.open(io.BytesIO(taken)).quantize(96)
                        small.save(Path(pictures, f"{name}-{scheme}.png"), optimize=True)
                console.go("overview?range=7d")
                assert "$0.00" not in console.page.locator(".tile").first.inner_text()
