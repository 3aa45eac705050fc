"""Inputs collected by others, if their folder is present, and the code that plays them.

A case is a JSON file: `request`, or `steps` of requests and of replies for the next call; `reply` is a
Converse message, `reply_frames` the events of a stream. The upstream answers with them in turn, and
with `ok` after the last.
"""

from __future__ import annotations

import copy
import http.client
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import eventstream
from outcrop_process import PATIENCE, Outcrop
from scripted import USAGE, Answer, Asked, Handler, Scripted, message_answer

Case = dict[str, Any]


def folder(kind: str) -> Path | None:
    """The folder of a kind of cases: as `OUTCROP_CASES` says, or next to the clone."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "cases"
    found = Path(os.environ.get("OUTCROP_CASES") or beside) / kind
    return found if found.is_dir() else None


def cases(kind: str) -> list[Any]:
    """Every case of a kind as a parameter; without the folder, one that is skipped, or fails in CI."""
    found = folder(kind)
    if found is None:
        return [pytest.param(None, id="no-cases")]
    read = [json.loads(path.read_text()) for path in sorted(found.glob("*.json"))]
    return [pytest.param(case, id=case["id"]) for case in read]


def needed(case: Case | None) -> Case:
    """The case, if there is one."""
    if case is None:
        told = "no cases: OUTCROP_CASES names no folder and ../shared/cases is not there"
        assert os.environ.get("CI") != "true", told
        pytest.skip(told)
    return case


@dataclass
class Told:
    """An answer of the gateway."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def events(self) -> list[Any]:
        """The events of a stream."""
        lines = self.raw.decode().split("\n\n")
        return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]

    @property
    def ignored(self) -> str:
        return self.headers.get("x-outcrop-ignored", "")

    def message(self) -> dict[str, Any]:
        """The message, assembled if it was streamed; with `finish` and `usage`."""
        if not self.headers.get("content-type", "").startswith("text/event-stream"):
            choice = self.json["choices"][0]
            return {**choice["message"], "finish": choice["finish_reason"], "usage": self.json["usage"]}
        whole: dict[str, Any] = {"content": "", "reasoning_content": "", "reasoning_details": [], "tool_calls": []}
        for event in self.events:
            assert "error" not in event, event
            whole["usage"] = event.get("usage") or whole.get("usage")
            for choice in event["choices"]:
                delta = choice["delta"]
                whole["finish"] = choice.get("finish_reason") or whole.get("finish")
                for name in ("content", "reasoning_content"):
                    whole[name] += delta.get(name) or ""
                whole["reasoning_details"] += delta.get("reasoning_details") or []
                for call in delta.get("tool_calls") or []:
                    while len(whole["tool_calls"]) <= call["index"]:
                        whole["tool_calls"].append({"function": {"name": "", "arguments": ""}})
                    into = whole["tool_calls"][call["index"]]
                    into["id"] = call.get("id") or into.get("id")
                    for name in ("name", "arguments"):
                        into["function"][name] += call["function"].get(name) or ""
        return whole


@dataclass
class Turn:
    """One request of a case: the request, the calls made, and the answer."""

    request: dict[str, Any]
    sent: list[Asked]
    told: Told
    reply: Any

    @property
    def body(self) -> dict[str, Any]:
        """The last body that was sent upstream."""
        assert self.sent, f"nothing was sent on: {self.told.status} {self.told.raw[:400]!r}"
        return self.sent[-1].body

    def ok(self) -> "Turn":
        assert self.told.status == 200, f"{self.told.status} {self.told.raw[:600]!r}"
        return self


@dataclass
class Play:
    """The upstream of a case, with the gateway in front."""

    gateway: Outcrop
    upstream: Scripted
    replies: list[Any] = field(default_factory=list)
    used: Any = None
    caller: str = "any"

    def turns(self, case: Case) -> list[Turn]:
        """Plays a case; the n-th reply answers the n-th call."""
        turns = []
        steps = case.get("steps") or [case]
        for step in steps:
            self.replies += [step[name] for name in ("reply", "reply_frames") if name in step]
            if "request" in step:
                turns.append(self.turn(step["request"]))
        return turns

    def turn(self, request: dict[str, Any], **headers: str) -> Turn:
        """One chat request."""
        before, self.used = len(self.upstream.asked), None
        headers.setdefault("authorization", f"Bearer {self.caller}")
        told = send(self.gateway, "/v1/chat/completions", request, **headers)
        return Turn(request, self.upstream.asked[before:], told, self.used)

    def answer(self, _: Handler, asked: Asked) -> Answer:
        """The upstream's answer."""
        if asked.operation not in ("converse", "converse-stream"):
            return Answer.json({"message": "not here"}, 404, x_amzn_errortype="ResourceNotFoundException")
        reply = self.replies.pop(0) if self.replies else {"content": [{"text": "ok"}], "stopReason": "end_turn"}
        self.used = reply
        frames = reply if isinstance(reply, list) else None
        if asked.operation == "converse-stream":
            return Answer.frames(*encoded(frames or events_of(reply)))
        assert frames is None, "a stream for a whole answer"
        blocks = renamed(reply["content"], asked.body)
        return message_answer(blocks, reply.get("stopReason", "end_turn"), reply.get("usage"))


def renamed(blocks: list[Any], body: dict[str, Any]) -> list[Any]:
    """Calls with the names under which the tools were declared, the only ones a model uses."""
    declared = [tool["toolSpec"]["name"] for tool in body.get("toolConfig", {}).get("tools", []) if "toolSpec" in tool]
    blocks = copy.deepcopy(blocks)
    for block in blocks:
        call = block.get("toolUse")
        if call and len(declared) == 1:
            call["name"] = declared[0]
    return blocks


def send(gateway: Outcrop, path: str, body: Any, method: str = "POST", **headers: str) -> Told:
    """One request."""
    named = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    connection = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
    try:
        connection.request(method, path, json.dumps(body).encode(), named)
        answer = connection.getresponse()
        raw = answer.read()
        return Told(answer.status, {name.lower(): text for name, text in answer.getheaders()}, raw)
    finally:
        connection.close()


def encoded(events: list[dict[str, Any]]) -> list[bytes]:
    return [eventstream.event(name, body) for event in events for name, body in event.items()]


def events_of(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """A complete message as the events of a stream."""
    events: list[dict[str, Any]] = [{"messageStart": {"role": "assistant"}}]
    for index, block in enumerate(reply["content"]):
        at = {"contentBlockIndex": index}
        deltas: list[dict[str, Any]] = []
        if "text" in block:
            deltas = [{"text": block["text"]}]
        elif "toolUse" in block:
            call = block["toolUse"]
            start = {"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}}
            events.append({"contentBlockStart": {**at, "start": start}})
            deltas = [{"toolUse": {"input": json.dumps(call["input"])}}]
        elif "reasoningContent" in block:
            thought = block["reasoningContent"]
            parts = thought.get("reasoningText") or {"redactedContent": thought["redactedContent"]}
            deltas = [{"reasoningContent": {name: text}} for name, text in parts.items()]
        events += [{"contentBlockDelta": {**at, "delta": delta}} for delta in deltas]
        events.append({"contentBlockStop": at})
    usage = reply.get("usage") or USAGE
    events.append({"messageStop": {"stopReason": reply.get("stopReason", "end_turn")}})
    events.append({"metadata": {"metrics": {"latencyMs": 1}, "usage": usage}})
    return events
