"""The golden fixtures of the translator, and a Bedrock that answers with them.

`stream/*.jsonl` hold a request and the events that answer it. The code here folds the events into a
complete answer, independently of the translator. `answer/*.json` hold a request and the complete
answer. The recorded replies of the real service are read in the same form if they are present.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import eventstream
from invented import seeded
from loopback import Loopback
from outcrop_process import PATIENCE

FIXTURES = Path(__file__).resolve().parents[2] / "crates" / "translate" / "tests" / "fixtures"
USAGE = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}


@dataclass
class Golden:
    """A request and Bedrock's answer, as a stream, complete, or both."""

    name: str
    request: dict[str, Any]
    profile: dict[str, Any] = field(default_factory=dict)
    whole: dict[str, Any] | None = None
    stream: bytes | None = None
    complete: bool = True
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model id in requests to the gateway and to Bedrock."""
        return f"golden.{self.name}"


def streams() -> list[Golden]:
    """Every golden stream."""
    return [golden_stream(path) for path in sorted((FIXTURES / "stream").glob("*.jsonl"))]


def golden_stream(path: Path) -> Golden:
    """A stream, and the complete answer that its events fold into."""
    case, *lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    # If several answers are requested, all get the events of the first.
    events = [(line["event"], line["payload"]) for line in lines if line.get("choice", 0) == 0]
    wire = b"".join(eventstream.event(name, payload) for name, payload in events)
    complete = any(name == "messageStop" for name, _ in events)
    profile = case.get("profile", {})
    answer = whole(events)
    if answer and profile.get("stream_counts") == "gross":
        answer["usage"] = net(answer["usage"])
    return Golden(path.stem, case["request"], profile, answer, wire, complete)


def net(usage: dict[str, Any]) -> dict[str, Any]:
    """Usage of a complete answer, for streams whose input tokens include the cached ones."""
    cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
    return {**usage, "inputTokens": usage["inputTokens"] - cached if usage["inputTokens"] >= cached else usage["inputTokens"]}


def answers() -> list[Golden]:
    """Every golden answer."""
    cases = [(path, json.loads(path.read_text())) for path in sorted((FIXTURES / "answer").glob("*.json"))]
    return [
        Golden(f"whole-{path.stem}", case["request"], case.get("profile", {}), case["response"])
        for path, case in cases
    ]


def recorded() -> list[Golden]:
    """Every recorded reply; skips, or fails under CI, where the recordings are not there."""
    folder = os.environ.get("OUTCROP_RECORDINGS", "")
    if not Path(folder, "converse.jsonl").is_file():
        assert os.environ.get("CI") != "true", "OUTCROP_RECORDINGS must name the recordings under CI"
        pytest.skip("OUTCROP_RECORDINGS names no recordings")
    found = []
    for operation in ("converse", "converse_stream"):
        for number, line in enumerate(Path(folder, f"{operation}.jsonl").read_text().splitlines()):
            found.append(golden_record(f"recorded-{operation}-{number}", operation, json.loads(line)))
    return found


def golden_record(name: str, operation: str, record: dict[str, Any]) -> Golden:
    """A recorded exchange; only its answer is used here, not its request."""
    request: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]}
    golden = Golden(name, request, status=record["status"])
    kind = {key.lower(): value for key, value in (record.get("response_headers") or {}).items()}
    kind = kind.get("x-amzn-errortype", "ValidationException")
    if record["status"] != 200:
        golden.headers = {"x-amzn-errortype": kind if isinstance(kind, str) else kind[0]}
    if operation == "converse" or record["status"] != 200:
        golden.whole = record["response"]
    elif record.get("response_b64"):
        golden.stream = base64.b64decode(record["response_b64"])
    else:
        golden.stream = b"".join(eventstream.event(one["type"], one["payload"]) for one in record["events"])
    if operation == "converse_stream":
        request["stream"] = True
        golden.complete = any(one["type"] == "messageStop" for one in record.get("events") or [])
    return golden


def whole(events: list[tuple[str, dict[str, Any]]]) -> dict[str, Any] | None:
    """The complete answer; `None` if a call's input never became JSON."""
    try:
        return folded(events)
    except json.JSONDecodeError:
        return None


def folded(events: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The Converse answer that a stream's events fold into."""
    blocks: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {"stopReason": "end_turn", "usage": USAGE, "metrics": {"latencyMs": 1}}
    for name, payload in events:
        block = blocks.setdefault(payload["contentBlockIndex"], {}) if "contentBlockIndex" in payload else {}
        if name == "contentBlockStart":
            call = (payload.get("start") or {}).get("toolUse")
            if call:
                block["toolUse"] = {**call, "input": ""}
        elif name == "contentBlockDelta":
            grow(block, payload.get("delta") or {})
        elif name == "messageStop":
            answer["stopReason"] = payload.get("stopReason", "end_turn")
            if "additionalModelResponseFields" in payload:
                answer["additionalModelResponseFields"] = payload["additionalModelResponseFields"]
        elif name == "metadata":
            answer |= {key: payload[key] for key in ("usage", "serviceTier", "trace") if key in payload}
    content = [settled(blocks[index]) for index in sorted(blocks)]
    answer["output"] = {"message": {"role": "assistant", "content": [block for block in content if block]}}
    return answer


def grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    """Adds a delta to its block."""
    if isinstance(delta.get("text"), str):
        block["text"] = block.get("text", "") + delta["text"]
    if isinstance(call := delta.get("toolUse"), dict) and "toolUse" in block:
        block["toolUse"]["input"] += call.get("input") or ""
    if isinstance(delta.get("citation"), dict):
        block.setdefault("citations", []).append(delta["citation"])
    if isinstance(thought := delta.get("reasoningContent"), dict):
        if "redactedContent" in thought:
            known = block.setdefault("reasoningContent", {"redactedContent": ""})
            pieces = [known["redactedContent"], thought["redactedContent"]]
            # Pieces of bytes, each in text of its own.
            known["redactedContent"] = base64.b64encode(b"".join(map(base64.b64decode, pieces))).decode()
        else:
            known = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
            known["text"] += thought.get("text") or ""
            if thought.get("signature"):
                known["signature"] = known.get("signature", "") + thought["signature"]


def settled(block: dict[str, Any]) -> dict[str, Any]:
    """A finished block: its input is parsed, and its citations surround its text."""
    if "toolUse" in block:
        text = block["toolUse"]["input"]
        block["toolUse"]["input"] = json.loads(text) if text else {}
    if "citations" in block:
        text = {"text": block.pop("text", "")}
        return {"citationsContent": {"content": [text], "citations": block["citations"]}}
    return block


class Scripted(Loopback):
    """A Bedrock that answers each model with its golden fixture."""

    def __init__(self, goldens: Iterable[Golden]) -> None:
        known = {golden.model: golden for golden in goldens}
        self.received: list[dict[str, Any]] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = PATIENCE

            def log_message(self, *_: object) -> None:
                """Does not log."""

            def do_POST(self) -> None:
                received.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                _, _, label, operation = self.path.split("/")
                golden = known[unquote(label)]
                streamed = operation == "converse-stream" and golden.status == 200
                data = golden.stream if streamed else json.dumps(golden.whole).encode()
                assert data is not None, f"{golden.name} has no answer to {operation}"
                self.send_response(golden.status)
                kind = "vnd.amazon.eventstream" if streamed else "json"
                sent = {"content-type": f"application/{kind}", "content-length": str(len(data))}
                for name, value in {**sent, **golden.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                for piece in cut(data) if streamed else [data]:
                    self.wfile.write(piece)

        super().__init__(Handler)


def cut(data: bytes) -> Iterable[bytes]:
    """The bytes split at random places, as by a network; reproducible with OUTCROP_TEST_SEED."""
    rng = seeded(f"cut {len(data)}")
    most = max(len(data) // 3, 64)
    start = 0
    while start < len(data):
        end = start + rng.randint(1, most)
        yield data[start:end]
        start = end


def configuration(goldens: Iterable[Golden]) -> str:
    """A configuration for the goldens whose model differs from an unknown one."""
    models = {
        golden.model: {"model": golden.model, "accepts": golden.profile}
        for golden in goldens
        if golden.profile
    }
    # A complete answer uses the first, as a stream does. JSON is valid YAML.
    return json.dumps({"structured_output": {"repair": "off"}, **({"models": models} if models else {})})
