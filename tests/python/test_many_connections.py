"""What many connections cost: idle ones, ones that send too slowly, and large bodies at once."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outcrop_process import PATIENCE, Outcrop
from samples import ECHO, NOVA, png
from scripted import Answer, Asked, Handler, Scripted, text_answer
from sse import chat

MIB = 1024 * 1024
ASKED = {"model": ECHO, "messages": [{"role": "user", "content": "hi"}]}
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
IDLE, EACH = 400, 32 * 1024
SLOW_HEADS, SLOW_BODIES = 150, 50
REQUESTS, IMAGES, IMAGE = 8, 3, 5 * MIB // 2


def memory(running: Outcrop, what: str) -> int:
    """`VmRSS`, or `VmHWM` for the most so far, in bytes."""
    assert running.process is not None
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    found = re.search(rf"{what}:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


@pytest.fixture()
def demo() -> Iterator[Outcrop]:
    text = "workers: 2\nbody: { idle: 1, total: 600 }\n"
    running = Outcrop(["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"], files={"outcrop.yaml": text})
    with running:
        yield running


def test_idle_connections_cost_little_and_hold_nobody_up(demo: Outcrop) -> None:
    def connected() -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(*demo.address, timeout=PATIENCE)
        connection.request("GET", "/livez")
        assert connection.getresponse().read()
        return connection

    first = [connected() for _ in range(50)]
    before = memory(demo, "VmRSS")
    idle = [connected() for _ in range(IDLE)]
    grown = memory(demo, "VmRSS") - before
    print(f"{grown // IDLE} bytes each")
    assert grown < IDLE * EACH, f"{grown // IDLE} bytes each"
    assert chat(demo.address, ASKED)[0] == 200
    for connection in first + idle:
        connection.close()


def ended(client: socket.socket) -> bytes:
    """The answer to a client that sends too slowly, once the gateway has closed the connection."""
    found = b""
    try:
        while piece := client.recv(4096):
            found += piece
    except ConnectionResetError:
        pass
    return found


def test_clients_that_send_too_slowly_are_closed_and_hold_nobody_up(demo: Outcrop) -> None:
    """Heads that do not end, bodies that stop, and bodies that trickle."""
    slow: list[tuple[socket.socket, bytes]] = []
    for number in range(SLOW_HEADS + SLOW_BODIES):
        client = socket.create_connection(demo.address, PATIENCE)
        client.settimeout(PATIENCE)
        body = HEAD + b"content-length: 100000\r\n\r\n{"
        begun, more = (b"GET /livez HTTP/1.1\r\nx-slow: ", b"") if number < SLOW_HEADS else (body, b" " * (number % 2))
        client.sendall(begun)
        slow.append((client, more))
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.2):
            for client, more in slow:
                if more:
                    try:
                        client.sendall(more)
                    except OSError:
                        pass

    trickling = threading.Thread(target=trickle)
    trickling.start()
    try:
        for _ in range(30):
            assert chat(demo.address, ASKED)[0] == 200
            time.sleep(0.02)
        for number, (client, more) in enumerate(slow):
            answer = ended(client)
            # One that still sends may see the end of the connection before the answer.
            assert answer.startswith(b"HTTP/1.1 408") or more, (number, answer[:80])
            client.close()
    finally:
        stop.set()
        trickling.join()
    assert chat(demo.address, ASKED)[0] == 200
    assert "panicked" not in demo.log()


def test_large_images_at_once_take_three_times_their_size_at_most() -> None:
    # A PNG may go on after its end.
    data = base64.b64encode(png() + b"\0" * (IMAGE - len(png()))).decode()
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    body = json.dumps({"model": NOVA, "messages": [{"role": "user", "content": [url] * IMAGES + [{"type": "text", "text": "?"}]}]})
    together = threading.Barrier(REQUESTS, timeout=PATIENCE)

    def answer(_: Handler, __: Asked) -> Answer:
        # All calls hold their bodies at the same time.
        together.wait()
        return text_answer("seen")

    statuses: list[int] = []
    with Scripted(answer, remembers=False) as upstream:
        running = Outcrop(
            ["--listen", "127.0.0.1:0", "--config", "outcrop.yaml"],
            environment=upstream.environment,
            files={"outcrop.yaml": "workers: 2\n"},
        )
        with running:
            before = memory(running, "VmRSS")

            def send() -> None:
                connection = http.client.HTTPConnection(*running.address, timeout=PATIENCE)
                connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
                statuses.append(connection.getresponse().status)
                connection.close()

            senders = [threading.Thread(target=send) for _ in range(REQUESTS)]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
            peak = memory(running, "VmHWM") - before
    assert statuses == [200] * REQUESTS
    print(f"{peak / REQUESTS / len(body):.2f} times a body each")
    assert peak < 3 * REQUESTS * len(body), f"{peak / REQUESTS / len(body):.2f} times a body each"
