"""Malformed requests: always an OpenAI error and a 4xx, never a hang, a crash or a 5xx."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from malformed_cases import CHAT, OVERSIZE, Case, protocol_cases, strict_cases
from outcrop_process import PATIENCE, Outcrop, answers
from samples import ECHO
from sse import chat

AT_LEAST = 200


@pytest.fixture(scope="module")
def target() -> Iterator[Outcrop]:
    """A separate gateway, so that a failure here does not affect other suites."""
    with Outcrop(["--demo", "--listen", "127.0.0.1:0"]) as running:
        yield running


def complaint(target: Outcrop, case: Case) -> str | None:
    """Sends one case; returns the problem of the answer, if any."""
    started = time.monotonic()
    connection = http.client.HTTPConnection(*target.address, timeout=PATIENCE)
    try:
        connection.request(case.method, case.path, case.body, case.headers)
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error!r}"
    finally:
        connection.close()
    took = time.monotonic() - started
    if took > PATIENCE:
        return f"took {took:.1f} s"
    if not 400 <= response.status < 500:
        return f"status {response.status}: {text[:200]!r}"
    if case.statuses and response.status not in case.statuses:
        return f"status {response.status}, expected {case.statuses}: {text[:200]!r}"
    return envelope_complaint(response.getheader("content-type"), text)


def envelope_complaint(content_type: str | None, text: bytes) -> str | None:
    """The problem of an error body, if any."""
    if content_type != "application/json":
        return f"content type {content_type}"
    try:
        error = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return f"no error object: {text[:200]!r}"
    if set(error) != {"message", "type", "param", "code"}:
        return f"keys {sorted(error)}"
    if not (isinstance(error["message"], str) and error["message"].strip()):
        return f"message {error['message']!r}"
    if len(error["message"]) > 2000:
        return f"a message of {len(error['message'])} characters"
    if not isinstance(error["type"], str):
        return f"type {error['type']!r}"
    if not isinstance(error["param"], str | None) or not isinstance(error["code"], str | None):
        return f"param {error['param']!r}, code {error['code']!r}"
    return None


def assert_working(target: Outcrop) -> None:
    """Asserts that the process runs and serves requests."""
    assert target.alive(), target.log()[-2000:]
    assert answers(target.url, "/livez")
    request = {"model": ECHO, "messages": [{"role": "user", "content": "still here"}]}
    status, _, answer = chat(target.address, request)
    assert status == 200 and answer["choices"][0]["message"]["content"] == "still here"


def test_a_deep_unknown_field_is_skipped_and_named(target: Outcrop) -> None:
    """The value is not read, so its depth costs no time."""
    depth = 100_000
    request = {"model": ECHO, "messages": [{"role": "user", "content": "hi"}]}
    body = json.dumps(request)[:-1] + ',"x":' + '{"a":' * depth + "1" + "}" * (depth + 1)
    connection = http.client.HTTPConnection(*target.address, timeout=PATIENCE)
    try:
        connection.request("POST", CHAT, body, {"content-type": "application/json"})
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    assert response.status == 200 and response.getheader("x-outcrop-ignored") == "x"
    assert_working(target)


def test_an_unrecognised_file_is_sent_as_declared(target: Outcrop) -> None:
    """Bedrock decides, because an encrypted spreadsheet is not recognisable either."""
    data = "data:application/vnd.ms-excel;base64,aGk="
    part = {"type": "file", "file": {"filename": "sheet.xls", "file_data": data}}
    told = {"type": "text", "text": "hi"}
    request = {"model": ECHO, "messages": [{"role": "user", "content": [told, part]}]}
    assert chat(target.address, request)[0] == 200



def test_malformed_requests(target: Outcrop, capsys: pytest.CaptureFixture[str]) -> None:
    cases = strict_cases()
    assert len({case.name for case in cases}) == len(cases) >= AT_LEAST
    failures = []
    for case in cases:
        if wrong := complaint(target, case):
            failures.append(f"{case.name}: {wrong}")
        assert target.alive(), f"{case.name} killed the gateway:\n{target.log()[-2000:]}"
    with capsys.disabled():
        print(f"\nmalformed requests: {len(cases) - len(failures)} of {len(cases)}")
    assert not failures, "\n".join(failures)
    assert_working(target)
    assert "panicked" not in target.log()


def test_malformed_requests_asking_for_a_stream(target: Outcrop) -> None:
    """A bad request for a stream gets the same error."""
    failures = []
    for case in strict_cases():
        if case.path != CHAT or not case.body.startswith(b'{"model"') or not case.body.endswith(b"}"):
            continue
        if b'"stream"' in case.body or len(case.body) > 100_000:
            continue
        streamed = replace(case, body=case.body[:-1] + b', "stream": true}')
        if wrong := complaint(target, streamed):
            failures.append(f"{case.name}: {wrong}")
    assert not failures, "\n".join(failures)
    assert_working(target)


def test_oversize_body(target: Outcrop) -> None:
    """Refused with 413 before it was read completely; the connection may be closed meanwhile."""
    connection = http.client.HTTPConnection(*target.address, timeout=PATIENCE)
    try:
        connection.putrequest("POST", CHAT)
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", str(OVERSIZE))
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 413
        assert envelope_complaint(response.getheader("content-type"), response.read()) is None
    finally:
        connection.close()
    assert_working(target)


def test_oversize_body_in_chunks(target: Outcrop) -> None:
    """The same without a length: after the limit the connection is closed, not drained."""
    block = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    answer, ended = b"", False
    deadline = time.monotonic() + PATIENCE
    with socket.create_connection(target.address, PATIENCE) as connection:
        try:
            connection.sendall(head.encode())
            while time.monotonic() < deadline:
                connection.sendall(block)
        except OSError:
            ended = True
        try:
            answer = connection.recv(4096)
        except OSError:
            pass
    assert ended, "the gateway went on reading"
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413"), answer[:200]
    assert_working(target)


def test_broken_http(target: Outcrop, capsys: pytest.CaptureFixture[str]) -> None:
    """Invalid HTTP gets a 4xx or a closed connection, within the deadline."""
    seen: Counter[str] = Counter()
    failures = []
    for name, raw in protocol_cases().items():
        status = status_of(target, raw)
        seen[status] += 1
        if status == "timeout" or not (status == "closed" or status.startswith("4")):
            failures.append(f"{name}: {status}")
        assert target.alive(), f"{name} killed the gateway"
    with capsys.disabled():
        print(f"\nbroken HTTP: {dict(seen)}")
    assert not failures, "\n".join(failures)
    assert_working(target)
    assert "panicked" not in target.log()


def status_of(target: Outcrop, raw: bytes) -> str:
    """Sends bytes, closes the sending half, and returns the result: a status, `closed` or `timeout`."""
    with socket.create_connection(target.address, PATIENCE) as connection:
        connection.settimeout(PATIENCE)
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except TimeoutError:
            return "timeout"
        except OSError:
            return "closed"
    if not answer:
        return "closed"
    return answer.split(b" ", 2)[1].decode(errors="replace")


def test_a_body_that_stalls() -> None:
    """A client that stops in the middle of its body gets an answer."""
    files = {"outcrop.yaml": "body:\n  idle: 1\n  total: 3\n"}
    arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"]
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"
    with Outcrop(arguments, files=files) as running:
        with socket.create_connection(running.address, PATIENCE) as connection:
            connection.sendall(head.encode() + b'{"model": ')
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert response.status in (400, 408)
            assert envelope_complaint(response.getheader("content-type"), response.read()) is None
        assert_working(running)


def test_many_at_once(target: Outcrop) -> None:
    """Silent connections do not block other clients."""
    idle = [socket.create_connection(target.address, PATIENCE) for _ in range(100)]
    try:
        assert_working(target)
    finally:
        for connection in idle:
            connection.close()
