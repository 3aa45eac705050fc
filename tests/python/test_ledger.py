"""The ledger under faults: a process that is killed or stopped under load, and a store that is away."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger_load import Journal, Load, reserved, rows, run
from outcrop_process import PATIENCE, Outcrop
from postgres import Postgres, installed

KEY = "sk-a-master-key-of-the-tests-0123456789"
# A call is refused, and not made, where a busy machine does not write its row in time.
ANSWERED = {200, 503}
# More rounds show more; these few are for every run.
KILLS = int(os.environ.get("OUTCROP_TEST_KILLS", "4"))
STOPS = int(os.environ.get("OUTCROP_TEST_STOPS", "3"))
# Under no budget a call's intent is written; under a large one it takes room that the process reserved in advance.
BUDGETS = pytest.mark.parametrize(
    "more", ["", "access: { gateway: { max_budget: 1000 } }\n"], ids=["no budget", "a budget"]
)


@pytest.fixture()
def store() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="outcrop-ledger-") as folder:
        yield Path(folder, "ledger.db")


@contextmanager
def gateway(emulator: Outcrop, store: Path | str, more: str = "") -> Iterator[Outcrop]:
    """A gateway on the emulator, with this store: a file, or a database's URL."""
    url = store if isinstance(store, str) else f"sqlite:{store}"
    text = f"listen: 127.0.0.1:0\nworkers: 2\nmaster_key: {KEY}\ndatabase_url: {url}\n{more}"
    environment = {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDTEST",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    with Outcrop(
        ["--config", "outcrop.yaml"], environment=environment, files={"outcrop.yaml": text}
    ) as running:
        yield running


def settled(store: Path, count: int) -> list[dict]:
    """The rows, once no more than `count` of them are open."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = rows(store)
        if sum(row["state"] == "reserved" for row in found) <= count:
            return found
        assert time.monotonic() < deadline, Counter(row["state"] for row in found)
        time.sleep(0.05)


@BUDGETS
def test_a_killed_process_leaves_one_row_for_every_call_served(
    emulator: Outcrop, store: Path, rng: random.Random, more: str
) -> None:
    journal = Journal(emulator)
    answered, calls = 0, Counter()
    for at in range(KILLS):
        load = Load(f"kill{at}")
        with gateway(emulator, store, more) as running:
            moment = rng.uniform(0.2, 1.2)
            killer = threading.Timer(moment, running.process.send_signal, [signal.SIGKILL])
            killer.start()
            asyncio.run(run(load, journal, running.address, KEY, 3 * moment))
            killer.join()
            running.wait()
        answered += len(load.answered)
        assert set(load.statuses()) <= ANSWERED, load.statuses()
        calls = journal.read()
    assert answered > 0 and calls
    # The next process finds what the killed ones left: its rows are all there, each once.
    with gateway(emulator, store, more):
        deadline = time.monotonic() + PATIENCE
        while True:
            found = Counter(row["customer"] for row in rows(store))
            is_done = not set(calls) - set(found) and reserved(store) == 0
            if is_done or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        assert reserved(store) == 0
    assert all(count == 1 for count in calls.values()), "the gateway made a call twice"
    missing = set(calls) - set(found)
    assert not missing, f"{len(missing)} of {len(calls)} calls have no row: {sorted(missing)[:5]}"
    twice = [user for user, count in found.items() if count > 1]
    assert not twice, twice[:5]


@BUDGETS
def test_a_stopped_process_settles_every_call(
    emulator: Outcrop, store: Path, rng: random.Random, more: str
) -> None:
    journal, calls = Journal(emulator), Counter()
    for at in range(STOPS):
        load = Load(f"stop{at}")
        with gateway(emulator, store, more) as running:
            moment = rng.uniform(0.2, 1.0)
            stopper = threading.Timer(moment, running.terminate)
            stopper.start()
            asyncio.run(run(load, journal, running.address, KEY, 2 * moment))
            stopper.join()
            assert running.wait() == 0
        calls = journal.read()
        assert set(load.statuses()) <= ANSWERED, load.statuses()
    found = rows(store)
    states = Counter(row["state"] for row in found)
    assert set(states) <= {"settled", "voided"}, states
    paid = Counter(row["customer"] for row in found if row["state"] == "settled")
    assert paid == calls
    assert reserved(store) == 0


def test_calls_pass_while_the_store_is_away_and_are_written_afterwards(emulator: Outcrop, store: Path) -> None:
    journal = Journal(emulator)
    load = Load("away")
    with gateway(emulator, store, "access: { fail_mode: open }\n") as running:
        lock = sqlite3.connect(store, timeout=PATIENCE, isolation_level=None)

        def away() -> None:
            time.sleep(0.5)
            lock.execute("BEGIN EXCLUSIVE")
            time.sleep(5)
            lock.execute("ROLLBACK")

        # The lock's connection belongs to this thread.
        lock.close()
        lock = sqlite3.connect(store, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        holder = threading.Thread(target=away)
        holder.start()
        asyncio.run(run(load, journal, running.address, KEY, 7))
        holder.join()
        lock.close()
        assert load.statuses() == {200: len(load.sent)}, load.statuses()
        deadline = time.monotonic() + PATIENCE
        while len(rows(store)) < len(load.sent):
            assert time.monotonic() < deadline, (len(rows(store)), len(load.sent))
            time.sleep(0.1)
    found = rows(store)
    assert Counter(row["customer"] for row in found) == journal.read()
    assert {row["state"] for row in found} == {"settled"}


def test_calls_pass_while_postgresql_is_down_and_are_written_afterwards(emulator: Outcrop) -> None:
    journal, load = Journal(emulator), Load("down")
    query = "SELECT customer, state FROM ledger"
    with Postgres(installed()) as database:
        url = database.database("ledger")
        with gateway(emulator, url, "access: { fail_mode: open }\n") as running:

            def down() -> None:
                time.sleep(0.5)
                database.stop()
                time.sleep(5)
                database.start()

            holder = threading.Thread(target=down)
            holder.start()
            asyncio.run(run(load, journal, running.address, KEY, 7))
            holder.join()
            assert load.statuses() == {200: len(load.sent)}, load.statuses()
            deadline = time.monotonic() + PATIENCE
            while len(found := database.rows("ledger", query)) < len(load.sent) or any(
                state == "reserved" for _, state in found
            ):
                assert time.monotonic() < deadline, (len(found), len(load.sent))
                time.sleep(0.1)
    assert Counter(customer for customer, _ in found) == journal.read()
    assert {state for _, state in found} == {"settled"}


def test_a_killed_process_leaves_its_rows_in_postgresql(emulator: Outcrop, rng: random.Random) -> None:
    journal, load = Journal(emulator), Load("killed")
    with Postgres(installed()) as database:
        url = database.database("ledger")
        with gateway(emulator, url) as running:
            moment = rng.uniform(0.1, 0.7)

            def kill() -> None:
                while not load.answered and running.alive():
                    time.sleep(0.05)
                time.sleep(moment)
                running.process.send_signal(signal.SIGKILL)

            killer = threading.Thread(target=kill)
            killer.start()
            # The clients end with the process.
            asyncio.run(run(load, journal, running.address, KEY, PATIENCE))
            killer.join()
            running.wait()
        found = Counter(customer for [customer] in database.rows("ledger", "SELECT customer FROM ledger"))
    calls = journal.read()
    assert calls and not set(calls) - set(found)
    assert max(found.values()) == 1
