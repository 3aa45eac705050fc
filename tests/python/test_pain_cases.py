"""Cases of tests/cases.toml that no other suite covers: problems of other gateways' users."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import eventstream
from goldens import Golden, Scripted
from loopback import Loopback
from outcrop_process import PATIENCE, Outcrop
from sse import Exchange, chat, stream
from test_goldens import gateway_before

HI: list[Any] = [{"role": "user", "content": "Hi."}]
DELTAS = 100_000
# Memory that the allocator keeps for one stream; the stream itself has more than twice that.
GROWTH = 8 << 20


class Patient(Loopback):
    """A Bedrock that begins a stream and waits until it is told to continue."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.in_time: list[bool] = []
        patient = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Does not log."""

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", "0")))
                self.send_response(200)
                self.send_header("content-type", "application/vnd.amazon.eventstream")
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(eventstream.event("messageStart", {"role": "assistant"}))
                self.wfile.flush()
                patient.in_time.append(patient.go_on.wait(PATIENCE))
                start = len(eventstream.event("messageStart", {"role": "assistant"}))
                self.wfile.write(eventstream.answer(["late"])[start:])
                self.close_connection = True

        super().__init__(Handler)


def test_the_first_frame_is_sent_at_once() -> None:
    """Case 7: the first frame is sent before the model has finished its reasoning."""
    with Patient() as bedrock, gateway_before(bedrock, []) as through:
        exchange = Exchange(through.address, {"model": "m", "messages": HI, "stream": True})
        events: Iterator[Any] = exchange.events()
        first = next(events)
        assert first.json["choices"][0]["delta"]["role"] == "assistant"
        bedrock.go_on.set()
        rest = list(events)
        exchange.close()
    assert bedrock.in_time == [True]
    assert rest[-1].data == "[DONE]"


def test_a_long_stream_is_neither_slow_nor_buffered() -> None:
    """Cases 8 and 40: the cost of an event is constant, and its memory is freed."""
    golden = Golden("long", {"messages": HI}, stream=eventstream.answer(["x"] * DELTAS))
    body = {"model": golden.model, "messages": HI}
    with Scripted([golden]) as bedrock, gateway_before(bedrock, []) as through:
        short = Exchange(through.address, {**body, "stream": True}, timeout=PATIENCE)
        next(short.events())
        short.close()
        before = resident(through)
        answer = stream(through.address, body)
        grown = resident(through) - before
    assert answer.done and len(answer.text) == DELTAS
    print(f"{DELTAS} deltas in {answer.ended:.1f} s, {grown >> 10} KiB more memory")
    assert grown < GROWTH, f"{grown >> 20} MiB kept"


def resident(through: Outcrop) -> int:
    """Bytes of memory that the gateway uses."""
    status = Path(f"/proc/{through.process.pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert found, status
    return int(found[1]) << 10


def test_an_unknown_model_keeps_its_tools() -> None:
    """Case 33: a model outside the catalogue still gets the tools."""
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    text = {"output": {"message": {"role": "assistant", "content": [{"text": "x"}]}}}
    golden = Golden("unheard-of-v7", {}, whole={**text, "stopReason": "end_turn", "usage": {}})
    with Scripted([golden]) as bedrock, gateway_before(bedrock, []) as through:
        request = {"model": golden.model, "messages": HI, "tools": [tool], "tool_choice": "required"}
        status, headers, _ = chat(through.address, request)
    assert status == 200 and "x-outcrop-ignored" not in headers
    [body] = bedrock.received
    assert body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "look"
    assert body["toolConfig"]["toolChoice"] == {"any": {}}


def test_a_failure_with_status_200_is_a_failure() -> None:
    """Case 35: AWS's front end answers an unknown path with status 200."""
    unknown = {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"}
    golden = Golden("unknown-operation", {}, whole=unknown, stream=json.dumps(unknown).encode())
    with Scripted([golden]) as bedrock, gateway_before(bedrock, []) as through:
        for wanted in (False, True):
            status, _, answer = chat(
                through.address, {"model": golden.model, "messages": HI, "stream": wanted}
            )
            assert status >= 500, answer
            assert answer["error"]["message"]


def test_counts_are_never_negative_and_always_add_up() -> None:
    """Case 44: totals equal their parts for all counts of Bedrock."""
    told = {"inputTokens": -4, "outputTokens": 7, "totalTokens": 1, "cacheReadInputTokens": 20}
    text = {"output": {"message": {"role": "assistant", "content": [{"text": "x"}]}}}
    golden = Golden("odd-counts", {}, whole={**text, "stopReason": "end_turn", "usage": told})
    with Scripted([golden]) as bedrock, gateway_before(bedrock, []) as through:
        status, _, answer = chat(through.address, {"model": golden.model, "messages": HI})
    assert status == 200, answer
    usage = answer["usage"]
    assert usage["prompt_tokens"] >= 0 and usage["completion_tokens"] == 7
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] <= usage["prompt_tokens"]
