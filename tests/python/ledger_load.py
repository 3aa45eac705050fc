"""A load of small chats from many connections at once, each with an end user of its own, so that a row of the ledger
can be told from every other; and the rows as the store holds them."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outcrop_process import PATIENCE, Outcrop

MODEL = "us.amazon.nova-lite-v1:0"
CONNECTIONS = 16
ME = re.compile(r'"I am ([^"]+)"')


@dataclass
class Load:
    """The outcome of the requests so far, by end user."""

    prefix: str
    sent: list[str] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)

    def statuses(self) -> Counter[int]:
        return Counter(self.answered.values())


def request(user: str, key: str, *, stream: bool) -> bytes:
    body = json.dumps(
        {
            "model": MODEL,
            "user": user,
            "stream": stream,
            "max_tokens": 20,
            "messages": [{"role": "user", "content": f"I am {user}"}],
        }
    )
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


async def answer(reader: asyncio.StreamReader) -> int:
    """Reads one response whole and returns its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            await reader.readexactly(size + 2)
            if size == 0:
                return status
    length = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    await reader.readexactly(length)
    return status


async def client(load: Load, address: tuple[str, int], key: str, name: str, until: float) -> None:
    """Sends one request after another until the time is over or the gateway is gone."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        return
    try:
        count = 0
        while time.monotonic() < until:
            count += 1
            user = f"{load.prefix}-{name}-{count}"
            load.sent.append(user)
            began = time.monotonic()
            writer.write(request(user, key, stream=count % 4 == 0))
            await writer.drain()
            load.answered[user] = await answer(reader)
            load.waits.append(time.monotonic() - began)
    except (OSError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


async def run(load: Load, journal: Journal, address: tuple[str, int], key: str, seconds: float) -> None:
    """Keeps all connections busy for so long, and reads the journal meanwhile."""
    until = time.monotonic() + seconds
    clients = asyncio.gather(
        *(client(load, address, key, str(at), until) for at in range(CONNECTIONS))
    )
    while not clients.done():
        await asyncio.wait([clients], timeout=0.3)
        await asyncio.to_thread(journal.read)
    await clients


class Journal:
    """The calls that reached an emulator, by their numbers: it remembers the last thousand."""

    def __init__(self, emulator: Outcrop) -> None:
        self.emulator = emulator
        self.last = 0
        self.served: Counter[str] = Counter()
        self.read()
        self.served.clear()

    def read(self) -> Counter[str]:
        """The end users whose calls were served so far, with the number of their calls."""
        connection = http.client.HTTPConnection(*self.emulator.address, timeout=PATIENCE)
        connection.request("GET", "/_emulator/calls")
        calls: list[dict[str, Any]] = json.loads(connection.getresponse().read())
        connection.close()
        new = [call for call in calls if call["number"] > self.last and call["model_id"]]
        self.last = max((call["number"] for call in calls), default=self.last)
        # Other tests call the same emulator, with bodies of all shapes.
        texts = [ME.search(json.dumps(call["body"])) for call in new]
        self.served += Counter(found[1] for found in texts if found)
        return self.served


def rows(store: Path) -> list[dict[str, Any]]:
    """Every row of the ledger."""
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=PATIENCE)
    connection.row_factory = sqlite3.Row
    found = connection.execute("SELECT id, customer, state, cost, estimate, error_code FROM ledger")
    result = [dict(row) for row in found]
    connection.close()
    return result


def reserved(store: Path) -> int:
    """What all counters hold as reserved."""
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=PATIENCE)
    (total,) = connection.execute("SELECT COALESCE(SUM(reserved), 0) FROM counters").fetchone()
    connection.close()
    return int(total)
