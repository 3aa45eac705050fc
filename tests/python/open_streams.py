"""Many streams at once on plain sockets, whole requests one after another, and two gateways behind a balancer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from outcrop_process import PATIENCE
from samples import ECHO

CHAT = "/v1/chat/completions"
NATIVE = f"/bedrock/model/{ECHO}/converse-stream"
# A stream of the emulator lasts as long as its words.
WORDS = " ".join(f"word{n}" for n in range(200))


def request(path: str, body: dict, *, key: str = "any", close: bool = False) -> bytes:
    """A request as it goes over the wire."""
    text = json.dumps(body)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nauthorization: Bearer {key}\r\n"
        f"{'connection: close' + chr(13) + chr(10) if close else ''}content-length: {len(text)}\r\n\r\n"
    )
    return (head + text).encode()


def chat(text: str, *, stream: bool = False) -> dict:
    """A chat request."""
    return {"model": ECHO, "stream": stream, "messages": [{"role": "user", "content": text}]}


def converse(text: str) -> dict:
    """A request of Bedrock's own API."""
    return {"messages": [{"role": "user", "content": [{"text": text}]}]}


@dataclass
class Reply:
    """One answer, as far as it came."""

    status: int = 0
    head: bytes = b""
    body: bytearray = field(default_factory=bytearray)
    # Whether its last byte came.
    is_whole: bool = False

    @property
    def closes(self) -> bool:
        """Whether the server closes the connection after it."""
        return b"\r\nconnection: close\r\n" in self.head.lower()


async def read(reader: asyncio.StreamReader, begun: Callable[[], None] = lambda: None) -> Reply:
    """Reads one answer; `begun` is called with the first piece of its body."""
    reply = Reply()
    reply.head = await reader.readuntil(b"\r\n\r\n")
    reply.status = int(reply.head.split(b" ", 2)[1])
    lower = reply.head.lower()
    try:
        if b"transfer-encoding: chunked" in lower:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                reply.body += (await reader.readexactly(size + 2))[:-2]
                begun()
            await reader.readexactly(2)
        else:
            length = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            reply.body += await reader.readexactly(length)
            begun()
        reply.is_whole = True
    except (OSError, asyncio.IncompleteReadError):
        pass
    return reply


class Streams:
    """Streams of chat and of Bedrock's own API, all begun before anything else happens."""

    def __init__(self, address: tuple[str, int], *, chats: int, natives: int, key: str = "any") -> None:
        self.address = address
        self.requests = [request(CHAT, chat(WORDS, stream=True), key=key)] * chats
        self.requests += [request(NATIVE, converse(WORDS), key=key)] * natives
        self.replies: list[Reply] = []

    async def run(self, when_open: Callable[[], None]) -> None:
        """Opens all of them, calls `when_open` once each has begun, and reads them to their ends."""
        waiting = len(self.requests)
        opened = asyncio.Event()

        async def one(wire: bytes) -> Reply:
            nonlocal waiting
            is_new = True

            def begun() -> None:
                nonlocal waiting, is_new
                waiting -= is_new
                is_new = False
                if waiting == 0:
                    opened.set()

            reader, writer = await asyncio.open_connection(*self.address)
            writer.write(wire)
            reply = await read(reader, begun)
            writer.close()
            return reply

        streams = asyncio.gather(*(one(wire) for wire in self.requests))
        async with asyncio.timeout(PATIENCE):
            await opened.wait()
            when_open()
            self.replies = await streams

    def complete(self) -> int:
        """The number of streams with every byte and the last event of their kind."""
        return sum(
            reply.is_whole
            and reply.status == 200
            and (reply.body.endswith(b"data: [DONE]\n\n") or (b"messageStop" in reply.body and b"metadata" in reply.body))
            for reply in self.replies
        )


class Balancer:
    """Connects each client to one of the backends that are ready, in turn."""

    def __init__(self) -> None:
        self.backends: list[tuple[str, int]] = []
        self.turn = 0
        self.address = ("", 0)
        self.server: asyncio.Server | None = None

    async def __aenter__(self) -> "Balancer":
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.address = self.server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.server is not None
        self.server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes the bytes of one connection on, both ways."""
        self.turn += 1
        try:
            above = await asyncio.open_connection(*self.backends[self.turn % len(self.backends)])
        except (OSError, ZeroDivisionError):
            writer.close()
            return
        try:
            await asyncio.gather(pass_on(reader, above[1]), pass_on(above[0], writer))
        except asyncio.CancelledError:
            # The balancer ends.
            writer.close()
            above[1].close()


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies bytes until the sender has ended."""
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    writer.close()


@dataclass
class Tally:
    """Requests of clients that keep their connections, and what became of them."""

    served: int = 0
    failed: list[str] = field(default_factory=list)
    ends: asyncio.Event = field(default_factory=asyncio.Event)

    async def client(self, address: tuple[str, int], pause: float) -> None:
        """Sends one request after another; each fifth is a stream."""
        connection = None
        count = 0
        while not self.ends.is_set():
            count += 1
            body = chat("one two three", stream=count % 5 == 0)
            try:
                connection = connection or await asyncio.open_connection(*address)
                connection[1].write(request(CHAT, body))
                reply = await read(connection[0])
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failed.append(repr(error))
                connection = None
                continue
            if reply.status == 200 and reply.is_whole:
                self.served += 1
            else:
                self.failed.append(f"{reply.status}: {bytes(reply.body[:200])!r}")
            if reply.closes or not reply.is_whole:
                connection[1].close()
                connection = None
            await asyncio.sleep(pause)
        if connection:
            connection[1].close()
