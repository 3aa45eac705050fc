"""The streamed bytes: order, framing, timing, broken streams, clients that disconnect."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from outcrop_process import PATIENCE, Outcrop
from samples import CLAUDE, NOVA
from sse import Exchange, chat, request, stream



def body(model: str = NOVA, text: str = "Tell me about limestone.", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_chunk_order(gateway: Outcrop, model: str) -> None:
    answer = stream(gateway.address, body(model, stream_options={"include_usage": True}))
    assert answer.status == 200
    assert answer.headers["content-type"].split(";")[0] == "text/event-stream"
    assert "x-request-id" in answer.headers
    assert answer.done
    chunks = answer.chunks
    assert {c["object"] for c in chunks} == {"chat.completion.chunk"}
    assert len({c["id"] for c in chunks}) == 1 and chunks[0]["id"].startswith("chatcmpl-")
    assert len({c["created"] for c in chunks}) == 1 and isinstance(chunks[0]["created"], int)
    assert {c["model"] for c in chunks} == {model}
    first, *deltas, finish, usage = chunks
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert first["choices"][0]["finish_reason"] is None
    for chunk in deltas:
        [choice] = chunk["choices"]
        assert choice["index"] == 0 and choice["finish_reason"] is None
        assert set(choice["delta"]) == {"content"} and choice["delta"]["content"]
    assert finish["choices"][0]["delta"] == {}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    counts = usage["usage"]
    assert counts["total_tokens"] == counts["prompt_tokens"] + counts["completion_tokens"]
    assert all(c["usage"] is None for c in chunks[:-1])
    assert len([e for e in answer.events if e.data == "[DONE]"]) == 1


def test_without_usage(gateway: Outcrop) -> None:
    answer = stream(gateway.address, body())
    assert answer.done
    assert all("usage" not in chunk and chunk["choices"] for chunk in answer.chunks)
    assert answer.chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_framing(gateway: Outcrop) -> None:
    """Only data lines, one per event, each event closed by a blank line."""
    raw = stream(gateway.address, body()).raw.decode()
    assert raw.endswith("data: [DONE]\n\n")
    blocks = raw.removesuffix("\n\n").split("\n\n")
    assert len(blocks) > 3
    for block in blocks:
        assert block.startswith("data: ") and "\n" not in block


def test_deltas_arrive_as_they_come(gateway: Outcrop) -> None:
    """Deltas follow the upstream's timing: a gateway that buffers would deliver all at the end."""
    answer = stream(gateway.address, body(text="Tell me a story of many different words, please."))
    times = [
        event.at
        for event in answer.events
        if event.data != "[DONE]" and event.json["choices"][0]["delta"].get("content")
    ]
    assert len(times) > 6
    assert times == sorted(times)
    spread = answer.ended - times[0]
    assert spread > 0.045, f"first delta {spread:.3f} s before the end: the stream was collected"
    # Nor do they all arrive in one packet at the start or at the end.
    assert len({round(at, 2) for at in times}) >= 4, times


def test_slow_first_byte_still_streams(gateway: Outcrop) -> None:
    answer = stream(gateway.address, body("emulator.slow-500"))
    assert answer.status == 200 and answer.done and answer.text
    assert answer.events[0].at >= 0.4


BREAKS = ["cut-3", "exception-2", "stream-throttle-2", "error-frame-2", "reset-2", "corrupt-3", "oversized-3"]


@pytest.mark.parametrize("model", [f"emulator.{name}" for name in BREAKS])
def test_broken_upstream_ends_in_an_error(gateway: Outcrop, model: str) -> None:
    answer = stream(gateway.address, body(model))
    assert answer.status == 200
    assert not answer.done and b"[DONE]" not in answer.raw
    *before, last = answer.chunks
    assert before and all("error" not in chunk for chunk in before)
    assert set(last) == {"error"}
    assert {"message", "type", "param", "code"} <= set(last["error"])
    assert isinstance(last["error"]["message"], str) and last["error"]["message"]


# Failure of the upstream -> status for the client.
FAILURES = {
    "throttle": 429, "not-ready": 503, "proxy-502": 502, "error-400": 400, "error-403": 403, "error-404": 404,
    "error-408": 504, "error-424": 502, "error-429": 429, "error-500": 500, "error-503": 503,
}


@pytest.mark.parametrize(("name", "status"), FAILURES.items())
def test_failure_before_the_first_byte_has_a_status(
    gateway: Outcrop, name: str, status: int
) -> None:
    model = f"emulator.{name}"
    streamed = stream(gateway.address, body(model))
    plain_status, headers, plain = chat(gateway.address, body(model))
    assert (streamed.status, plain_status) == (status, status), plain
    assert streamed.headers["content-type"] == headers["content-type"] == "application/json"
    assert json.loads(streamed.raw)["error"] == plain["error"]
    assert set(plain["error"]) == {"message", "type", "param", "code"}
    assert "<html" not in plain["error"]["message"]
    if status == 429:
        assert plain["error"]["code"] == "rate_limit_exceeded"
    if name == "throttle":
        assert headers["retry-after"] == streamed.headers["retry-after"] == "1"


@pytest.mark.parametrize("name", ["cut-0", "reset-0"])
def test_a_broken_plain_answer_is_an_error(gateway: Outcrop, name: str) -> None:
    status, _, answer = chat(gateway.address, body(f"emulator.{name}"))
    assert status >= 500 and set(answer) == {"error"}


def test_connection_is_reused_after_a_stream(gateway: Outcrop) -> None:
    connection = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
    try:
        sockets = set()
        for streamed in (True, False, True, False):
            connection.request(
                "POST",
                "/v1/chat/completions",
                json.dumps(body(stream=streamed)).encode(),
                {"content-type": "application/json"},
            )
            response = connection.getresponse()
            assert response.status == 200
            assert response.read()
            sockets.add(id(connection.sock))
        assert sockets != {id(None)} and len(sockets) == 1, "the connection was not kept alive"
    finally:
        connection.close()


@pytest.fixture(scope="module")
def through(emulator: Outcrop) -> Iterator[Outcrop]:
    """A gateway on the separate emulator, whose journal can be read."""
    environment = {
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": emulator.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret-for-tests",
    }
    with Outcrop(["--listen", "127.0.0.1:0"], environment=environment) as running:
        yield running


def test_disconnecting_in_mid_stream_cancels_the_upstream(emulator: Outcrop, through: Outcrop) -> None:
    marker = f"leaving-{time.monotonic_ns()}"
    exchange = Exchange(through.address, {**body("emulator.stall-2", marker), "stream": True})
    assert next(exchange.events()).json["choices"]
    assert journal_entry(emulator, marker)["delivery"] == "open"
    exchange.close()
    wait_until_cancelled(emulator, marker)


@pytest.mark.parametrize("streamed", [False, True])
def test_disconnecting_before_the_first_byte_cancels_the_upstream(
    emulator: Outcrop, through: Outcrop, streamed: bool
) -> None:
    marker = f"leaving-{time.monotonic_ns()}"
    text = json.dumps({**body("emulator.silent", marker), "stream": streamed})
    connection = http.client.HTTPConnection(*through.address, timeout=PATIENCE)
    connection.request("POST", "/v1/chat/completions", text, {"content-type": "application/json"})
    wait_for(lambda: journal(emulator, marker), "the call never reached the upstream")
    assert journal_entry(emulator, marker)["delivery"] == "open"
    connection.close()
    wait_until_cancelled(emulator, marker)


def wait_until_cancelled(emulator: Outcrop, marker: str) -> None:
    wait_for(
        lambda: journal_entry(emulator, marker)["delivery"] == "client_gone",
        "the upstream call goes on",
    )


def wait_for(condition: Callable[[], object], failure: str) -> None:
    """Polls until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, failure
        time.sleep(0.05)


def journal(emulator: Outcrop, marker: str) -> list[dict[str, Any]]:
    """The calls in the emulator's journal whose body holds `marker`."""
    status, calls = request(emulator.address, "GET", "/_emulator/calls")
    assert status == 200
    return [entry for entry in calls if marker in json.dumps(entry)]


def journal_entry(emulator: Outcrop, marker: str) -> dict[str, Any]:
    """The one such call."""
    [call] = journal(emulator, marker)
    return call
