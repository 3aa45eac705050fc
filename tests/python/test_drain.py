"""The end of the process under load: streams that finish, requests that move to another replica, and the rows of
calls that are cut off."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from frames import DATA, GOAWAY, STATUS_200, Connection
from ledger_load import rows
from open_streams import Balancer, Streams, Tally
from outcrop_process import PATIENCE, Outcrop, answers
from samples import ECHO, NOVA
from scripted import KEYS, Asked, Handler, Scripted, kept_open
from sse import Exchange, chat

KEY = "sk-a-master-key-of-the-tests-0123456789"
# Streams at once; tests/python/lifecycle_figures.py has 200 and 50.
CHATS, NATIVES = 60, 15
RESTARTS, CLIENTS = 2, 8


def beside(emulator: Outcrop, text: str) -> Outcrop:
    """A gateway that calls the emulator, on every address: on loopback there is no delay."""
    return Outcrop(
        ["--config", "outcrop.yaml"],
        environment={**KEYS, "AWS_ENDPOINT_URL": emulator.url},
        files={"outcrop.yaml": f"listen: 0.0.0.0:0\nallow_anonymous: true\nworkers: 2\n{text}"},
    )


def local(running: Outcrop) -> tuple[str, int]:
    return "127.0.0.1", running.address[1]


def test_every_stream_that_has_begun_finishes(emulator: Outcrop) -> None:
    """Chat streams and native ones, with their last event; then the process ends without waiting for its limit."""
    with beside(emulator, "shutdown: { delay: 0.2 }\n") as running:
        streams = Streams(local(running), chats=CHATS, natives=NATIVES)
        asyncio.run(streams.run(running.terminate))
        ended = time.monotonic()
        assert streams.complete() == CHATS + NATIVES, [bytes(one.body[-200:]) for one in streams.replies][:3]
        assert running.wait() == 0
        print(f"ended {time.monotonic() - ended:.2f} s after the last stream")
        assert "the time for open requests is over" not in running.log()


def test_it_serves_while_balancers_notice_and_lets_connections_go(emulator: Outcrop) -> None:
    with beside(emulator, "shutdown: { delay: 600 }\n") as running, Connection(local(running)) as http2:
        url = f"http://127.0.0.1:{running.address[1]}"
        kept = http.client.HTTPConnection(*local(running), timeout=PATIENCE)
        kept.request("GET", "/livez")
        assert (before := kept.getresponse()).read() and before.getheader("connection") is None
        assert http2.answer(http2.open("GET", "/livez"))[0] == STATUS_200
        running.terminate()
        while answers(url, "/readyz"):
            time.sleep(0.01)
        asked = {"model": ECHO, "messages": [{"role": "user", "content": "still here"}]}
        for connection in (kept, http.client.HTTPConnection(*local(running), timeout=PATIENCE)):
            connection.request("POST", "/v1/chat/completions", json.dumps(asked), {"content-type": "application/json"})
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("connection")) == (200, "close")
            assert b"still here" in answer.read()
        assert any(found.kind == GOAWAY for found in http2.frames()), "an idle connection is closed"
        # A new connection serves what it is asked first.
        with Connection(local(running)) as late:
            body = json.dumps({**asked, "stream": True}).encode()
            number = late.open("POST", "/v1/chat/completions", body, content_type="application/json")
            found = list(late.frames())
            text = b"".join(frame.payload for frame in found if frame.stream == number and frame.kind == DATA)
            assert b"[DONE]" in text and any(frame.kind == GOAWAY for frame in found), found
        assert running.alive()
        running.terminate()
        assert running.wait() == 0


def test_rolling_restarts_of_two_replicas_lose_no_request(emulator: Outcrop) -> None:
    text = "shutdown: { delay: 3 }\n"

    async def replaced(balancer: Balancer, old: Outcrop) -> Outcrop:
        """Ends a replica as an orchestrator does, and starts its successor."""
        old.terminate()
        while await asyncio.to_thread(answers, f"http://127.0.0.1:{old.address[1]}", "/readyz"):
            await asyncio.sleep(0.02)
        balancer.backends.remove(local(old))
        assert await asyncio.to_thread(old.wait) == 0
        old.__exit__()
        new = await asyncio.to_thread(beside(emulator, text).__enter__)
        balancer.backends.append(local(new))
        return new

    async def rolled(replicas: list[Outcrop]) -> Tally:
        tally = Tally()
        async with Balancer() as balancer:
            balancer.backends = [local(one) for one in replicas]
            clients = asyncio.gather(*(tally.client(balancer.address, 0.05) for _ in range(CLIENTS)))
            for _ in range(RESTARTS):
                replicas.append(await replaced(balancer, replicas.pop(0)))
            tally.ends.set()
            await clients
        return tally

    replicas: list[Outcrop] = []
    try:
        replicas += [beside(emulator, text).__enter__() for _ in range(2)]
        tally = asyncio.run(rolled(replicas))
    finally:
        for one in replicas:
            one.stop()
    assert not tally.failed, tally.failed[:5]
    assert tally.served > RESTARTS * CLIENTS


@pytest.fixture()
def slow() -> Iterator[Scripted]:
    def answer(handler: Handler, _: Asked) -> None:
        kept_open(handler, ["one ", "two "], 0.2, 3000)

    with Scripted(answer) as server:
        yield server


@pytest.mark.parametrize("ending", ["time limit", "second signal"])
def test_calls_that_are_cut_off_have_settled_rows(slow: Scripted, tmp_path: Path, ending: str) -> None:
    """Their clients get an error, and their rows an estimate of what Bedrock bills; the log tells what was open."""
    store, count = tmp_path / "ledger.db", 5
    limit = 1 if ending == "time limit" else 600
    text = f"workers: 2\nmaster_key: {KEY}\ndatabase_url: sqlite:{store}\nshutdown: {{ timeout: {limit} }}\n"
    running = Outcrop(
        ["--listen", "127.0.0.1:0", "--config", "outcrop.yaml"],
        environment=slow.environment,
        files={"outcrop.yaml": text},
    )
    asked = {"model": NOVA, "stream": True, "messages": [{"role": "user", "content": "x"}]}
    with running:
        exchanges = [Exchange(running.address, asked, headers={"authorization": f"Bearer {KEY}"}) for _ in range(count)]
        streams = [exchange.events() for exchange in exchanges]
        for events in streams:
            next(events)
        running.terminate()
        if ending == "second signal":
            running.log_with(f"stopping: {count} calls in flight, {count} connections open")
            assert running.process is not None
            running.process.send_signal(signal.SIGTERM)
        for exchange, events in zip(exchanges, streams, strict=True):
            assert list(events)[-1].json["error"]["code"] == "shutting_down"
            exchange.close()
        assert running.wait() == 0
        log = running.log()
    assert log.count("outcome=shutdown") == count, log
    found = rows(store)
    assert [row["state"] for row in found] == ["estimated"] * count, found
    assert all(row["error_code"] in ("shutting_down", "shutdown") and row["cost"] > 0 for row in found), found
    assert "did not take the settlements" not in log


def test_refusals_for_overload_are_counted_at_the_end(emulator: Outcrop) -> None:
    with beside(emulator, "overload: { memory_limit_mib: 1 }\nshutdown: { delay: 0 }\n") as running:
        asked = {"model": ECHO, "messages": [{"role": "user", "content": "x"}]}
        for _ in range(3):
            assert chat(local(running), asked)[0] == 503
        running.terminate()
        assert running.wait() == 0
        assert "3 calls were refused because memory is short" in running.log()
