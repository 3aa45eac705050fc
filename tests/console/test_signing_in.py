"""Signing in, the rights of keys, and what becomes of the key in the page."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import Browser, expect

from console_pages import CONFIG, MASTER, OWN_FILES, VIEWER, Console, Gateway
from outcrop_process import Outcrop

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


def test_each_key_sees_what_its_role_allows(stranger: Console) -> None:
    """B1: a wrong key is told so; the read-only key has no buttons that change; the master key has all."""
    page = stranger.page
    stranger.enter_key("sk-wrong-0123456789")
    expect(page.get_by_role("alert")).to_contain_text("not known")
    stranger.sign_in(VIEWER)
    stranger.go("keys")
    expect(page.get_by_text("read-only")).to_be_visible()
    expect(page.get_by_role("button", name="New key")).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    stranger.sign_in(MASTER)
    stranger.go("keys")
    expect(page.get_by_role("button", name="New key")).to_be_visible()


def test_many_wrong_keys_have_to_wait(browser: Browser) -> None:
    """After ten wrong keys in a minute no key of the address is tried, the page says so, and calls of models go on."""
    arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"]
    with Outcrop(arguments, files={"outcrop.yaml": CONFIG}, environment=OWN_FILES) as running:
        gateway = Gateway(running)
        caller = gateway.make_key()["key"]
        for at in range(10):
            assert gateway.ask("GET", "/outcrop/session", key=f"sk-wrong-0123456789-{at}")[0] == 401
        for key in ["sk-wrong-0123456789", MASTER]:
            status, body, headers = gateway.ask("GET", "/outcrop/session", key=key)
            assert (status, body["error"]["code"]) == (429, "429"), body
            assert 0 < int(headers["retry-after"]) <= 60
        assert gateway.ask("POST", "/key/generate", {})[0] == 429
        assert gateway.chat(caller)[0] == 200
        with Console(browser, running.url) as console:
            console.enter_key(MASTER)
            expect(console.page.get_by_role("alert")).to_contain_text("Too many wrong keys")


def test_the_key_is_in_no_storage_unless_asked(stranger: Console, browser: Browser) -> None:
    """The key is in a variable; kept in the tab only on demand, and gone after signing out."""
    page = stranger.page
    stranger.sign_in(MASTER)
    stored = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state])"
    assert MASTER not in page.evaluate(stored)
    page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.get_by_label("Keep in this tab").check()
    stranger.sign_in(MASTER)
    page.reload()
    page.wait_for_selector("main[data-shown]")
    page.get_by_role("button", name="Sign out").click()
    assert MASTER not in page.evaluate(stored)
    assert MASTER not in page.content()


def test_a_key_that_ends_returns_to_the_prompt(gateway: Gateway, stranger: Console) -> None:
    """A 401 returns to the prompt and keeps the address."""
    made = gateway.make_key(key_alias="short-lived", key_type="management", user_id="console-user")
    stranger.sign_in(made["key"])
    stranger.go("requests?range=7d")
    assert gateway.ask("POST", "/key/delete", {"keys": [made["token"]]})[0] == 200
    stranger.page.get_by_role("button", name="Refresh").click()
    expect(stranger.page.get_by_role("alert")).to_contain_text("no longer accepts")
    assert stranger.page.url.endswith("#/requests?range=7d")
    stranger.sign_in(MASTER)
    stranger.page.wait_for_selector("main[data-shown=requests]")


def test_headers_and_guards(gateway: Gateway) -> None:
    """B13: the exact policy; a forged Host is misdirected; requests of other sites for data are refused."""
    import http.client

    host, port = urlsplit(gateway.url).hostname, urlsplit(gateway.url).port

    def status(path: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection(host, port, timeout=60)
        connection.putrequest("GET", path, skip_host=True)
        for name, value in {"Host": f"{host}:{port}", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}

    code, headers = status("/console/", {})
    assert (code, headers["content-security-policy"], headers["cache-control"]) == (200, POLICY, "no-cache")
    assert status("/console/", {"Host": "evil.example"})[0] == 421
    key = {"authorization": f"Bearer {MASTER}"}
    assert status("/outcrop/session", {**key, "Sec-Fetch-Site": "cross-site"})[0] == 403
    code, headers = status("/outcrop/overview", key)
    assert (code, headers["cache-control"]) == (200, "no-store")


def test_views_are_addresses(console: Console) -> None:
    """B17: back and forward, and an address in a second tab after signing in there; no secret is in it."""
    page = console.page
    console.go("overview?range=7d&group=key")
    console.go("requests?range=7d&status=failure")
    shows = console.shows()
    page.go_back()
    console.wait_for_more(shows)
    expect(page.get_by_label("By", exact=True)).to_have_value("key")
    shows = console.shows()
    page.go_forward()
    console.wait_for_more(shows)
    expect(page.get_by_label("Status", exact=True)).to_have_value("failure")
    second = console.context.new_page()
    console.watch(second)
    second.goto(page.url)
    second.get_by_label("Key").fill(MASTER)
    second.get_by_role("button", name="Sign in").click()
    second.wait_for_selector("main[data-shown=requests]")
    expect(second.get_by_label("Status", exact=True)).to_have_value("failure")
    assert "sk-" not in page.url


def test_one_data_request_a_screen(console: Console) -> None:
    """C1: a screen asks once."""
    for place in ["overview?range=24h", "keys", "models", "requests?range=24h", "keys?tab=teams", "keys?tab=users"]:
        before = len(console.data_requests())
        console.go(place)
        console.page.wait_for_timeout(300)
        assert len(console.data_requests()) - before == 1, (place, console.data_requests()[before:])


def test_the_keyboard_is_enough(console: Console, gateway: Gateway) -> None:
    """B14: a key is made, requests are filtered and details opened and left without a pointer."""
    key = gateway.make_key(key_alias="typed")
    assert gateway.chat(key["key"])[0] == 200
    page, keyboard = console.page, console.page.keyboard
    console.press("g", "k")
    page.get_by_role("button", name="New key").focus()
    keyboard.press("Enter")
    page.locator("input[name=key_alias]").focus()
    keyboard.type("by-keyboard")
    keyboard.press("Enter")
    page.locator("[data-secret]").wait_for()
    # Escape does not close what is shown once.
    keyboard.press("Escape")
    keyboard.press("Escape")
    expect(page.locator("[data-secret]")).to_be_visible()
    page.locator("[data-act=have-it]").focus()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    console.press("Enter")
    expect(page.locator("dialog")).to_have_count(0)
    console.press("g", "r")
    keyboard.press("/")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    shows = console.shows()
    keyboard.type("typed")
    keyboard.press("Tab")
    console.wait_for_more(shows)
    assert "key=" in page.url
    page.locator("tbody tr button").first.focus()
    keyboard.press("Enter")
    expect(page.get_by_label("Details")).to_contain_text("Tokens and cost")
    page.get_by_label("Details").get_by_role("button", name="Close").focus()
    keyboard.press("Enter")
    expect(page.get_by_label("Details")).to_have_count(0)
    keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Read again")
    keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
