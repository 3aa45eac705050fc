"""Reads a streamed answer from a plain socket, with the time of each event.

The official clients hide the framing; here the test sees the bytes directly.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from outcrop_process import PATIENCE


@dataclass(frozen=True)
class Event:
    """One SSE event: its data, and the seconds since the request was sent."""

    data: str
    at: float

    @property
    def json(self) -> dict[str, Any]:
        """The data as an object."""
        value = json.loads(self.data)
        assert isinstance(value, dict), f"not an object: {self.data}"
        return value


@dataclass
class Stream:
    """A whole streamed answer."""

    status: int
    headers: dict[str, str]
    events: list[Event]
    ended: float
    raw: bytes

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """Every event that is a chunk, in order."""
        return [event.json for event in self.events if event.data != "[DONE]"]

    @property
    def done(self) -> bool:
        """Whether the last event is `[DONE]`."""
        return bool(self.events) and self.events[-1].data == "[DONE]"

    @property
    def text(self) -> str:
        """The concatenated content of the first choice."""
        return "".join(
            choice["delta"].get("content") or ""
            for chunk in self.chunks
            for choice in chunk.get("choices", [])
        )


class Exchange:
    """One streamed request; events are read one at a time, so that a test can disconnect in the middle."""

    def __init__(
        self,
        address: tuple[str, int],
        body: dict[str, Any],
        *,
        headers: dict[str, str] | None = None,
        timeout: float = PATIENCE,
    ) -> None:
        self.connection = http.client.HTTPConnection(*address, timeout=timeout)
        self.started = time.monotonic()
        self.connection.request(
            "POST",
            "/v1/chat/completions",
            body=json.dumps(body).encode(),
            headers={"content-type": "application/json", **(headers or {})},
        )
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.headers = {name.lower(): value for name, value in self.response.getheaders()}
        self.raw = bytearray()

    def events(self) -> Iterator[Event]:
        """Events as they arrive; rejects lines that an OpenAI stream must not contain."""
        data: list[str] = []
        while line := self.response.readline():
            self.raw += line
            text = line.decode().rstrip("\r\n")
            if not text:
                if data:
                    yield Event("\n".join(data), time.monotonic() - self.started)
                data = []
            elif text.startswith(":"):
                continue
            else:
                assert text.startswith("data: "), f"unexpected line in the stream: {text!r}"
                data.append(text.removeprefix("data: "))
        assert not data, f"the last event lacks its blank line: {data}"

    def close(self) -> None:
        """Closes the connection."""
        self.response.close()
        self.connection.close()


def stream(
    address: tuple[str, int], body: dict[str, Any], headers: dict[str, str] | None = None
) -> Stream:
    """Sends `body` as a streamed chat and reads the answer to its end."""
    exchange = Exchange(address, {**body, "stream": True}, headers=headers)
    try:
        events = list(exchange.events()) if exchange.status == 200 else []
        if exchange.status != 200:
            exchange.raw += exchange.response.read()
        ended = time.monotonic() - exchange.started
        return Stream(exchange.status, exchange.headers, events, ended, bytes(exchange.raw))
    finally:
        exchange.close()


def chat(
    address: tuple[str, int], body: dict[str, Any], headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Sends `body` as a plain chat: status, headers in lower case, answer."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    try:
        connection.request(
            "POST",
            "/v1/chat/completions",
            body=json.dumps(body).encode(),
            headers={"content-type": "application/json", **(headers or {})},
        )
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return response.status, found, json.loads(response.read())
    finally:
        connection.close()


def request(
    address: tuple[str, int], method: str, path: str, body: Any = None
) -> tuple[int, Any]:
    """One JSON request of any kind: status and decoded answer."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, body=data, headers={"content-type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        return response.status, json.loads(answer) if answer else None
    finally:
        connection.close()
