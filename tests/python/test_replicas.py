"""Three replicas on one PostgreSQL: a budget holds over all of them, and a key that is gone is gone on each."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from admin_calls import call, generated
from ledger_load import MODEL, answer, request
from outcrop_process import PATIENCE, Outcrop
from postgres import Postgres, installed
from scripted import KEYS

MASTER = "sk-a-master-key-of-the-tests-0123456789"
REPLICAS = 3
# Dollars of a token, read and written: the prices of the model.
READ, WRITTEN = 0.06e-6, 0.24e-6
MOST_WRITTEN = 20


@pytest.fixture(scope="module")
def upstream() -> Iterator[Outcrop]:
    with Outcrop(["emulate", "--listen", "127.0.0.1:0"], ready_path=None) as running:
        yield running


@pytest.fixture(scope="module")
def replicas(upstream: Outcrop) -> Iterator[list[Outcrop]]:
    environment = {"LITELLM_MASTER_KEY": MASTER, "AWS_ENDPOINT_URL": upstream.url, **KEYS}
    # Calls wait for the database as long as a busy machine needs.
    text = f"listen: 127.0.0.1:0\nworkers: 1\naccess: {{ database: {{ timeout: {PATIENCE:.0f} }} }}\n"
    with Postgres(installed()) as database, ExitStack() as running:
        environment["DATABASE_URL"] = database.database("replicas")
        yield [
            running.enter_context(
                Outcrop(
                    ["--config", "outcrop.yaml"], environment=environment, files={"outcrop.yaml": text}
                )
            )
            for _ in range(REPLICAS)
        ]


def made(process: Outcrop, **fields: Any) -> dict[str, Any]:
    return generated(process, MASTER, fields)


def spoken(read: int) -> dict[str, Any]:
    """A step of the emulator: an answer with this usage."""
    return {
        "answer": {
            "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
            "stopReason": "end_turn",
            "usage": {
                "inputTokens": read,
                "outputTokens": MOST_WRITTEN,
                "totalTokens": read + MOST_WRITTEN,
            },
            "metrics": {"latencyMs": 1},
        }
    }


def reserved_for_a_call(process: Outcrop) -> float:
    """What a request of the load reserves, from the row of one."""
    key = made(process)
    body = json.loads(request("probe", key["key"], stream=False).partition(b"\r\n\r\n")[2])
    status, told = call(process, "POST", "/v1/chat/completions", body, key=key["key"])
    assert status == 200, told
    status, logs = call(process, "GET", f"/spend/logs?api_key={key['token']}", key=MASTER)
    assert status == 200 and len(logs) == 1, logs
    return float(logs[0]["metadata"]["outcrop"]["reserved"])


async def one(process: Outcrop, key: str, name: str) -> int:
    """The verdict on a call, which is sent again if the store did not keep up: then it was not made."""
    reader, writer = await asyncio.open_connection(*process.address)
    deadline, status = time.monotonic() + PATIENCE, 503
    while status == 503:
        assert time.monotonic() < deadline, "the store does not keep up"
        # As long as the request whose reservation is known.
        writer.write(request(name, key, stream=False))
        await writer.drain()
        status = await answer(reader)
    writer.close()
    return status


def test_a_budget_for_ten_calls_passes_ten_of_two_hundred(
    upstream: Outcrop, replicas: list[Outcrop]
) -> None:
    reserved = reserved_for_a_call(replicas[0])
    read = round((reserved - MOST_WRITTEN * WRITTEN) / READ)
    assert read > 0
    status, _ = call(upstream, "POST", "/_emulator/script", [spoken(read)] * 20, key=MASTER)
    assert 200 <= status < 300
    key = made(replicas[1], max_budget=round(10 * reserved, 9))

    async def all_at_once() -> list[int]:
        calls = (one(replicas[n % REPLICAS], key["key"], f"u{n:04}") for n in range(200))
        return await asyncio.gather(*calls)

    statuses = Counter(asyncio.run(all_at_once()))
    assert statuses == {200: 10, 429: 190}, statuses
    for process in replicas:
        deadline = time.monotonic() + PATIENCE
        while True:
            status, told = call(process, "GET", f"/key/info?key={key['token']}", key=MASTER)
            info = told["info"]
            if info["outcrop"]["reserved"] == 0 or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert (status, info["outcrop"]["reserved"]) == (200, 0), info
        assert info["spend"] == pytest.approx(info["max_budget"], abs=1e-9)


def test_a_deleted_key_ends_on_every_replica(replicas: list[Outcrop]) -> None:
    key = made(replicas[0])
    chat = {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    for process in replicas:
        status, told = call(process, "POST", "/v1/chat/completions", chat, key=key["key"])
        assert status == 200, told
    status, told = call(replicas[0], "POST", "/key/delete", {"keys": [key["token"]]}, key=MASTER)
    assert status == 200, told
    deadline = time.monotonic() + 5
    for process in replicas:
        while True:
            status, _ = call(process, "POST", "/v1/chat/completions", chat, key=key["key"])
            if status == 401:
                break
            assert time.monotonic() < deadline, "accepted five seconds after it was deleted"
            time.sleep(0.1)
