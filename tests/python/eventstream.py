"""Writes `application/vnd.amazon.eventstream` messages byte by byte, from the published format."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
STRING = 7


def message(headers: dict[str, str], payload: bytes) -> bytes:
    """One message: prelude and its CRC, headers, payload, CRC of everything before."""
    encoded = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", STRING, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(encoded) + len(payload), len(encoded))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + encoded + payload
    return head + struct.pack(">I", zlib.crc32(head))


def event(name: str, body: dict[str, Any], padding: int = 9) -> bytes:
    """One event with the padding member the service adds."""
    payload = json.dumps({**body, "p": PADDING[:padding]}, sort_keys=True).encode()
    return message(
        {":event-type": name, ":content-type": "application/json", ":message-type": "event"},
        payload,
    )


def exception(name: str, text: str) -> bytes:
    """A modelled exception in the middle of a stream."""
    return message(
        {
            ":exception-type": name,
            ":content-type": "application/json",
            ":message-type": "exception",
        },
        json.dumps({"message": text}).encode(),
    )


def answer(pieces: list[str], stop: str = "end_turn", tokens: tuple[int, int] = (11, 7)) -> bytes:
    """A whole ConverseStream answer of one text block."""
    given, made = tokens
    return b"".join(
        [
            event("messageStart", {"role": "assistant"}),
            *(
                event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}, n % 60)
                for n, piece in enumerate(pieces)
            ),
            event("contentBlockStop", {"contentBlockIndex": 0}),
            event("messageStop", {"stopReason": stop}),
            event(
                "metadata",
                {
                    "metrics": {"latencyMs": 12},
                    "usage": {
                        "inputTokens": given,
                        "outputTokens": made,
                        "totalTokens": given + made,
                        "serverToolUsage": {},
                    },
                },
            ),
        ]
    )
