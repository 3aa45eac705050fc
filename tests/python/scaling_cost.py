#!/usr/bin/env python3
"""What a call costs the parts that replicas share: CPU of the gateway, of PostgreSQL and of Redis for a request with a key
that has rate limits and a budget. The figures of docs/scaling.md come from here.

Not a test, because it measures time: `OUTCROP_BINARY=target/release/outcrop python scaling_cost.py [RATE] [ROUNDS]`.
Requests are small chats at an even rate from 16 connections; CPU is that of all threads and processes of a part, from
Linux's schedstat, so that other work on the machine disturbs it little. With a debug build the gateway's own figure means
nothing; those of PostgreSQL and Redis do.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil

from accounts_cost import MASTER, RATES, Measured, load
from admin_calls import generated
from outcrop_process import Outcrop
from postgres import Postgres, installed
from scripted import KEYS
from test_shared_thoughts import Store

KINDS = {"rate limits": RATES, "rate limits and a budget": {**RATES, "max_budget": 1000}}


def cpu(processes: list[psutil.Process]) -> float:
    """Seconds of CPU so far, of all threads."""
    tasks = (task for one in processes for task in Path(f"/proc/{one.pid}/task").glob("*/schedstat"))
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def family(number: int) -> list[psutil.Process]:
    parent = psutil.Process(number)
    return [parent, *parent.children(recursive=True)]


def main(rate: float, rounds: int) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(Outcrop(["emulate", "--listen", "127.0.0.1:0"], ready_path=None)).url
        database = stack.enter_context(Postgres(installed()))
        store = Store()
        stack.callback(store.stop)
        store.start()
        environment = {
            **KEYS,
            "AWS_ENDPOINT_URL": url,
            "LITELLM_MASTER_KEY": MASTER,
            "DATABASE_URL": database.database("scaling"),
            "REDIS_URL": store.url,
        }
        yaml = "listen: 127.0.0.1:0\nworkers: 2\naccess: { redis_timeout: 10, database: { timeout: 300 } }\n"
        arguments = ["--config", "outcrop.yaml"]
        gateway = stack.enter_context(Outcrop(arguments, environment=environment, files={"outcrop.yaml": yaml}))
        postmaster = int(Path(database.folder.name, "data", "postmaster.pid").read_text().split()[0])
        assert gateway.process is not None and store.process is not None
        parts: dict[str, Callable[[], list[psutil.Process]]] = {
            "gateway": lambda: family(gateway.process.pid),
            "PostgreSQL": lambda: family(postmaster),
            "Redis": lambda: family(store.process.pid),
        }
        print(f"{rate:.0f} requests a second, {rounds} rounds of 4 s")
        for kind, fields in KINDS.items():
            measured = Measured(gateway, generated(gateway, MASTER, fields)["key"])
            costs: dict[str, list[float]] = {part: [] for part in parts}
            for at in range(rounds + 1):
                before = {part: cpu(found()) for part, found in parts.items()}
                count = asyncio.run(load(measured, rate))
                # The rows of the last calls are written.
                time.sleep(1.5)
                for part, found in parts.items():
                    if at:
                        costs[part].append((cpu(found()) - before[part]) / count)
            for part, told in costs.items():
                each = statistics.median(told)
                print(f"{kind:26} {part:11} {each * 1e6:7.1f} us of CPU a request, {1 / each:8.0f} a second on a core")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 200, int(sys.argv[2]) if len(sys.argv) > 2 else 4)
