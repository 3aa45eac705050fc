"""Numbers on screen against SQL over the ledger, in three zones over changes of daylight saving; and what is not known."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, expect

import seed
from console_pages import CONFIG, MASTER, OWN_FILES, Console, Gateway
from outcrop_process import Outcrop

# Clocks go back in Paris on 25 October and in Los Angeles on 1 November; Kathmandu is 5:45 ahead all year, Kolkata 5:30.
FIRST = datetime(2026, 10, 22, tzinfo=ZoneInfo("UTC"))
SPAN = 14 * seed.DAY
ZONES = ["Europe/Paris", "America/Los_Angeles", "Asia/Kathmandu", "Asia/Kolkata"]
RANGES = [("2026-10-25", "2026-10-25"), ("2026-10-24", "2026-11-01"), ("2026-11-01", "2026-11-02")]


@pytest.fixture(scope="module")
def seeded() -> Iterator[Gateway]:
    """A gateway whose ledger has calls of two weeks, one every few minutes."""
    arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"]
    with Outcrop(arguments, files={"outcrop.yaml": CONFIG}, environment=OWN_FILES) as running:
        plan = seed.Plan(count=6000, first=int(FIRST.timestamp() * 1000), span=SPAN, keys=40)
        seed.sqlite(str(database(running)), plan)
        yield Gateway(running)


def database(running: Outcrop) -> Path:
    """The file of a gateway's accounts."""
    return Path(running.folder.name, "outcrop.db")


def summed(running: Outcrop, zone: str, first: str, last: str) -> tuple[int, int]:
    """Cost and number of the calls of some days by SQL. An hour across midnight belongs to the day it begins in."""

    def bound(day: datetime) -> int:
        millis = int(day.replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)
        return -(-millis // seed.HOUR) * seed.HOUR

    start, end = (datetime.fromisoformat(day) for day in (first, last))
    with closing(sqlite3.connect(database(running), timeout=60)) as connection:
        found = connection.execute(
            "SELECT COALESCE(SUM(CASE state WHEN 'voided' THEN 0 ELSE COALESCE(cost, 0) END), 0), COUNT(*) FROM ledger "
            "WHERE state <> 'reserved' AND began_at >= ? AND began_at < ?",
            (bound(start), bound(end + timedelta(days=1))),
        ).fetchone()
    return found[0], found[1]


def nano(title: str | None) -> int:
    """Nanodollars of an exact amount as titles have it."""
    text = (title or "").removeprefix("$").split(" ")[0].replace(",", "")
    whole, _, rest = text.partition(".")
    return int(whole) * 10**9 + int(rest.ljust(9, "0") or 0)


def test_totals_equal_sql_in_three_zones(seeded: Gateway, browser: Browser) -> None:
    """B7: totals, and the sums of the table beside the chart, over days with 24 and 25 hours."""
    for zone in ZONES:
        with Console(browser, seeded.url, timezone_id=zone) as console:
            console.sign_in(MASTER)
            for first, last in RANGES:
                console.go(f"overview?range=custom&from={first}&to={last}&as=table")
                tile = console.page.locator(".tile", has_text="Spend").first.locator("a")
                count = console.page.locator(".tile", has_text="Requests").first.locator("a").inner_text()
                cost, calls = summed(seeded.process, zone, first, last)
                assert calls > 0
                assert (nano(tile.get_attribute("title")), int(count.replace(",", ""))) == (cost, calls), (zone, first, last)
                # Browsers name some zones by their older names.
                named = console.page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
                expect(console.page.locator(".title")).to_contain_text(named)
                answer = seeded.get(f"/outcrop/activity?from={first}&to={last}&tz={zone}&top=100")
                bars = sum(int(value) for one in [*answer["series"], answer["other"]] for value in one["spend_nano"])
                assert bars == cost
                # The rows that the total leads to are as many.
                tile.click()
                console.page.wait_for_selector("main[data-shown=requests]")
                if not zone.startswith("Asia/"):
                    expect(console.page.locator(".title")).to_contain_text(f"{calls:,} calls")


def test_an_answer_stays_small(seeded: Gateway) -> None:
    """C2: ninety days by key are one answer."""
    import json

    answer = seeded.get("/outcrop/activity?from=2026-09-01&to=2026-11-29&group=key")
    assert len(json.dumps(answer)) < 300_000
    page = seeded.get("/outcrop/requests?from=2026-10-22&to=2026-11-06&limit=200")
    assert len(page["rows"]) == 200 and page["next"]


def test_what_is_not_known_is_said(seeded: Gateway, browser: Browser) -> None:
    """B11: calls without a price make a total "at least", estimates are marked, and nothing unknown is zero."""
    with closing(sqlite3.connect(database(seeded.process), timeout=60)) as connection, connection:
        connection.execute("UPDATE ledger SET cost = NULL WHERE id = 'seed-1000000001'")
        connection.execute("UPDATE hourly SET unpriced = 1 WHERE rowid = (SELECT MIN(rowid) FROM hourly)")
        for statement in seed.marks():
            connection.execute(statement)
    with Console(browser, seeded.url) as console:
        console.sign_in(MASTER)
        console.go("overview?range=custom&from=2026-10-20&to=2026-11-06&tz=UTC")
        expect(console.page.locator(".tile").first).to_contain_text("≥ ~$")
        expect(console.page.locator(".title")).to_contain_text("at least")
        console.go("requests?id=seed-1000000001&range=custom&from=2026-10-20&to=2026-11-06&tz=UTC")
        expect(console.page.locator("tbody tr").first).to_contain_text("–")
        console.go("requests?status=success&range=custom&from=2026-10-20&to=2026-11-06&tz=UTC")
        expect(console.page.locator("tbody", has_text="~$")).to_have_count(1)


def test_hostile_texts_are_texts(console: Console, gateway: Gateway) -> None:
    """B12: markup, signs that turn the reading, long names and addresses of scripts are shown and never run."""
    hostile = ['<img src=x onerror="document.title=1">', "\u202eevil\u202c", "javascript:alert(1)", "=cmd|calc", "x" * 200]
    for at, text in enumerate(hostile):
        made = gateway.make_key(key_alias=f"{text} {at}", metadata={"note": text})
        assert gateway.chat(made["key"], text=text, user=text[:100])[0] == 200
        gateway.chat(made["key"], text=text, model=text[:60])
    gateway.ask("POST", "/team/new", {"team_id": "hostile", "team_alias": hostile[0]})
    for place in ["overview?range=1h", "overview?range=1h&group=end_user&as=table", "keys", "requests?range=1h", "keys?tab=teams", "models"]:
        console.go(place)
    console.go("requests?range=1h")
    expect(console.page.locator("tbody")).to_contain_text(hostile[0])
    console.page.locator("tbody tr", has_text=hostile[0]).first.get_by_role("button").first.click()
    expect(console.page.get_by_label("Details")).to_contain_text(hostile[0])
    assert console.page.title().startswith("Requests")
    assert console.page.locator("main img").count() == 0
    assert console.page.evaluate("document.getElementById('app').dataset.reports ?? '0'") == "0"
    hrefs = console.page.eval_on_selector_all("a", "all => all.map(one => one.getAttribute('href'))")
    assert all(href.startswith("#/") for href in hrefs), hrefs


def test_live_requests_do_not_pile_up(console: Console, gateway: Gateway) -> None:
    """New calls appear by themselves, and the page keeps few rows."""
    made = gateway.make_key(key_alias="busy")
    console.go(f"requests?range=1h&key={made['token']}")
    console.page.get_by_label("Live").check()
    for at in range(60):
        assert gateway.chat(made["key"], text=f"call {at}")[0] == 200
    expect(console.page.locator("tbody tr")).to_have_count(50)
    assert console.page.locator("*").count() < 3000


def test_a_failure_keeps_what_was_shown(browser: Browser) -> None:
    """B10: a gateway that is gone is said, above what was read before."""
    arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"]
    with Outcrop(arguments, files={"outcrop.yaml": CONFIG}, environment=OWN_FILES) as running, Console(browser, running.url) as console:
        console.sign_in(MASTER)
        console.go("overview?range=1h")
        running.stop()
        shows = console.shows()
        console.page.get_by_role("button", name="Refresh").click()
        console.wait_for_more(shows)
        expect(console.page.get_by_role("alert")).to_contain_text("cannot be reached")
        expect(console.page.locator(".tile").first).to_be_visible()


def test_which_key_spent_most_and_why_was_this_call_refused(browser: Browser) -> None:
    """The way of a new operator through the three questions of docs/console.md, by clicks alone: nine."""
    yesterday = datetime.now(ZoneInfo("Europe/Paris")).date() - timedelta(days=1)
    start = datetime.combine(yesterday, datetime.min.time(), ZoneInfo("Europe/Paris"))
    arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"]
    with Outcrop(arguments, files={"outcrop.yaml": CONFIG}, environment=OWN_FILES) as running:
        gateway = Gateway(running)
        made = gateway.make_key(key_alias="spender", models=["house"])
        with closing(sqlite3.connect(database(running), timeout=60)) as connection:
            (key_id,) = connection.execute("SELECT key_id FROM tokens WHERE token = ?", (made["token"],)).fetchone()
        seed.sqlite(str(database(running)), seed.Plan(count=2000, first=int(start.timestamp() * 1000), span=20 * seed.HOUR, keys=9))
        with closing(sqlite3.connect(database(running), timeout=60)) as connection, connection:
            for table in ("hourly", "ledger"):
                connection.execute(f"UPDATE {table} SET key_id = ? WHERE key_id = 'k-0'", (key_id,))
            dearest = connection.execute("SELECT key_id, SUM(cost) FROM hourly GROUP BY 1 ORDER BY 2 DESC LIMIT 1").fetchone()[0]
        status, _, headers = gateway.chat(made["key"], model="us.amazon.nova-pro-v1:0")
        assert status == 403
        refused = headers["x-request-id"]
        with Console(browser, running.url) as console:
            console.sign_in(MASTER)
            page, clicks = console.page, 0
            for step in ["range", "First day", "Last day", "key", "by model"]:
                shows = console.shows()
                if step == "range":
                    page.get_by_role("combobox", name="Time shown").select_option("custom")
                elif step.endswith("day"):
                    page.get_by_label(step).fill(yesterday.isoformat())
                elif step == "key":
                    card = page.locator("section.card", has=page.get_by_role("heading", name="Keys by spend"))
                    first = card.locator("tbody a").first
                    label = first.inner_text()
                    first.click()
                else:
                    page.get_by_role("link", name="Overview", exact=True).click()
                clicks += 1
                console.wait_for_more(shows)
                if step == "key":
                    expect(page.locator("tbody")).to_contain_text(label)
                    expect(page.locator("tbody")).to_contain_text("model-")
            assert (label, dearest) == ("spender", key_id)
            page.get_by_role("link", name="Requests", exact=True).click()
            page.wait_for_selector("main[data-shown=requests]")
            shows = console.shows()
            page.get_by_role("combobox", name="Time shown").select_option("24h")
            console.wait_for_more(shows)
            shows = console.shows()
            page.get_by_label("Request id").fill(refused)
            page.keyboard.press("Enter")
            console.wait_for_more(shows)
            page.locator("tbody tr button").first.click()
            clicks += 4
            expect(page.get_by_label("Details")).to_contain_text("Refused by the key")
            expect(page.get_by_label("Details")).to_contain_text("is not granted the model")
            assert clicks == 9
