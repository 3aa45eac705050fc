"""Minimal values for botocore's shapes, and HTTP answers made of them, for whole services."""

from __future__ import annotations

import base64
import json
from typing import Any

from botocore.model import OperationModel, Shape

import eventstream

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789" * 8


def minimal(shape: Shape, depth: int = 0) -> Any:
    """The smallest value that botocore's validator accepts."""
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return {"any": [1, "x"]}
    if kind == "structure":
        if getattr(shape, "is_tagged_union", False):
            name = next(iter(sorted(shape.members, key=lambda name: shape.members[name].type_name != "string")))
            return {name: minimal(shape.members[name], depth + 1)}
        return {name: minimal(shape.members[name], depth + 1) for name in shape.required_members}
    if kind == "list":
        return [minimal(shape.member, depth + 1)] * max(1, shape.metadata.get("min", 0))
    if kind == "map":
        return {"key": minimal(shape.value, depth + 1)}
    if kind == "string":
        length = max(shape.metadata.get("min", 0), 10)
        return shape.enum[0] if shape.enum else LETTERS[: min(length, shape.metadata.get("max", length))]
    if kind == "blob":
        return b'{"blob": true}'
    if kind in ("integer", "long"):
        return max(1, shape.metadata.get("min", 1))
    if kind in ("float", "double"):
        return float(max(0.5, shape.metadata.get("min", 0)))
    if kind == "timestamp":
        return 1_790_000_000
    assert kind == "boolean", kind
    return True


def wire(shape: Shape, value: Any) -> Any:
    """A value as JSON carries it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict) and shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        return {
            shape.members[name].serialization.get("name", name): wire(shape.members[name], item)
            for name, item in value.items()
        }
    if isinstance(value, list) and shape.type_name == "list":
        return [wire(shape.member, item) for item in value]
    if isinstance(value, dict) and shape.type_name == "map":
        return {key: wire(shape.value, item) for key, item in value.items()}
    return value


def answer(operation: OperationModel) -> tuple[str, bytes]:
    """Content type and body of a successful answer."""
    shape = operation.output_shape
    if operation.has_event_stream_output:
        return "application/vnd.amazon.eventstream", stream(operation)
    if shape is None:
        return "application/json", b"{}"
    payload = shape.serialization.get("payload")
    if payload and shape.members[payload].type_name == "blob":
        return "application/json", b'{"completion": "raw \\u00e9", "b": 1, "a": 2}'
    members = {
        name: minimal(member)
        for name, member in shape.members.items()
        if member.serialization.get("location") is None
    }
    # Spaces and an unknown member survive only if the bytes are not changed.
    body = {**{name: wire(shape.members[name], value) for name, value in members.items()}, "futureMember": {"z": 1}}
    return "application/json", json.dumps(body, indent=1).encode()


def stream(operation: OperationModel) -> bytes:
    """One event for each kind the operation has, exceptions last."""
    shape = operation.get_event_stream_output()
    events = {name: member for name, member in shape.members.items() if not member.metadata.get("exception")}
    return b"".join(
        event(name, member) for name, member in events.items()
    )


def event(name: str, member: Shape) -> bytes:
    """One event; a blob payload travels raw, everything else as JSON."""
    value = minimal(member)
    payload = next((n for n, m in member.members.items() if m.serialization.get("eventpayload")), None)
    if payload and member.members[payload].type_name == "blob":
        return eventstream.message(
            {":event-type": name, ":content-type": "application/octet-stream", ":message-type": "event"}, b"\x00raw"
        )
    return eventstream.event(name, wire(member, value))
