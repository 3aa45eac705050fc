"""A mixed load of all kinds of requests, faults and disconnects at once.

Every answer is as expected, and memory and descriptors stay constant after the warm-up. A few seconds
by default; `OUTCROP_SOAK=60` (seconds) makes it the soak that a release requires.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections import Counter

import pytest

from invented import SEED
from outcrop_process import PATIENCE, Outcrop
from scripted import Scripted
from soak_kinds import KINDS, Client, upstream

SECONDS = float(os.environ.get("OUTCROP_SOAK", "6"))
CLIENTS = 10
MIB = 1024 * 1024
# Allowed growth of the gateway after the warm-up: a short run ends before every kind has run.
GROWTH = 8 * MIB if SECONDS >= 30 else 24 * MIB
# Upstream connections are kept for a while, on each worker.
DESCRIPTORS = 4 * CLIENTS
TEXT = """
workers: 2
timeouts: { idle: 5, first_byte: 10, first_byte_stream: 10 }
thinking_memory: { max_mib: 1 }
routing: { cooldown: off }
"""


class Load:
    """So many clients, each of which sends one request after another."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.ends = threading.Event()
        self.sent: Counter[str] = Counter()
        self.problems: list[str] = []
        self.threads = [threading.Thread(target=self.work, args=(number,)) for number in range(CLIENTS)]

    def work(self, number: int) -> None:
        rng = random.Random(f"{SEED}-{number}")
        client = Client(self.address, rng)
        while not self.ends.is_set():
            # Every kind in each round, in random order.
            for name in rng.sample(sorted(KINDS), len(KINDS)):
                if self.ends.is_set():
                    break
                try:
                    problem = KINDS[name](client)
                except Exception as error:  # Whatever it is, it is no answer.
                    problem = repr(error)
                    client = Client(self.address, rng)
                self.sent[name] += 1
                if problem:
                    self.problems.append(f"{name}: {problem}")
        client.connection.close()

    def run(self, seconds: float) -> None:
        """Waits until the time is over, or until there are many problems."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and len(self.problems) < 50:
            time.sleep(0.1)


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        found = re.search(r"VmRSS:\s+(\d+) kB", file.read())
    assert found
    return int(found[1]) * 1024


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.timeout(SECONDS + 120)
def test_a_mixed_load_is_answered_as_expected_and_leaks_no_resources() -> None:
    with Scripted(upstream, remembers=False) as server:
        gateway = Outcrop(
            ["--listen", "127.0.0.1:0", "--config", "outcrop.yaml"],
            environment={**server.environment, "AWS_ENDPOINT_URL_BEDROCK": server.url, "RUST_LOG": "warn,outcrop=info"},
            files={"outcrop.yaml": TEXT},
        )
        with gateway:
            assert gateway.process is not None
            pid = gateway.process.pid
            before = descriptors(pid)
            load = Load(gateway.address)
            for thread in load.threads:
                thread.start()
            try:
                load.run(max(SECONDS / 3, 3))
                warm = resident(pid)
                load.run(SECONDS * 2 / 3)
            finally:
                load.ends.set()
                for thread in load.threads:
                    thread.join(PATIENCE)
            # Requests of disconnected clients end soon after them.
            deadline = time.monotonic() + PATIENCE
            while descriptors(pid) > before + DESCRIPTORS and time.monotonic() < deadline:
                time.sleep(0.2)
            after, open_now = resident(pid), descriptors(pid)
            total = sum(load.sent.values())
            print(
                f"{total} requests of {len(load.sent)} kinds in {SECONDS:.0f} s, {len(load.problems)} unexpected; "
                f"RSS {warm / MIB:.1f} MiB warm, {after / MIB:.1f} MiB after; descriptors {before}, {open_now}"
            )
            assert not load.problems, "\n".join(load.problems[:20])
            assert len(load.sent) == len(KINDS), f"too slow to send every kind: {load.sent}"
            assert "panicked" not in gateway.log()
            assert after - warm < GROWTH, f"{(after - warm) / MIB:.1f} MiB more than when it was warm"
            assert open_now <= before + DESCRIPTORS, f"{open_now} descriptors, {before} at the start"
            gateway.terminate()
            assert gateway.wait() == 0
