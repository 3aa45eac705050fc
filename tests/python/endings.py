"""Checks of the raw streams of `/v1/responses` and `/v1/messages`: what clients rely on, event by event.

Each rule stands for a client that breaks, repeats a turn or reads an empty answer when it does not hold.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

TERMINAL = ("response.completed", "response.incomplete", "response.failed")
RESPONSE_MEMBERS = ("id", "object", "created_at", "model", "status", "output", "tools", "tool_choice", "usage", "error")
# Members of a delta's event, by the item or block that it belongs to.
BLOCK_DELTAS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "redacted_thinking": set(),
    "tool_use": {"input_json_delta"},
}


def events_of(raw: bytes) -> list[dict[str, Any]]:
    """The events of a stream; each has an `event:` line that is its data's type. `[DONE]` is an event of its own."""
    assert raw.endswith(b"\n\n"), "the last event is not finished"
    found: list[dict[str, Any]] = []
    for text in raw.decode().split("\n\n"):
        lines = [line for line in text.split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        if lines == ["data: [DONE]"]:
            found.append({"type": "[DONE]"})
            continue
        names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        assert len(names) == len(data) == 1 and len(lines) == 2, lines
        event = json.loads(data[0])
        assert names == [event["type"]], f"event: {names}, but {event['type']}"
        found.append(event)
    return found


@dataclass
class OpenItem:
    """An output item that is being streamed, with the texts of its parts."""

    item: dict[str, Any]
    texts: dict[tuple[str, int], str] = field(default_factory=dict)
    closed: set[tuple[str, int]] = field(default_factory=set)
    arguments: str = ""


class ResponsesStream:
    """One stream of `/v1/responses`; `terminal` is the response of its last event."""

    def __init__(self, raw: bytes) -> None:
        self.items: list[dict[str, Any]] = []
        self.open: OpenItem | None = None
        self.id: str = ""
        events = events_of(raw)
        assert [event["type"] for event in events].count("[DONE]") == 1 and events[-1]["type"] == "[DONE]"
        events.pop()
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
        kinds = [event["type"] for event in events]
        assert [kind for kind in kinds if kind in TERMINAL] == kinds[-1:], kinds
        assert "error" not in kinds, "clients take it for a broken connection"
        for event in events:
            self.read(event)
        self.events = events
        self.terminal: dict[str, Any] = events[-1]["response"]
        self.failed = kinds[-1] == "response.failed"
        if self.failed:
            self.check_failure()
        else:
            self.check_end(kinds[-1])

    def read(self, event: dict[str, Any]) -> None:
        """Takes one event."""
        kind = event["type"]
        if "response" in event:
            self.check_response(event["response"])
        elif kind == "response.output_item.added":
            self.add(event)
        else:
            self.read_inside(event)

    def check_response(self, response: dict[str, Any]) -> None:
        """Every response object of a stream is complete, and the same."""
        assert set(RESPONSE_MEMBERS) <= set(response), sorted(set(RESPONSE_MEMBERS) - set(response))
        assert response["object"] == "response" and isinstance(response["created_at"], int) and response["model"]
        assert response["id"] == (self.id or response["id"]), "the id changes"
        self.id = response["id"]

    def add(self, event: dict[str, Any]) -> None:
        """A new item stands behind the last one, which is closed."""
        assert self.open is None, "the last item is still open"
        item = event["item"]
        assert event["output_index"] == len(self.items), "output_index has a gap"
        assert isinstance(item["id"], str) and item["id"], item
        if item["type"] == "function_call":
            assert item["arguments"] == "" and item["call_id"] and item["name"]
        self.open = OpenItem(item)

    def read_inside(self, event: dict[str, Any]) -> None:
        """An event of the open item."""
        assert self.open, f"{event['type']} outside of an item"
        assert event["output_index"] == len(self.items)
        if event["type"] == "response.output_item.done":
            self.close(event["item"])
            return
        assert event["item_id"] == self.open.item["id"]
        if "annotation" in event:
            return
        stage = event["type"].rsplit(".", 1)[-1]
        if "arguments" in event["type"] or "custom_tool_call_input" in event["type"]:
            if stage == "delta":
                self.open.arguments += event["delta"]
            else:
                assert event.get("arguments", event.get("input")) == self.open.arguments
            return
        index = "summary_index" if "summary_index" in event else "content_index"
        part = (index, event[index])
        if stage == "added":
            assert part not in self.open.texts and (event[index] == 0 or (index, event[index] - 1) in self.open.texts)
            self.open.texts[part] = ""
            self.check_part(event["part"])
        elif stage == "delta":
            assert part in self.open.texts, f"{event['type']} before its part"
            self.open.texts[part] += event["delta"]
        elif "part" in event:
            self.check_part(event["part"])
            assert event["part"].get("text", event["part"].get("refusal")) == self.open.texts[part]
            self.open.closed.add(part)
        elif stage == "done":
            assert event.get("text", event.get("refusal")) == self.open.texts[part]

    def check_part(self, part: dict[str, Any]) -> None:
        """Clients read the annotations of every text."""
        if part["type"] == "output_text":
            assert isinstance(part["annotations"], list) and isinstance(part["text"], str)

    def close(self, item: dict[str, Any]) -> None:
        """The item is whole, and what its events said."""
        assert self.open
        for member in ("id", "type", "call_id", "name"):
            assert item.get(member) == self.open.item.get(member), member
        assert set(self.open.texts) == self.open.closed, "a part was not closed"
        if item["type"] == "message":
            assert item["status"] in ("completed", "incomplete"), item
            texts = [part.get("text", part.get("refusal")) for part in item["content"]]
            assert texts == [self.open.texts["content_index", n] for n in range(len(texts))]
            for part in item["content"]:
                self.check_part(part)
        if item["type"] == "function_call":
            assert item["arguments"] == self.open.arguments
        self.items.append(item)
        self.open = None

    def check_end(self, kind: str) -> None:
        """A good end says again what came, with all figures."""
        assert self.open is None, "an item was not closed"
        assert self.terminal["output"] == self.items
        assert self.terminal["status"] == kind.removeprefix("response.")
        usage = self.terminal["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
        details = [usage["input_tokens_details"]["cached_tokens"], usage["output_tokens_details"]["reasoning_tokens"]]
        assert all(isinstance(count, int) for count in details)
        if kind == "response.incomplete":
            assert self.terminal["incomplete_details"]["reason"] in ("max_output_tokens", "content_filter")

    def check_failure(self) -> None:
        """A failure has a code and a text."""
        assert self.terminal["status"] == "failed"
        error = self.terminal["error"]
        assert error["code"] and error["message"], error


class MessagesStream:
    """One stream of `/v1/messages`; `message` is what its events make."""

    def __init__(self, raw: bytes) -> None:
        events = [event for event in events_of(raw) if event["type"] != "ping"]
        kinds = [event["type"] for event in events]
        assert "[DONE]" not in kinds
        assert kinds[0] == "message_start" and kinds.count("message_start") == 1
        ends = [kind for kind in kinds if kind in ("message_stop", "error")]
        assert ends == kinds[-1:], kinds
        self.message: dict[str, Any] = events[0]["message"]
        self.blocks: list[dict[str, Any]] = []
        self.is_open = False
        self.failed = kinds[-1] == "error"
        self.check_start()
        for event in events[1:-1]:
            self.read(event)
        if self.failed:
            error = events[-1]["error"]
            assert error["type"] and error["message"], error
            assert "message_delta" not in kinds, "a failure looks like a good end"
        else:
            assert not self.is_open and kinds[-2] == "message_delta", kinds
            assert self.message["stop_reason"], "no reason to stop"
            if any(block["type"] == "tool_use" for block in self.blocks):
                assert self.message["stop_reason"] in ("tool_use", "max_tokens")
        self.message["content"] = self.blocks

    def check_start(self) -> None:
        """The first event has a whole message, with usage."""
        assert self.message["type"] == "message" and self.message["role"] == "assistant" and self.message["model"]
        assert self.message["id"] and self.message["content"] == [] and self.message["stop_reason"] is None
        usage = self.message["usage"]
        assert isinstance(usage["input_tokens"], int) and isinstance(usage["output_tokens"], int)

    def read(self, event: dict[str, Any]) -> None:
        """Takes one event between the first and the last."""
        kind = event["type"]
        if kind == "message_delta":
            self.message |= event["delta"]
            usage = {name: value for name, value in event["usage"].items() if value is not None}
            assert isinstance(usage["output_tokens"], int)
            self.message["usage"] |= usage
        elif kind == "content_block_start":
            assert not self.is_open and event["index"] == len(self.blocks), event
            self.blocks.append({**event["content_block"], "json": ""})
            self.is_open = True
        elif kind == "content_block_delta":
            assert self.is_open and event["index"] == len(self.blocks) - 1
            self.extend(self.blocks[-1], event["delta"])
        else:
            assert kind == "content_block_stop" and self.is_open and event["index"] == len(self.blocks) - 1, event
            self.is_open = False
            self.close(self.blocks[-1])

    def extend(self, block: dict[str, Any], delta: dict[str, Any]) -> None:
        """Adds a delta to its block."""
        assert delta["type"] in BLOCK_DELTAS[block["type"]], (block, delta)
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
            case "signature_delta":
                block["signature"] = delta["signature"]
            case "input_json_delta":
                assert block["input"] == {}
                block["json"] += delta["partial_json"]

    def close(self, block: dict[str, Any]) -> None:
        """A block is whole."""
        text = block.pop("json")
        if block["type"] == "tool_use":
            assert block["id"] and block["name"]
            # A call that `max_tokens` cut has half of its input.
            try:
                block["input"] = json.loads(text or "{}")
            except ValueError:
                block["input"] = None
