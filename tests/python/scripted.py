"""A Bedrock-shaped server whose answers a test writes, byte by byte if needed.

Unlike `upstream.Upstream` it checks nothing: it is for tests of how answers are treated, and of
requests whose form the test checks itself.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote

import eventstream
from loopback import Loopback
from outcrop_process import PATIENCE

EVENT_STREAM = "application/vnd.amazon.eventstream"
USAGE = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """The body as JSON."""
        return json.loads(self.raw)

    @property
    def model_id(self) -> str:
        """The decoded label of the path."""
        return unquote(self.path.split("/model/", 1)[1].rsplit("/", 1)[0])

    @property
    def operation(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def text(self) -> str:
        """All text of the last message."""
        blocks = self.body["messages"][-1]["content"]
        return " ".join(block["text"] for block in blocks if "text" in block)


@dataclass
class Answer:
    """An answer: complete, or as pieces of a stream."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> "Answer":
        """A complete JSON answer."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, {"content-type": "application/json", **named}, json.dumps(value).encode())

    @classmethod
    def frames(cls, *frames: bytes) -> "Answer":
        """A stream of complete frames."""
        return cls(200, {"content-type": EVENT_STREAM}, b"".join(frames))


class Handler(BaseHTTPRequestHandler):
    """A request in progress; `write` and `silence` serve answers that are not an `Answer`."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE
    scripted: "Scripted"

    def log_message(self, *_: object) -> None:
        """Does not log."""

    def do_POST(self) -> None:
        """Records the request and answers it."""
        raw = self.rfile.read(int(self.headers.get("content-length", "0")))
        asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, raw)
        with self.scripted.lock:
            self.scripted.count += 1
            if self.scripted.remembers:
                self.scripted.asked.append(asked)
        try:
            answer = self.scripted.answer(self, asked)
            if answer is not None:
                self.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            # The gateway may close the connection at any time.
            self.close_connection = True

    do_GET = do_POST

    def send(self, answer: Answer) -> None:
        """Sends a complete answer."""
        self.head(answer.status, {"content-length": str(len(answer.body)), **answer.headers})
        self.wfile.write(answer.body)

    def head(self, status: int, headers: dict[str, str]) -> None:
        """Sends only the status and headers."""
        self.send_response(status)
        for name, value in {"x-amzn-requestid": f"scripted-{self.scripted.count}", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def begin(self) -> None:
        """Starts an event stream that ends with its connection."""
        self.close_connection = True
        self.head(200, {"content-type": EVENT_STREAM, "connection": "close"})

    def write(self, piece: bytes) -> None:
        """Sends a piece of a body."""
        self.wfile.write(piece)
        self.wfile.flush()

    def silence(self, seconds: float) -> None:
        """Sends no data for so long, or until the server ends."""
        self.scripted.ended.wait(seconds)


class Scripted(Loopback):
    """The server; `answer` determines the response to each request."""

    def __init__(self, answer: Callable[[Handler, Asked], Answer | None], *, remembers: bool = True) -> None:
        handler = type("BoundHandler", (Handler,), {"scripted": self})
        super().__init__(handler)
        self.server.request_queue_size = 128
        self.answer = answer
        self.remembers = remembers
        self.asked: list[Asked] = []
        self.count = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        super().__exit__()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make a gateway call this server."""
        return {**KEYS, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.url}


def text_answer(text: str, **more: Any) -> Answer:
    """A Converse answer of one text block."""
    return message_answer([{"text": text}], **more)


def message_answer(blocks: list[dict[str, Any]], stop: str = "end_turn", usage: Any = None) -> Answer:
    """A Converse answer of these blocks."""
    return Answer.json(
        {
            "metrics": {"latencyMs": 5},
            "output": {"message": {"role": "assistant", "content": blocks}},
            "stopReason": stop,
            "usage": usage or USAGE,
        }
    )


def text_frames(pieces: list[str], stop: str = "end_turn") -> list[bytes]:
    """The frames of a ConverseStream answer of one text block."""
    event = eventstream.event
    deltas = [{"contentBlockIndex": 0, "delta": {"text": piece}} for piece in pieces]
    return [
        event("messageStart", {"role": "assistant"}),
        *(event("contentBlockDelta", delta) for delta in deltas),
        event("contentBlockStop", {"contentBlockIndex": 0}),
        event("messageStop", {"stopReason": stop}),
        event("metadata", {"metrics": {"latencyMs": 5}, "usage": USAGE}),
    ]


def kept_open(handler: Handler, pieces: list[str], pause: float, count: int) -> None:
    """A stream that begins with these pieces and then continues slowly."""
    frames = text_frames(pieces)
    handler.begin()
    for frame in frames[: 1 + len(pieces)]:
        handler.write(frame)
    for _ in range(count):
        handler.silence(pause)
        handler.write(frames[1])
    for frame in frames[1 + len(pieces) :]:
        handler.write(frame)
