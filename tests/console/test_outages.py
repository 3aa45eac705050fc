"""The console while the store, its writer or a replica is gone (B10), and while many calls come in (B9)."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Browser, expect

import seed
from console_pages import CONFIG, MASTER, OWN_FILES, Console, Gateway, skip_without
from outcrop_process import Outcrop
from postgres import Postgres, binaries

ARGUMENTS = ["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"]
# Calls in a second of a gateway that is busy, and the seconds of it.
RATE = 200
SECONDS = int(os.environ.get("OUTCROP_SOAK", "12"))


def refresh(console: Console) -> None:
    """Reads the screen again."""
    shows = console.shows()
    console.page.get_by_role("button", name="Refresh").click()
    console.wait_for_more(shows)


def requests_tile(console: Console) -> str:
    """The number of calls that the first screen shows."""
    return console.page.locator(".tile", has_text="Requests").first.locator("a").inner_text()


def test_a_stalled_writer_is_said(browser: Browser) -> None:
    """B10: while the database takes no writes the totals say up to when they are, and are complete again afterwards."""
    with Outcrop(ARGUMENTS, files={"outcrop.yaml": CONFIG}, environment=OWN_FILES) as running, Console(browser, running.url) as console:
        gateway = Gateway(running)
        key = gateway.make_key(key_alias="stalled")["key"]
        assert gateway.chat(key)[0] == 200
        console.sign_in(MASTER)
        console.go("overview?range=1h")
        assert requests_tile(console) == "1"
        expect(console.page.locator(".title")).not_to_contain_text("as of")
        with closing(sqlite3.connect(Path(running.folder.name, "outcrop.db"), timeout=60)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            assert gateway.chat(key)[0] == 200
            time.sleep(4)
            refresh(console)
            expect(console.page.locator(".title")).to_contain_text("as of")
            expect(console.page.locator(".title")).to_contain_text("later calls wait for the store")
            assert requests_tile(console) == "1"
            connection.rollback()
        deadline = time.monotonic() + 60
        while requests_tile(console) != "2":
            assert time.monotonic() < deadline, console.text()
            time.sleep(0.5)
            refresh(console)
        expect(console.page.locator(".title")).not_to_contain_text("as of")


def test_a_store_that_is_gone_and_a_replica_that_died(browser: Browser) -> None:
    """B10: without its database the console keeps what it showed under an alert; calls of a replica that died are counted."""
    programs = binaries()
    if programs is None:
        skip_without("postgresql")
    with Postgres(programs) as server:
        environment = {"DATABASE_URL": server.database("console"), **OWN_FILES}
        with (
            Outcrop(ARGUMENTS, files={"outcrop.yaml": CONFIG}, environment=environment) as first,
            Outcrop(ARGUMENTS, files={"outcrop.yaml": CONFIG}, environment=environment) as second,
            Console(browser, first.url) as console,
        ):
            key = Gateway(first).make_key(key_alias="shared")["key"]
            for _ in range(3):
                assert Gateway(second).chat(key)[0] == 200
            # The replica that serves the call writes it when it is asked itself.
            Gateway(second).get("/outcrop/session")
            second.process.send_signal(signal.SIGKILL)
            second.process.wait()
            console.sign_in(MASTER)
            console.go("overview?range=1h")
            assert requests_tile(console) == "3"
            server.stop()
            refresh(console)
            expect(console.page.get_by_role("alert")).to_be_visible()
            assert requests_tile(console) == "3"
            server.start()
            deadline = time.monotonic() + 60
            while console.page.get_by_role("alert").count() > 0:
                assert time.monotonic() < deadline, console.text()
                time.sleep(0.5)
                refresh(console)
            assert requests_tile(console) == "3"


def test_many_calls_a_second_do_not_fill_the_page(browser: Browser) -> None:
    """B9: with 200 calls in each second the live list keeps few rows, and the heap of the page does not grow."""
    with Outcrop(ARGUMENTS, files={"outcrop.yaml": CONFIG}, environment=OWN_FILES) as running, Console(browser, running.url) as console:
        console.sign_in(MASTER)
        console.go("requests?range=1h")
        session = console.context.new_cdp_session(console.page)
        session.send("Performance.enable")

        def heap() -> float:
            """Used memory of the page in MiB, without what may be collected."""
            session.send("HeapProfiler.collectGarbage")
            metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
            return metrics["JSHeapUsedSize"] / 2**20

        def write(second: int) -> None:
            """Writes the calls of a second into the ledger, as replicas do."""
            plan = seed.Plan(count=RATE, first=int(time.time() * 1000) - 1000, span=1000, keys=20, prefix=f"busy-{second:03}-")
            numbers = f"WITH RECURSIVE some(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM some WHERE n < {RATE - 1}) SELECT n FROM some"
            with closing(sqlite3.connect(Path(running.folder.name, "outcrop.db"), timeout=60)) as connection, connection:
                connection.execute(seed.statements(plan, numbers)[0])

        write(0)
        console.page.get_by_label("Live").check()
        expect(console.page.locator("tbody tr").first).to_contain_text("model-")
        console.page.wait_for_timeout(3000)
        before, seen = heap(), set()
        began = time.monotonic()
        for second in range(1, SECONDS + 1):
            write(second)
            console.page.wait_for_timeout(max(0.0, began + second - time.monotonic()) * 1000)
            assert console.page.locator("tbody tr").count() <= 200
            seen.add(console.page.locator("tbody tr [data-id]").first.get_attribute("data-id"))
        assert len(seen) > SECONDS / 6, f"the list follows: {seen}"
        grown = heap() - before
        assert grown <= 5, f"{grown:.1f} MiB more"
