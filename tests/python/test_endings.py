"""Streams of `/v1/responses` and `/v1/messages` from the outside: whole ones have every event that clients need, and one
that breaks anywhere ends as a failure, never as a good answer and never without an end."""

from __future__ import annotations

import http.client
import json
import random
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from endings import MessagesStream, ResponsesStream
from invented import InventedTool, request_for, tools, words
from outcrop_process import PATIENCE, Outcrop
from samples import CLAUDE, NOVA

# The faults of the emulator that stop a stream, each after so many of its events.
FAULTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "cut": lambda after: {"cut": after},
    "reset": lambda after: {"reset": after},
    "corrupt": lambda after: {"corrupt": after},
    "oversized": lambda after: {"oversized": after},
    "exception": lambda after: {
        "exception": {"after": after, "type": "modelStreamErrorException", "message": "It broke."}
    },
    "throttle": lambda after: {
        "exception": {"after": after, "type": "throttlingException", "message": "Too many tokens."}
    },
    "error frame": lambda after: {
        "error_frame": {"after": after, "code": "InternalFailure", "message": "It broke."}
    },
}
AFTER = (0, 1, 2, 3, 5, 8, 13, 21)
# More than the gateway tries a call.
ATTEMPTS = 8
KINDS = ["text", "tools", "reasoning", "typed", "short"]


@dataclass(frozen=True)
class Door:
    """A path, how it is asked, and what reads its streams."""

    path: str
    request: Callable[[str, str, list[InventedTool]], dict[str, Any]]
    stream: Callable[[bytes], Any]
    # The content of a whole answer and of a stream, without ids.
    content: Callable[[dict[str, Any]], Any]


def responses_request(model: str, kind: str, wanted: list[InventedTool]) -> dict[str, Any]:
    request: dict[str, Any] = {"model": model, "input": request_for(wanted)}
    if kind in ("tools", "reasoning"):
        request["tools"] = [{"type": "function", **tool.definition["function"]} for tool in wanted]
    if kind == "reasoning":
        request["reasoning"] = {"effort": "low", "summary": "auto"}
        request["include"] = ["reasoning.encrypted_content"]
    if kind == "typed":
        request["text"] = {"format": {"type": "json_schema", "name": "found", "schema": wanted[0].schema}}
    if kind == "short":
        request["max_output_tokens"] = 5
    return request


def messages_request(model: str, kind: str, wanted: list[InventedTool]) -> dict[str, Any]:
    messages = [{"role": "user", "content": request_for(wanted)}]
    request: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": 5 if kind == "short" else 4000}
    if kind in ("tools", "reasoning"):
        request["tools"] = [
            {"name": tool.name, "description": "A tool.", "input_schema": tool.schema} for tool in wanted
        ]
    if kind == "reasoning":
        request["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    if kind == "typed":
        request["output_config"] = {"format": {"type": "json_schema", "schema": wanted[0].schema}}
    return request


def responses_content(response: dict[str, Any]) -> list[Any]:
    """What clients keep of the items, without ids, which are new in every answer."""
    found: list[Any] = []
    for item in response["output"]:
        parts = item.get("content") or item.get("summary") or []
        texts = [part["text"] for part in parts]
        found.append((item["type"], texts, item.get("name"), item.get("arguments")))
    return [response["status"], found]


def messages_content(message: dict[str, Any]) -> list[Any]:
    unstable = {"id", "signature", "data"}
    blocks = [
        {name: value for name, value in block.items() if name not in unstable and value is not None}
        for block in message["content"]
    ]
    return [message["stop_reason"], blocks]


DOORS = {
    "responses": Door("/v1/responses", responses_request, ResponsesStream, responses_content),
    "messages": Door("/v1/messages", messages_request, MessagesStream, messages_content),
}
BOTH = pytest.mark.parametrize("door", DOORS.values(), ids=list(DOORS))


@pytest.fixture(scope="module")
def demo() -> Iterator[Outcrop]:
    """A demo of this module: its emulator is told to fail."""
    with Outcrop(["--demo", "--listen", "127.0.0.1:0"]) as running:
        yield running
        assert running.alive(), running.log()


def post(address: str, path: str, body: Any) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, text


def asked(demo: Outcrop, door: Door, request: dict[str, Any]) -> tuple[int, bytes]:
    return post(demo.url.removeprefix("http://"), door.path, request)


@BOTH
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_a_whole_stream(demo: Outcrop, rng: random.Random, door: Door, kind: str, model: str) -> None:
    """It has every event, and its sum is the answer without a stream."""
    request = door.request(model, kind, tools(rng))
    status, raw = asked(demo, door, {**request, "stream": True})
    assert status == 200, raw
    stream = door.stream(raw)
    assert not stream.failed
    status, whole = asked(demo, door, request)
    assert status == 200, whole
    streamed = stream.terminal if isinstance(stream, ResponsesStream) else stream.message
    assert door.content(streamed) == door.content(json.loads(whole))


def emulator_of(demo: Outcrop) -> str:
    [address] = re.findall(r"built-in emulator at http://(\S+)", demo.log())
    return str(address)


def broken(demo: Outcrop, door: Door, request: dict[str, Any], fault: dict[str, Any]) -> tuple[int, bytes]:
    """The answer when every attempt at a model of its own fails like this."""
    steps = [{"fault": fault} for _ in range(ATTEMPTS)]
    status, said = post(emulator_of(demo), "/_emulator/script", steps)
    assert status == 200, said
    answer = asked(demo, door, {**request, "stream": True})
    connection = http.client.HTTPConnection(emulator_of(demo), timeout=PATIENCE)
    connection.request("DELETE", "/_emulator/script")
    connection.getresponse().read()
    connection.close()
    return answer


def check_broken(door: Door, status: int, raw: bytes) -> bool:
    """Whether a stream had begun; however it ended, the client knows that it failed."""
    if status == 200:
        return bool(door.stream(raw).failed)
    error = json.loads(raw)["error"]
    assert status >= 400 and error["message"], raw
    return False


@BOTH
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_a_broken_stream(demo: Outcrop, rng: random.Random, door: Door, fault: str, model: str) -> None:
    """It is a failure wherever it breaks: in text, in reasoning, in a call, or before its end."""
    request = door.request(model, "reasoning" if model == CLAUDE else "tools", tools(rng))
    begun = [check_broken(door, *broken(demo, door, request, FAULTS[fault](after))) for after in AFTER]
    assert sum(begun) >= len(AFTER) - 2, begun


@BOTH
def test_answers_in_parallel_do_not_mix(demo: Outcrop, rng: random.Random, door: Door) -> None:
    names = words(rng, 12)

    def ask(name: str) -> tuple[int, bytes]:
        request = door.request(NOVA, "text", [InventedTool("none", {"name": name})])
        return asked(demo, door, {**request, "stream": True})

    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(ask, names))
    for name, (status, raw) in zip(names, answers, strict=True):
        assert status == 200
        stream = door.stream(raw)
        assert name in json.dumps(door.content(getattr(stream, "terminal", None) or stream.message))
