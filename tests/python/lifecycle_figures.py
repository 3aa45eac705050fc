"""Prints the figures of a binary's lifecycle: a drain of 250 streams, rolling restarts, stalled readers, overload, and
the memory of an idle process. `lifecycle_figures.py [NAME...]` runs the named ones; OUTCROP_BINARY is the binary.

It is no test: the figures depend on the machine, and a release build is what they are for. The tests of the same
promises, with smaller figures, are in tests/reliability.toml.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from open_streams import CHAT, Balancer, Streams, Tally, chat, read, request
from outcrop_process import EMULATOR, Outcrop, answers
from samples import ECHO, NOVA
from scripted import KEYS, Asked, Handler, Scripted, text_answer, text_frames

MIB = 1024 * 1024


def say(name: str, text: str) -> None:
    print(f"{name:10} {text}", flush=True)


def gateway(upstream: str, text: str = "") -> Outcrop:
    """A gateway on every address: on loopback there is no delay."""
    return Outcrop(
        ["--config", "outcrop.yaml"],
        environment={**KEYS, "AWS_ENDPOINT_URL": upstream},
        files={"outcrop.yaml": f"listen: 0.0.0.0:0\nallow_anonymous: true\nworkers: 2\n{text}"},
    )


def emulator() -> Outcrop:
    return Outcrop(["emulate", "--listen", "127.0.0.1:0"], ready_path=None, binary=EMULATOR)


def local(running: Outcrop) -> tuple[str, int]:
    return "127.0.0.1", running.address[1]


def resident(running: Outcrop) -> int:
    assert running.process is not None
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def percentile(times: list[float], part: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def drain() -> None:
    """200 streams of chat and 50 native ones at SIGTERM."""
    with emulator() as upstream, gateway(upstream.url, "shutdown: { delay: 0.5 }\n") as running:
        streams = Streams(local(running), chats=200, natives=50)
        asyncio.run(streams.run(running.terminate))
        last = time.monotonic()
        code = running.wait()
        say("drain", f"{streams.complete()} of 250 streams complete; exit {code}, {time.monotonic() - last:.2f} s after the last")
    with emulator() as upstream, gateway(upstream.url, "shutdown: { delay: 2 }\n") as running:
        url = f"http://127.0.0.1:{running.address[1]}"
        running.terminate()
        sent = time.monotonic()
        while answers(url, "/readyz"):
            pass
        say("drain", f"not ready {1000 * (time.monotonic() - sent):.0f} ms after SIGTERM")


def rolling() -> None:
    """Ten restarts of two replicas under 200 requests a second, a fifth of them streams."""
    text = "shutdown: { delay: 1 }\n"

    async def run(upstream: str, replicas: list[Outcrop]) -> tuple[Tally, float]:
        tally = Tally()
        async with Balancer() as balancer:
            balancer.backends = [local(one) for one in replicas]
            # 50 clients with a request each quarter of a second.
            clients = asyncio.gather(*(tally.client(balancer.address, 0.25) for _ in range(50)))
            began = time.monotonic()
            for _ in range(10):
                old = replicas.pop(0)
                old.terminate()
                while await asyncio.to_thread(answers, f"http://127.0.0.1:{old.address[1]}", "/readyz"):
                    await asyncio.sleep(0.02)
                balancer.backends.remove(local(old))
                await asyncio.to_thread(old.wait)
                old.__exit__()
                replicas.append(await asyncio.to_thread(gateway(upstream, text).__enter__))
                balancer.backends.append(local(replicas[-1]))
            took = time.monotonic() - began
            tally.ends.set()
            await clients
        return tally, took

    with emulator() as upstream:
        replicas: list[Outcrop] = []
        try:
            replicas += [gateway(upstream.url, text).__enter__() for _ in range(2)]
            tally, took = asyncio.run(run(upstream.url, replicas))
        finally:
            for one in replicas:
                one.stop()
    total = tally.served + len(tally.failed)
    say("rolling", f"{len(tally.failed)} of {total} requests failed over 10 restarts in {took:.0f} s ({total / took:.0f}/s)")
    for failure, count in Counter(tally.failed).most_common(3):
        say("rolling", f"  {count} x {failure}")


def stalled() -> None:
    """500 readers that stop, in front of an upstream that sends as fast as it can."""
    piece = b"".join(text_frames(["granite " * 128])[1:2]) * 40

    def endless(handler: Handler, _: Asked) -> None:
        handler.begin()
        handler.write(text_frames(["x"])[0])
        while not handler.scripted.ended.is_set():
            handler.write(piece)

    wire = request(CHAT, {**chat("x", stream=True), "model": NOVA})
    with Scripted(endless, remembers=False) as upstream, gateway(upstream.url, "timeouts: { write_stall: 600 }\n") as running:
        sockets: list[socket.socket] = []

        def stall(count: int) -> None:
            for _ in range(count):
                client = socket.socket()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.settimeout(120)
                client.connect(local(running))
                client.sendall(wire)
                client.recv(12)
                sockets.append(client)

        stall(1)
        time.sleep(1)
        before, held = resident(running), [0]
        stall(499)
        while len(held) < 5 or held[-1] > held[-4] + MIB // 4:
            time.sleep(0.5)
            held.append(resident(running) - before)
        say("stalled", f"500 readers: {held[-1] / MIB:.1f} MiB more, {held[-1] / 500 / 1024:.0f} KiB each")
        for client in sockets:
            client.close()


def overload() -> None:
    """512 calls at once on a cap of 64, and refusals one by one while the gateway is full."""
    release = threading.Event()

    def held(handler: Handler, _: Asked) -> object:
        while not (release.wait(0.05) or handler.scripted.ended.is_set()):
            pass
        return text_answer("served")

    wire = request(CHAT, {**chat("x"), "model": NOVA})

    async def one(address: tuple[str, int], start: asyncio.Event, times: list[float]) -> int:
        reader, writer = await asyncio.open_connection(*address)
        await start.wait()
        writer.write(wire)
        sent = time.monotonic()
        reply = await read(reader)
        if reply.status == 503:
            times.append(time.monotonic() - sent)
        writer.close()
        return reply.status

    async def burst(address: tuple[str, int]) -> tuple[Counter[int], list[float]]:
        start, times = asyncio.Event(), []
        calls = asyncio.gather(*(one(address, start, times) for _ in range(512)))
        await asyncio.sleep(1)
        start.set()
        while len(times) < 448 and not calls.done():
            await asyncio.sleep(0.01)
        release.set()
        return Counter(await calls), times

    async def one_by_one(address: tuple[str, int]) -> list[float]:
        release.clear()
        start, times = asyncio.Event(), []
        start.set()
        before = upstream.count
        full = asyncio.gather(*(one(address, start, []) for _ in range(64)))
        while upstream.count < before + 64:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(*address)
        while len(times) < 448:
            writer.write(wire)
            sent = time.monotonic()
            reply = await read(reader)
            times.append(time.monotonic() - sent)
            assert reply.status == 503, reply.status
            await asyncio.sleep(0.002)
        release.set()
        writer.close()
        await full
        return times

    with Scripted(held, remembers=False) as upstream, gateway(upstream.url, "overload: { max_in_flight: 64 }\n") as running:
        found, times = asyncio.run(burst(local(running)))
        say("overload", f"512 at once on a cap of 64: {found[200]} served, {found[503]} refused")
        say("overload", f"  a burst from one thread: p50 {1000 * percentile(times, 0.5):.1f} ms, p99 {1000 * percentile(times, 0.99):.1f} ms")
        times = asyncio.run(one_by_one(local(running)))
        say("overload", f"  one by one: p50 {1000 * percentile(times, 0.5):.2f} ms, p99 {1000 * percentile(times, 0.99):.2f} ms")


def idle() -> None:
    """The memory of a sidecar that has served one call, and of one that keeps accounts in a file."""
    with tempfile.TemporaryDirectory() as folder, emulator() as upstream:
        accounts = f"master_key: sk-{'0123456789abcdef' * 2}\ndatabase_url: sqlite:{folder}/ledger.db\n"
        for name, text, key in [("", "", "any"), (", with accounts", accounts, f"sk-{'0123456789abcdef' * 2}")]:
            with gateway(upstream.url, text) as running:
                time.sleep(1)
                fresh = resident(running)

                async def call() -> int:
                    reader, writer = await asyncio.open_connection(*local(running))
                    writer.write(request(CHAT, {**chat("x"), "model": ECHO}, key=key))
                    status = (await read(reader)).status
                    writer.close()
                    return status

                assert asyncio.run(call()) == 200, json.dumps(running.log()[-500:])
                time.sleep(1)
                say("idle", f"{fresh / MIB:.1f} MiB after the start, {resident(running) / MIB:.1f} MiB after a call{name}")


FIGURES = {function.__name__: function for function in (drain, rolling, stalled, overload, idle)}


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    say("binary", os.environ.get("OUTCROP_BINARY", "OUTCROP_BINARY is not set"))
    for name in sys.argv[1:] or FIGURES:
        FIGURES[name]()


if __name__ == "__main__":
    main()
