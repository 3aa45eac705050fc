"""Calls from the Playground by each API, and what the page tells of them."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from console_pages import Console, Gateway

SURFACES = {"chat": "Chat Completions", "responses": "Responses", "messages": "Messages", "converse": "Converse (Bedrock)"}


@pytest.mark.parametrize("surface", SURFACES)
def test_each_api_answers_whole_and_streamed(console: Console, gateway: Gateway, surface: str) -> None:
    """B18: the answer, its tokens and times; the key is in no address and no storage."""
    key = gateway.make_key(key_alias=f"play-{surface}")["key"]
    console.go("playground" if surface == "chat" else f"playground?api={surface}")
    page = console.page
    page.locator("form [name=key]").fill(key)
    page.locator("form [name=model]").fill("us.amazon.nova-lite-v1:0")
    for stream in (True, False):
        page.get_by_label("Stream").set_checked(stream)
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("button", name="Send")).to_be_enabled()
        expect(page.get_by_label("Answer", exact=True)).not_to_be_empty()
        facts = page.locator(".card .pairs").inner_text()
        assert "Tokens in, out" in facts and "First byte, total" in facts, facts
        assert page.locator(".card .bad").count() == 0, page.locator(".card").last.inner_text()
    expect(page.locator(".card .pairs")).to_contain_text("Cost")
    assert "Request id" in facts, facts
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, location.href])")
    assert key not in stored


def test_stop_ends_the_call(console: Console, gateway: Gateway) -> None:
    """B18: a stopped stream is over for the gateway too."""
    key = gateway.make_key(key_alias="play-stop")
    console.go("playground")
    page = console.page
    page.locator("form [name=key]").fill(key["key"])
    page.locator("form [name=model]").fill("house")
    page.locator("form [name=text]").fill("word " * 3000)
    page.locator("form [name=max]").fill("4000")
    page.get_by_label("Stream").check()
    page.get_by_role("button", name="Send").click()
    page.locator("[data-act=stop]").click()
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    for _ in range(100):
        rows = gateway.get(f"/outcrop/requests?key={key['token']}")["rows"]
        if rows and all(row["state"] != "running" for row in rows):
            break
        page.wait_for_timeout(50)
    assert rows and rows[0]["state"] != "running"


def test_a_dry_run_and_a_refusal(console: Console, gateway: Gateway) -> None:
    """What would be sent is shown without a call; a refusal is shown with its reason."""
    console.go("playground")
    page = console.page
    page.locator("form [name=key]").fill(gateway.make_key(key_alias="play-dry")["key"])
    page.locator("form [name=model]").fill("house")
    page.get_by_label("Dry run").check()
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_label("Answer", exact=True)).to_contain_text("nova-lite")
    page.get_by_label("Dry run").uncheck()
    page.locator("form [name=key]").fill("sk-nobodys-key-0123456789")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("Authentication Error")
