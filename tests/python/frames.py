"""HTTP/2 frames by hand: for clients that do what no library does."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from outcrop_process import PATIENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL, ENHANCE_YOUR_CALM = 8, 11
# Bytes of the longest frame that may be sent unasked.
LONGEST = 16384
# The whole of a field of HPACK's static table.
STATUS_200 = 0x88


@dataclass(frozen=True)
class Frame:
    """One frame as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def ends(self) -> bool:
        """Whether it is the last of its stream."""
        return self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)

    @property
    def reason(self) -> int:
        """The error code of a GOAWAY or a RST_STREAM."""
        return int.from_bytes(self.payload[4:8] if self.kind == GOAWAY else self.payload[:4], "big")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame to send."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name: str, value: str) -> bytes:
    """A header field, neither indexed nor compressed."""
    return b"\x00" + text(name) + text(value)


def text(value: str) -> bytes:
    """A string of HPACK, without its Huffman code."""
    data = value.encode()
    if len(data) < 127:
        return bytes([len(data)]) + data
    length, rest = bytearray([127]), len(data) - 127
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes([*length, rest]) + data


class Connection:
    """One connection; streams are numbered 1, 3, 5, ... in the order they are opened."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext | None = None) -> None:
        self.authority = f"{address[0]}:{address[1]}"
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.scheme = "http"
        if context is not None:
            self.scheme = "https"
            self.socket = context.wrap_socket(self.socket, server_hostname=address[0])
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0))
        self.next = 1
        self.buffer = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """The number of a new stream, and the frames of its request."""
        number, self.next = self.next, self.next + 2
        fields = {":method": method, ":scheme": self.scheme, ":authority": self.authority, ":path": path}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        block = b"".join(field(name, value) for name, value in fields.items())
        parts = [block[at : at + LONGEST] for at in range(0, len(block), LONGEST)]
        sent = b""
        for at, part in enumerate(parts):
            flags = END_HEADERS if at + 1 == len(parts) else 0
            if at == 0:
                sent += frame(HEADERS, flags | (0 if body else END_STREAM), number, part)
            else:
                sent += frame(CONTINUATION, flags, number, part)
        return number, sent + (frame(DATA, END_STREAM, number, body) if body else b"")

    def open(self, method: str, path: str, body: bytes = b"", **headers: str) -> int:
        """Sends a request; the number of its stream."""
        number, sent = self.request(method, path, body, **headers)
        self.socket.sendall(sent)
        return number

    def reset(self, number: int) -> None:
        """Gives a stream up."""
        self.socket.sendall(frame(RST_STREAM, 0, number, CANCEL.to_bytes(4, "big")))

    def frames(self) -> Iterator[Frame]:
        """Frames as they come, until the other side closes; settings and pings are answered."""
        while True:
            while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
                try:
                    piece = self.socket.recv(65536)
                except ConnectionResetError:
                    return
                if not piece:
                    return
                self.buffer += piece
            length = int.from_bytes(self.buffer[:3], "big")
            head, payload = self.buffer[:9], self.buffer[9 : 9 + length]
            self.buffer = self.buffer[9 + length :]
            found = Frame(head[3], head[4], int.from_bytes(head[5:9], "big"), payload)
            if found.kind in (SETTINGS, PING) and not found.flags & ACK:
                answer = b"" if found.kind == SETTINGS else payload
                try:
                    self.socket.sendall(frame(found.kind, ACK, 0, answer))
                except (BrokenPipeError, ConnectionResetError):
                    pass
            yield found

    def answer(self, number: int) -> tuple[int, bytes]:
        """The first byte of a stream's head (`STATUS_200`), and its body."""
        status, body = 0, b""
        for found in self.frames():
            if found.stream != number:
                continue
            assert found.kind != RST_STREAM, found.reason
            if found.kind == HEADERS:
                status = found.payload[0]
            elif found.kind == DATA:
                body += found.payload
            if found.ends:
                return status, body
        raise AssertionError(f"stream {number} did not end")
