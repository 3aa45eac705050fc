"""Keys in the console: made, shown once, used, changed, refused, regenerated and deleted."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
import openai
from playwright.sync_api import expect

from console_pages import PATIENCE, Console, Gateway

SECRET = re.compile(r"sk-oc-[A-Za-z0-9_-]{20,}")


def make(console: Console, **fields: str) -> str:
    """Makes a key by the form and returns it, as the dialog shows it."""
    page = console.page
    page.get_by_role("button", name="New key").click()
    for name, value in fields.items():
        page.locator(f"dialog [name={name}]").fill(value)
    page.get_by_role("button", name="Make the key").click()
    return page.locator("[data-secret]").inner_text()


def open_key(console: Console, alias: str) -> None:
    """Opens the dialog of a key."""
    console.page.locator("main").get_by_role("button", name=alias, exact=True).click()


def test_a_key_is_made_shown_once_and_used(console: Console, gateway: Gateway) -> None:
    """B2 and B3: the key works with openai-python and boto3, its call is in the list with the cost of the header and the
    row, and the key is nowhere after the dialog."""
    page = console.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=gateway.url)
    console.go("keys")
    key = make(console, key_alias="b2", max_budget="5")
    assert SECRET.fullmatch(key)
    assert key in page.locator("dialog pre").inner_text()
    page.get_by_role("button", name="boto3").click()
    code = page.locator("dialog pre").inner_text()
    found = dict(re.findall(r'(aws_\w+)="([^"]+)"', code))
    page.locator("[data-act=copy-key]").click()
    assert page.evaluate("navigator.clipboard.readText()") == key
    page.locator("[data-act=have-it]").click()
    expect(page.locator("dialog")).to_have_count(0)
    everything = "JSON.stringify([document.documentElement.outerHTML, {...localStorage}, {...sessionStorage}, location.href, history.state])"
    assert key not in page.evaluate(everything)
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)
    raw = client.chat.completions.with_raw_response.create(model="house", messages=[{"role": "user", "content": "Hello"}])
    assert raw.parse().choices[0].message.content
    bedrock = boto3.client("bedrock-runtime", endpoint_url=f"{gateway.url}/bedrock", region_name="us-east-1", **found)
    told = bedrock.converse(modelId="us.amazon.nova-lite-v1:0", messages=[{"role": "user", "content": [{"text": "Hello"}]}])
    assert told["output"]["message"]["content"]
    began = time.monotonic()
    console.go("requests?range=1h")
    row = page.locator("tbody tr", has_text="b2")
    expect(row).to_have_count(2)
    took = time.monotonic() - began
    request = raw.headers["x-request-id"]
    cost = raw.headers["x-outcrop-cost-usd"]
    told_row = gateway.get(f"/outcrop/requests/{request}")
    assert int(told_row["cost_nano"]) == round(float(cost) * 1e9), (told_row, cost)
    cell = page.locator("tbody tr", has=page.locator(f"[data-id={request}]")).locator("td span[title*=dollars]")
    shown = cell.get_attribute("title") or ""
    assert round(float(shown.removeprefix("$").split(" ")[0]) * 1e9) == int(told_row["cost_nano"])
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    lines = saved.value.path().read_text().splitlines()
    line = next(line for line in lines if line.startswith(request))
    assert f",{float(cost):.9f}".rstrip("0") in line, line
    assert took < PATIENCE / 1000
    page.reload()
    assert key not in page.content()
    assert key not in gateway.process.log()


def test_a_key_is_blocked_regenerated_and_deleted(console: Console, gateway: Gateway) -> None:
    """B4: the old key is refused at once, or after its grace."""
    page = console.page
    made = gateway.make_key(key_alias="b4")
    console.go("keys?q=b4")

    def status(key: str, wanted: int) -> None:
        for _ in range(50):
            if (code := gateway.chat(key)[0]) == wanted:
                return
            time.sleep(0.1)
        raise AssertionError(f"{code} is not {wanted} within five seconds")

    status(made["key"], 200)
    for wanted in (401, 200):
        shows = console.shows()
        open_key(console, "b4")
        page.locator("[data-act=block]").click()
        console.wait_for_more(shows)
        status(made["key"], wanted)
    open_key(console, "b4")
    page.locator("[data-act=regenerate]").click()
    page.locator("dialog [name=grace_period]").fill("1h")
    page.get_by_role("button", name="Regenerate", exact=True).click()
    second = page.locator("[data-secret]").inner_text()
    shows = console.shows()
    page.locator("[data-act=have-it]").click()
    console.wait_for_more(shows)
    status(made["key"], 200)
    status(second, 200)
    open_key(console, "b4")
    page.locator("[data-act=delete]").click()
    confirm = page.get_by_role("button", name="Delete the key")
    expect(confirm).to_be_disabled()
    page.get_by_label("Type b4", exact=True).fill("b4")
    shows = console.shows()
    confirm.click()
    console.wait_for_more(shows)
    status(second, 401)
    expect(page.locator("main").get_by_role("button", name="b4", exact=True)).to_have_count(0)


def test_changes_are_what_the_api_tells(console: Console, gateway: Gateway) -> None:
    """B5: a budget to none and back, its window, and models."""
    page = console.page
    made = gateway.make_key(key_alias="b5", max_budget=3, budget_duration="30d")
    console.go("keys?q=b5")
    for fields, expected in [
        ({"max_budget": "", "models": "house, nova-lite"}, {"max_budget": None, "models": ["house", "nova-lite"]}),
        ({"max_budget": "2.5", "budget_duration": "7d", "models": ""}, {"max_budget": 2.5, "budget_duration": "7d", "models": []}),
    ]:
        open_key(console, "b5")
        for name, value in fields.items():
            page.locator(f"dialog [name={name}]").fill(value)
        shows = console.shows()
        page.get_by_role("button", name="Save").click()
        console.wait_for_more(shows)
        info = gateway.get(f"/key/info?key={made['token']}")["info"]
        assert {name: info[name] for name in expected} == expected
    open_key(console, "b5")
    page.locator("dialog [name=max_budget]").fill("-1")
    page.locator("form").evaluate("form => { form.noValidate = true; }")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("dialog [role=alert]")).to_contain_text("negative")


def test_parallel_calls_use_a_budget_up(console: Console, gateway: Gateway) -> None:
    """B6: of twenty calls at once a budget of a cent lets pass what it has room for; the bar is full, and is as SQL has it."""
    page = console.page
    made = gateway.make_key(key_alias="twenty-at-once", max_budget=0.01)
    body = {"text": "word " * 8000, "model": "us.amazon.nova-pro-v1:0", "max_tokens": 400}
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: gateway.chat(made["key"], **body)[0], range(20)))
    assert set(statuses) == {200, 429}, statuses
    spent = gateway.get(f"/key/info?key={made['token']}")["info"]["spend"]
    assert 0 < spent <= 0.01
    # Calls of half the price fill what is left.
    while gateway.chat(made["key"], text="word " * 300, model="us.amazon.nova-pro-v1:0", max_tokens=50)[0] == 200:
        pass
    spent = gateway.get(f"/key/info?key={made['token']}")["info"]["spend"]
    assert 0 < spent <= 0.01
    console.go("keys?q=twenty-at-once")
    shown = page.locator("main tbody .budget")
    expect(shown).to_have_attribute("title", re.compile(r"of \$0\.01"))
    share = float(re.search(r"([\d.]+) %", shown.inner_text())[1])
    assert abs(share - spent / 0.01 * 100) <= 0.5 and share > 80, (share, spent)
    console.go("requests?status=refused&range=1h")
    expect(page.locator("tbody tr", has_text="twenty-at-once").first).to_contain_text("refused by the key twenty-at-once")


def test_a_spent_budget_shows_who_refused(console: Console, gateway: Gateway) -> None:
    """B6 and B11: the bar is full, the refusal names its scope, and the details say why."""
    page = console.page
    made = gateway.make_key(key_alias="b6", max_budget=0)
    assert gateway.chat(made["key"])[0] == 429
    assert gateway.chat(made["key"])[0] == 429
    console.go("keys?q=b6")
    expect(page.locator("main tbody")).to_contain_text("100 %")
    console.go("requests?status=refused&range=1h")
    row = page.locator("tbody tr", has_text="b6")
    expect(row).to_contain_text("refused by the key b6")
    expect(row).to_contain_text("insufficient_quota")
    row.get_by_role("button").first.click()
    expect(page.get_by_label("Details")).to_contain_text("the budget of the key b6 is spent")
    console.go("overview?range=1h")
    expect(page.locator("section", has_text="Budgets over 80 %").last).to_contain_text("b6")
    expect(page.locator("section", has_text="Refused, by scope").last).to_contain_text("insufficient_quota")


def test_records_of_each_kind_are_made_and_deleted(console: Console, gateway: Gateway) -> None:
    """Teams, users, customers, budgets and tags have a form and a table."""
    page = console.page
    for tab, one, fields in [
        ("teams", "team", {"team_id": "t-console", "team_alias": "console team", "max_budget": "7"}),
        ("users", "user", {"user_id": "u-console", "user_email": "u@example.com"}),
        ("customers", "customer", {"user_id": "c-console"}),
        ("budgets", "budget", {"budget_id": "b-console", "max_budget": "9"}),
        ("tags", "tag", {"name": "tag-console", "description": "made by a test"}),
    ]:
        console.go(f"keys?tab={tab}")
        page.get_by_role("button", name=f"New {one}").click()
        for name, value in fields.items():
            page.locator(f"dialog [name={name}]").fill(value)
        shows = console.shows()
        page.get_by_role("button", name=f"Make the {one}").click()
        console.wait_for_more(shows)
        identity = next(iter(fields.values()))
        row = page.locator("main tbody tr", has_text=identity)
        expect(row).to_have_count(1)
        row.get_by_role("button").first.click()
        page.get_by_role("button", name="Delete…").click()
        page.get_by_label(f"Type {identity}", exact=True).fill(identity)
        shows = console.shows()
        page.get_by_role("button", name=f"Delete the {one}").click()
        console.wait_for_more(shows)
        expect(page.locator("main tbody tr", has_text=identity)).to_have_count(0)
