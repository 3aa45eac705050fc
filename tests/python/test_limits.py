"""Limits against hostile or broken peers: made-up regions, endless errors, stalled readers, unlimited
durations, silent clients."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import time
from typing import Any

import pytest

from authority import Authority, https_gateway
from outcrop_process import PATIENCE, Outcrop, answers, run_to_end
from samples import NOVA
from scripted import Answer, Asked, Handler, Scripted, text_answer, text_frames
from sse import chat

SLACK = 4.0
DRY = {"x-outcrop-dry-run": "true"}


def asking(text: str, model: str = NOVA, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def configured(upstream: Scripted, text: str) -> Outcrop:
    return Outcrop(
        ["--listen", "127.0.0.1:0", "--config", "outcrop.yaml"],
        environment=upstream.environment,
        files={"outcrop.yaml": text},
    )


def well(_: Handler, asked: Asked) -> Answer:
    """Answers everything."""
    return Answer.frames(*text_frames(["Hello"])) if asked.operation == "converse-stream" else text_answer("Hello")


# --- regions ------------------------------------------------------------------------------------


def made_up() -> list[str]:
    letters = "abcdefghij"
    return [f"{a}{b}-{word}-1" for word in ("fake", "north") for a in letters[:6] for b in letters[:6]]


def test_unknown_regions_do_not_block_known_ones() -> None:
    text = "workers: 2\nmodels: { ours: { model: nova-lite, region: xx-new-7 } }\n"
    with Scripted(well) as upstream, configured(upstream, text) as gateway:
        for region in made_up():
            status, _, answer = chat(gateway.address, asking("x", f"bedrock/{region}/{NOVA}"), DRY)
            assert (status, answer["error"]["code"]) == (400, "region_not_served"), (region, answer)
        # Listing one model calls its region too.
        connection = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
        for region in made_up():
            connection.request("GET", f"/v1/models/bedrock%2F{region}%2Fnova-lite")
            answer = connection.getresponse()
            answer.read()
            assert answer.status in (400, 404), region
        connection.close()
        # AWS's regions and the operator's own still work, also after a reload.
        for _ in range(2):
            for region in ("eu-west-1", "ap-southeast-7", "xx-new-7"):
                status, _, answer = chat(gateway.address, asking("x", f"bedrock/{region}/{NOVA}"), DRY)
                assert status == 200, (region, answer)
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + PATIENCE
            while "configuration read again" not in gateway.log():
                assert time.monotonic() < deadline, gateway.log()
                time.sleep(0.05)
        assert not upstream.asked


# --- errors that do not end ---------------------------------------------------------------------


def stalls(handler: Handler, asked: Asked) -> None:
    """An error whose body does not arrive, or arrives one byte at a time."""
    handler.head(503, {"content-type": "application/json", "content-length": "100"})
    handler.write(b"{")
    if "drip" in asked.raw.decode():
        for _ in range(90):
            handler.silence(2)
            handler.write(b" ")
    else:
        handler.silence(PATIENCE)


@pytest.mark.parametrize("path", ["/v1/chat/completions", f"/bedrock/model/{NOVA}/converse"])
@pytest.mark.parametrize("how", ["silent", "drip"])
def test_the_body_of_an_error_is_not_waited_for(path: str, how: str) -> None:
    body = asking(how)
    if path.startswith("/bedrock"):
        body = {"messages": [{"role": "user", "content": [{"text": how}]}]}
    with Scripted(stalls) as upstream, configured(upstream, "workers: 2\n") as gateway:
        started = time.monotonic()
        connection = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 503
        assert time.monotonic() - started < PATIENCE / 2, "all attempts included"
        assert len(upstream.asked) == 3


def test_attempts_have_one_time_limit_together() -> None:
    """Each attempt is refused at once with a requested delay; three delays would exceed the limit."""

    def refuses(_: Handler, __: Asked) -> Answer:
        return Answer.json({"message": "busy"}, 503, retry_after="4", x_amzn_errortype="ServiceUnavailableException")

    with Scripted(refuses) as upstream, configured(upstream, "timeouts: { total: 6 }\n") as gateway:
        started = time.monotonic()
        assert chat(gateway.address, asking("x"))[0] == 503
        assert time.monotonic() - started < 6 + SLACK
        assert len(upstream.asked) == 2, "there is time for one pause"

    def never(handler: Handler, _: Asked) -> Answer | None:
        if len(handler.scripted.asked) == 1:
            handler.silence(4)
            return refuses(handler, _)
        handler.silence(60)
        return None

    text = "timeouts: { total: 9 }\n"
    with Scripted(never) as upstream, configured(upstream, text) as gateway:
        started = time.monotonic()
        status, _, answer = chat(gateway.address, asking("x"))
        assert (status, answer["error"]["code"]) == (504, "upstream_timeout")
        assert time.monotonic() - started < 9 + SLACK, "not nine seconds for each attempt"
        assert len(upstream.asked) == 2


# --- readers that stall -------------------------------------------------------------------------


def resident(gateway: Outcrop) -> int:
    """Bytes of memory that the process holds."""
    assert gateway.process is not None
    with open(f"/proc/{gateway.process.pid}/status", encoding="utf-8") as file:
        found = re.search(r"VmRSS:\s+(\d+) kB", file.read())
    assert found
    return int(found[1]) * 1024


def test_a_reader_that_stalls_holds_little() -> None:
    """Besides socket buffers, at most three buffers are held: one read, one being read, one being
    written. The bound has room for pages that the allocator keeps, which differ by machine; a buffer
    without bound grows past any."""
    count, each = 60, 400 * 1024
    piece = b"".join(text_frames(["granite " * 128])[1:2]) * 40

    def endless(handler: Handler, _: Asked) -> None:
        handler.begin()
        handler.write(text_frames(["x"])[0])
        while not handler.scripted.ended.is_set():
            handler.write(piece)

    with Scripted(endless) as upstream, configured(upstream, "workers: 2\n") as gateway:
        chat(gateway.address, asking("x"), DRY)
        before = resident(gateway)
        body = json.dumps(asking("x", stream=True)).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        sockets = []
        for _ in range(count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(PATIENCE)
            client.connect(gateway.address)
            client.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            assert client.recv(12) == b"HTTP/1.1 200"
            sockets.append(client)
        held = [0]
        while len(held) < 4 or held[-1] > held[-4] + 64 * 1024 * count // 10:
            time.sleep(0.5)
            held.append(resident(gateway) - before)
            assert len(held) < 40, f"it grows on: {held}"
        print(f"{held[-1] // count // 1024} KiB each")
        assert held[-1] < count * each, f"{held[-1] // count // 1024} KiB each"
        for client in sockets:
            client.close()


# --- durations and counts -----------------------------------------------------------------------

SECONDS = [
    "access.redis_timeout",
    "timeouts.connect",
    "timeouts.first_byte",
    "timeouts.first_byte_stream",
    "timeouts.idle",
    "timeouts.total",
    "timeouts.keep_alive",
    "timeouts.write_stall",
    "body.idle",
    "body.total",
    "media.timeout",
    "thinking_memory.ttl",
    "shutdown.delay",
    "shutdown.timeout",
    "routing.retries.first_pause",
    "routing.retries.longest_pause",
    "routing.retries.retry_after_limit",
    "routing.retries.budget_window",
    "routing.cooldown.window",
    "routing.cooldown.open",
    "routing.cooldown.longest",
]
COUNTS = ["workers", "body.max_mib", "media.max_mib", "media.max_urls", "embeddings.concurrency", "moderation.concurrency"]


def written(paths: list[str], value: str) -> str:
    """A file with these keys, in order."""
    lines: list[str] = []
    open_sections: list[str] = []
    for path in paths:
        *sections, key = path.split(".")
        shared = len(os.path.commonprefix([sections, open_sections]))
        lines += [f"{'  ' * depth}{sections[depth]}:" for depth in range(shared, len(sections))]
        lines.append(f"{'  ' * len(sections)}{key}: {value}")
        open_sections = sections
    return "\n".join([*lines, ""])


@pytest.mark.parametrize("value", ["9223372036854775807", "1.0e+18", "2592001", "-1", "soon", "1.0e-12"])
def test_unlimited_durations_are_refused(value: str) -> None:
    told_of(SECONDS, value)


@pytest.mark.parametrize("value", ["9223372036854775807", "1000000", "0", "-1", "2.5"])
def test_unlimited_counts_are_refused(value: str) -> None:
    told_of(COUNTS, value)


def told_of(paths: list[str], value: str) -> None:
    """Asserts that every key is refused, with its line, in one run."""
    text = written(paths, value)
    ended = run_to_end(["check", "outcrop.yaml"], files={"outcrop.yaml": text})
    said = ended.stdout + ended.stderr
    assert ended.returncode == 2 and "panicked" not in said, said
    for path in paths:
        lines = [line for line in said.splitlines() if path in line]
        assert lines and re.search(r"outcrop\.yaml:\d+", said), f"{path}: {value}\n{said}"
    assert said.count("outcrop.yaml:") >= len(paths), said


def test_the_longest_duration_works_and_zero_is_no_limit() -> None:
    names = ["first_byte", "first_byte_stream", "idle", "total", "keep_alive", "write_stall"]
    for value in ("86400", "0"):
        timeouts = ", ".join(f"{name}: {value}" for name in names)
        text = f"timeouts: {{ {timeouts} }}\nbody: {{ idle: {value}, total: {value} }}\n"
        with Scripted(well) as upstream, configured(upstream, text) as gateway:
            assert chat(gateway.address, asking("x"))[0] == 200
            status, _, _ = chat(gateway.address, asking("x"), {"content-type": "application/json"})
            assert status == 200
            connection = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
            body = json.dumps(asking("x", stream=True))
            connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
            streamed = connection.getresponse().read().decode()
            assert streamed.endswith("data: [DONE]\n\n") and ": " not in streamed[:2], streamed
            connection.close()
        shown = run_to_end(["check", "outcrop.yaml"], files={"outcrop.yaml": text})
        assert shown.returncode == 0 and f"timeouts.total: {value}" in shown.stdout.replace(" = ", ": "), shown.stdout


# --- clients that say nothing -------------------------------------------------------------------


def test_silent_tls_connections_block_no_other_client(tmp_path: Any) -> None:
    """Another client does not wait until the silent ones are sent away, two seconds after they came. On a
    busy machine that takes several attempts."""
    with https_gateway(Authority(tmp_path)) as (gateway, _):
        assert any(answered_beside_silent_ones(gateway) < 2 for _ in range(10))


def answered_beside_silent_ones(gateway: Outcrop) -> float:
    """Seconds until a client is served that comes after many silent ones."""
    silent = [socket.create_connection(gateway.address, PATIENCE) for _ in range(700)]
    try:
        started = time.monotonic()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(*gateway.address, timeout=PATIENCE, context=context)
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
        took = time.monotonic() - started
        connection.close()
        return took
    finally:
        for one in silent:
            one.close()


# --- the rest -----------------------------------------------------------------------------------


def test_the_emulator_listens_beyond_loopback_only_if_allowed() -> None:
    ended = run_to_end(["emulate", "--listen", "0.0.0.0:0"])
    assert ended.returncode == 2 and "--allow-anonymous" in ended.stderr
    arguments = ["emulate", "--listen", "0.0.0.0:0", "--allow-anonymous"]
    with Outcrop(arguments, ready_path=None) as running:
        assert answers(running.url.replace("0.0.0.0", "127.0.0.1"), "/_emulator/calls")


def test_a_native_answer_keeps_its_encoding() -> None:
    """The gateway requests no encoding; encoded bytes need the header that names it."""

    def packed(_: Handler, __: Asked) -> Answer:
        return Answer(200, {"content-type": "application/json", "content-encoding": "gzip"}, b"\x1f\x8b packed")

    with Scripted(packed) as upstream, configured(upstream, "workers: 2\n") as gateway:
        connection = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
        body = json.dumps({"messages": [{"role": "user", "content": [{"text": "x"}]}]})
        connection.request("POST", f"/bedrock/model/{NOVA}/converse", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["content-encoding"]) == (200, "gzip")
        assert answer.read() == b"\x1f\x8b packed"
        connection.close()


def test_announced_bodies_use_no_memory() -> None:
    """A process with a bounded address space survives many announcements of the largest body."""
    with Scripted(well) as upstream, configured(upstream, "workers: 2\nbody: { max_mib: 4096 }\n") as gateway:
        assert gateway.process is not None
        size = (4096 << 20) - 1
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n{{"
        clients = [socket.create_connection(gateway.address, PATIENCE) for _ in range(40)]
        before = virtual(gateway)
        for client in clients:
            client.sendall(head.encode())
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            assert virtual(gateway) - before < 1 << 30, "40 announcements of 4 GiB"
            time.sleep(0.1)
        for client in clients:
            client.close()
        assert chat(gateway.address, asking("x"))[0] == 200


def virtual(gateway: Outcrop) -> int:
    """Bytes of address space."""
    assert gateway.process is not None
    pages = int(open(f"/proc/{gateway.process.pid}/statm", encoding="utf-8").read().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


