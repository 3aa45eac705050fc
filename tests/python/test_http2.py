"""HTTP/2 towards clients, frame by frame: TLS and its protocol names, floods of resets, slow and odd
beginnings, the end of the process."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authority import Authority, https_gateway
from frames import CANCEL, DATA, ENHANCE_YOUR_CALM, GOAWAY, PING, PREFACE, RST_STREAM, STATUS_200, Connection, frame
from outcrop_process import PATIENCE, Outcrop
from samples import NOVA
from scripted import Asked, Handler, Scripted, kept_open

CHAT = "/v1/chat/completions"
JSON = {"content_type": "application/json"}


def asking(model: str, text: str, **more: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **more}).encode()


@pytest.fixture(scope="module")
def gateway() -> Iterator[Outcrop]:
    with Outcrop(["--demo", "--listen", "127.0.0.1:0"]) as running:
        yield running


def is_well(gateway: Outcrop) -> None:
    """Asserts that both protocols are served."""
    connection = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
    connection.request("GET", "/livez")
    assert connection.getresponse().status == 200
    connection.close()
    with Connection(gateway.address) as http2:
        number = http2.open("POST", CHAT, asking("emulator.echo", "well"), **JSON)
        status, body = http2.answer(number)
        assert status == STATUS_200 and b"well" in body


# --- beginnings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [(["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["h2"], "h2"), (["http/1.1"], "http/1.1"), ([], None)],
)
def test_tls_names_the_protocol(tmp_path: Path, offered: list[str], spoken: str | None) -> None:
    authority = Authority(tmp_path)
    with https_gateway(authority) as (running, _):
        context = ssl.create_default_context(cafile=authority.root)
        if offered:
            context.set_alpn_protocols(offered)
        with socket.create_connection(running.address, PATIENCE) as tcp, context.wrap_socket(tcp, server_hostname="127.0.0.1") as tls:
            assert tls.selected_alpn_protocol() == spoken
        if spoken == "h2":
            with Connection(running.address, context) as http2:
                number = http2.open("POST", CHAT, asking("emulator.echo", "sealed", stream=True), **JSON)
                status, body = http2.answer(number)
                assert status == STATUS_200 and b"sealed" in body and body.endswith(b"data: [DONE]\n\n")
        else:
            connection = http.client.HTTPSConnection(*running.address, timeout=PATIENCE, context=context)
            connection.request("GET", "/livez")
            assert connection.getresponse().status == 200
            connection.close()


def test_a_preface_may_come_in_pieces(gateway: Outcrop) -> None:
    with socket.create_connection(gateway.address, PATIENCE) as client:
        for at in range(len(PREFACE)):
            client.sendall(PREFACE[at : at + 1])
            time.sleep(0.01)
        client.sendall(b"\0\0\0\4\0\0\0\0\0")
        assert client.recv(9)[3] == 4, "settings"


@pytest.mark.parametrize("begun", [b"", b"P", PREFACE[:20]])
def test_a_client_that_does_not_go_on_is_sent_away(gateway: Outcrop, begun: bytes) -> None:
    with socket.create_connection(gateway.address, PATIENCE) as client:
        client.sendall(begun)
        started = time.monotonic()
        said = client.recv(1024)
        assert said.startswith(b"HTTP/1.1 408 ")
        assert 4 < time.monotonic() - started < PATIENCE / 2
        assert client.recv(1024) == b""


def test_what_is_no_http2_after_its_preface_is_sent_away(gateway: Outcrop) -> None:
    with socket.create_connection(gateway.address, PATIENCE) as client:
        client.sendall(PREFACE + b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" * 1000)
        while client.recv(65536):
            pass
    is_well(gateway)


@pytest.mark.parametrize(("kilobytes", "is_taken"), [(14, True), (100, True), (150, False)])
def test_a_head_has_a_limit(gateway: Outcrop, kilobytes: int, is_taken: bool) -> None:
    with Connection(gateway.address) as http2:
        number = http2.open("GET", "/livez", **{f"x_{at}": "y" * 1000 for at in range(kilobytes)})
        assert (http2.answer(number)[0] == STATUS_200) == is_taken
    is_well(gateway)


# --- floods -------------------------------------------------------------------------------------


def last_words(http2: Connection) -> int | None:
    """The reason with which the gateway closes."""
    reason = None
    for found in http2.frames():
        if found.kind == GOAWAY:
            reason = found.reason
    return reason


def test_a_flood_of_resets_ends_its_connection(gateway: Outcrop) -> None:
    with Connection(gateway.address) as http2:
        flood = b""
        for _ in range(5000):
            number, sent = http2.request("POST", CHAT, asking("emulator.stall-0", "x"), **JSON)
            flood += sent + frame(RST_STREAM, 0, number, CANCEL.to_bytes(4, "big"))
        try:
            http2.socket.sendall(flood)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert last_words(http2) in (ENHANCE_YOUR_CALM, None)
    is_well(gateway)


def test_resets_in_waves_are_bounded() -> None:
    """Waves of calls that hang, each given up after it has begun: the upstream sees no more than the limit."""

    def hangs(handler: Handler, _: Asked) -> None:
        handler.silence(30)

    with Scripted(hangs, remembers=False) as upstream:
        running = Outcrop(
            ["--listen", "127.0.0.1:0", "--config", "outcrop.yaml"],
            environment=upstream.environment,
            files={"outcrop.yaml": "workers: 1\n"},
        )
        with running, Connection(running.address) as http2:
            opened, ended = 0, False
            while not ended and opened < 3000:
                wave = [http2.open("POST", CHAT, asking(NOVA, "x"), **JSON) for _ in range(50)]
                opened += len(wave)
                # The gateway answers a ping when it has read what came before.
                ended = not settled(http2)
                for number in wave:
                    try:
                        http2.reset(number)
                    except (BrokenPipeError, ConnectionResetError):
                        ended = True
                        break
            assert ended and 400 < opened < 1500, opened
            assert "resets too many streams" in running.log(), running.log()
            connection = http.client.HTTPConnection(*running.address, timeout=PATIENCE)
            connection.request("GET", "/livez")
            assert connection.getresponse().status == 200


def settled(http2: Connection) -> bool:
    """Waits until the gateway has read everything; false where it has closed."""
    try:
        http2.socket.sendall(frame(PING, 0, 0, b"settled."))
    except (BrokenPipeError, ConnectionResetError):
        return False
    for found in http2.frames():
        if found.kind == GOAWAY:
            return False
        if found.kind == PING and found.payload == b"settled.":
            return True
    return False


# --- the end ------------------------------------------------------------------------------------


def test_open_streams_are_told_of_the_end() -> None:
    """A stream that outlasts the time limit gets the error of a process that ends; an idle connection closes."""

    def slow(handler: Handler, _: Asked) -> None:
        kept_open(handler, ["one ", "two "], 0.2, 300)

    with Scripted(slow) as upstream:
        running = Outcrop(
            ["--listen", "127.0.0.1:0", "--config", "outcrop.yaml"],
            environment=upstream.environment,
            files={"outcrop.yaml": "workers: 1\nshutdown: { timeout: 6 }\n"},
        )
        with running, Connection(running.address) as http2, Connection(running.address) as idle:
            assert idle.answer(idle.open("GET", "/livez"))[0] == STATUS_200
            number = http2.open("POST", CHAT, asking(NOVA, "x", stream=True), **JSON)
            frames = http2.frames()
            for found in frames:
                if found.stream == number and found.kind == DATA:
                    break
            running.terminate()
            sent = time.monotonic()
            assert last_words(idle) == 0
            assert time.monotonic() - sent < 6, "an idle connection does not wait"
            body, goaway = b"", False
            for found in frames:
                assert found.kind != RST_STREAM
                goaway |= found.kind == GOAWAY
                if found.stream == number:
                    body += found.payload
            assert goaway and b"shutting_down" in body and b"[DONE]" not in body, body
            assert running.wait() == 0
            assert 5.9 < time.monotonic() - sent < 40, running.log()
