#!/usr/bin/env python3
"""What accounts cost: CPU of a gateway for a request without accounts, with keys, rates and the ledger, and with a budget
besides; and the waits of its clients. Three gateways take turns within one run, so that the machine's noise is shared.

Not a test, because it measures time: `OUTCROP_BINARY=target/release/outcrop python accounts_cost.py [RATE] [ROUNDS]`.
Requests are small chats at an even rate from 16 connections. CPU is that of all threads, from Linux's schedstat.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from admin_calls import generated
from ledger_load import CONNECTIONS, answer, request
from outcrop_process import EMULATOR, Outcrop
from scripted import KEYS

MASTER = "sk-a-master-key-of-the-measurement-0123456789"
RATES = {"rpm_limit": 100_000_000, "tpm_limit": 100_000_000_000}
KINDS = {"without accounts": None, "key, rates, ledger": RATES, "a budget besides": {**RATES, "max_budget": 1000}}
SECONDS = 4.0


@dataclass
class Measured:
    """One gateway with its key, CPU seconds a request by round, and the waits of all requests."""

    gateway: Outcrop
    key: str
    costs: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)


def cpu(gateway: Outcrop) -> float:
    assert gateway.process is not None
    tasks = Path(f"/proc/{gateway.process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


async def client(one: Measured, moments: list[float]) -> None:
    reader, writer = await asyncio.open_connection(*one.gateway.address)
    text = request("measured", one.key, stream=False)
    for moment in moments:
        await asyncio.sleep(max(0.0, moment - time.monotonic()))
        began = time.monotonic()
        writer.write(text)
        status = await answer(reader)
        assert status == 200, status
        one.waits.append(time.monotonic() - began)
    writer.close()


async def load(one: Measured, rate: float) -> int:
    begin, count = time.monotonic() + 0.05, int(rate * SECONDS)
    moments = [begin + at / rate for at in range(count)]
    await asyncio.gather(*(client(one, moments[at::CONNECTIONS]) for at in range(CONNECTIONS)))
    return count


def take_turns(every: dict[str, Measured], rate: float, rounds: int) -> None:
    """Loads the gateways one after another, in so many rounds."""
    for at in range(rounds + 1):
        for one in every.values():
            before = cpu(one.gateway)
            count = asyncio.run(load(one, rate))
            time.sleep(0.3)
            # The first round opens connections and fills caches.
            if at == 0:
                one.waits.clear()
            else:
                one.costs.append((cpu(one.gateway) - before) / count)


def print_costs(every: dict[str, Measured]) -> None:
    """CPU and waits of each gateway, and the ratio of its CPU to that of the first."""
    base = next(iter(every.values())).costs
    for kind, one in every.items():
        ratio = statistics.median(cost / off for cost, off in zip(one.costs, base, strict=True))
        waits = sorted(one.waits)
        print(
            f"{kind:26} {statistics.median(one.costs) * 1e6:6.0f} us of CPU a request, x{ratio:.2f}"
            f"  p50 {waits[len(waits) // 2] * 1e3:.2f} ms  p99 {waits[len(waits) * 99 // 100] * 1e3:.2f} ms"
        )


def main(rate: float, rounds: int) -> None:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="outcrop-cost-"))
        emulator = Outcrop(["emulate", "--listen", "127.0.0.1:0"], ready_path=None, binary=EMULATOR)
        url = stack.enter_context(emulator).url
        every = {}
        for at, (kind, fields) in enumerate(KINDS.items()):
            yaml = "listen: 127.0.0.1:0\nworkers: 2\n"
            if fields:
                yaml += f"master_key: {MASTER}\ndatabase_url: sqlite:{folder}/{at}.db\n"
            gateway = stack.enter_context(
                Outcrop(
                    ["--config", "outcrop.yaml"],
                    environment={**KEYS, "AWS_ENDPOINT_URL": url},
                    files={"outcrop.yaml": yaml},
                )
            )
            key = generated(gateway, MASTER, fields)["key"] if fields else "any"
            every[kind] = Measured(gateway, key)
        take_turns(every, rate, rounds)
        print(f"{rate:.0f} requests a second, {rounds} rounds of {SECONDS:.0f} s")
        print_costs(every)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 250, int(sys.argv[2]) if len(sys.argv) > 2 else 8)
