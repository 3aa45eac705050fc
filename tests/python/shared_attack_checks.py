"""Checks for each finding of the attack, by its number.

Statuses, configurations, requests and limits come from the case; steps that a case only describes in
prose are implemented here.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import test_limits
import test_shutdown
from outcrop_process import PATIENCE, Outcrop, run_to_end
from scripted import Answer, Asked, Handler, Scripted, message_answer, text_answer, text_frames
from shared_cases import Case, Told, encoded, events_of, send
from test_limits import resident

CHAT = "/v1/chat/completions"
# A debug build and a busy machine need more time and memory than a case allows.
SLACK_SECONDS, SLACK_BYTES = 1.0, 16 << 20


def gateway(upstream: Scripted, config: str = "") -> Outcrop:
    """A gateway that calls the upstream for every service."""
    return Outcrop(
        ["--listen", "127.0.0.1:0", "--config", "outcrop.yaml"],
        environment={**upstream.environment, "AWS_ENDPOINT_URL": upstream.url},
        files={"outcrop.yaml": config},
    )


def well(_: Handler, asked: Asked) -> Answer:
    return Answer.frames(*text_frames(["ok"])) if asked.operation == "converse-stream" else text_answer("ok")


@contextmanager
def both(answer: Callable[[Handler, Asked], Answer | None] = well, config: str = "") -> Iterator[tuple[Outcrop, Scripted]]:
    with Scripted(answer) as upstream, gateway(upstream, config) as running:
        yield running, upstream
        assert running.alive(), running.log()
        assert "panicked" not in running.log(), running.log()


def statuses(expected: Any) -> list[int]:
    return [int(one) for one in re.findall(r"\d{3}", str(expected))]


def raw_request(running: Outcrop, told: dict[str, Any], without: tuple[str, ...] = ()) -> Told:
    """A request with exactly these headers, but for the port."""
    port = running.address[1]
    connection = http.client.HTTPConnection(*running.address, timeout=PATIENCE)
    body = json.dumps(told["json"]).encode()
    connection.putrequest(told["method"], told["target"], skip_host=True, skip_accept_encoding=True)
    for name, value in told["headers"]:
        if name not in without:
            connection.putheader(name, re.sub(r":4000\b", f":{port}", value))
    if not any(name.lower() == "host" for name, _ in told["headers"]) or "Host" in without:
        connection.putheader("Host", f"127.0.0.1:{port}")
    if "Content-Type" in without:
        connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    told_back = Told(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
    connection.close()
    return told_back


# --- refusals -----------------------------------------------------------------------------------


def refused(case: Case) -> None:
    """Checks that a request is refused without a call."""
    with both(config=case.get("config", "")) as (running, upstream):
        told = raw_request(running, case["http"])
        assert told.status in statuses(case["expect"]["status"]), f"{told.status} {told.raw[:300]!r}"
        assert len(upstream.asked) == case["expect"]["upstream calls"]


def cross_site(case: Case) -> None:
    refused(case)
    with both() as (running, upstream):
        told = raw_request(running, case["http"], ("Host", "Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Content-Type"))
        assert told.status == 200 and len(upstream.asked) == 1, f"{told.status} {told.raw[:300]!r}"


def object_in_s3(case: Case) -> None:
    refused(case)
    buckets = sorted(set(re.findall(r"s3://[\w.-]+/", json.dumps(case["http"]))))
    for config in (f"media: {{ s3_prefixes: {json.dumps(buckets)} }}\n", "native: { s3: allow }\n"):
        with both(config=config) as (running, upstream):
            assert raw_request(running, case["http"]).status == 200
            assert len(upstream.asked) == 1


# --- clock, ids, thoughts -----------------------------------------------------------------------


def clock(case: Case) -> None:
    once = case["upstream_once"]
    left = [once]

    def answer(handler: Handler, asked: Asked) -> Answer:
        if left:
            told = left.pop()
            # http.server adds a date itself.
            handler.date_time_string = lambda *_: told["headers"]["date"]  # type: ignore[method-assign]
            return Answer.json(told["json"], told["status"], x_amzn_errortype=told["headers"]["x-amzn-errortype"])
        handler.date_time_string = type(handler).date_time_string.__get__(handler)  # type: ignore[method-assign]
        return well(handler, asked)

    with both(answer) as (running, upstream):
        send(running, CHAT, case["request"])
        for _round in range(8):
            assert send(running, CHAT, case["request"]).status == 200
            time.sleep(0.4)
        native = {"messages": [{"role": "user", "content": [{"text": "x"}]}]}
        assert send(running, f"/bedrock/model/{case['request']['model']}/converse", native).status == 200
        time.sleep(3)
        assert send(running, CHAT, case["request"]).status == 200
        # A clock offset of decades is ignored.
        signed = [asked.headers["x-amz-date"][:4] for asked in upstream.asked]
        assert all(abs(int(year) - time.gmtime().tm_year) <= 1 for year in signed), signed


def call_ids(case: Case) -> None:
    with both() as (running, upstream):
        assert send(running, CHAT, case["request"]).status == 200
        blocks = [block for message in upstream.asked[-1].body["messages"] for block in message["content"]]
    calls = {json.dumps(block["toolUse"]["input"]): block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block}
    results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
    asked = [call for message in case["request"]["messages"] for call in message.get("tool_calls") or []]
    assert len(set(calls.values())) == len(asked) and set(results) == set(calls.values()), (calls, results)


def hidden_thoughts(_: Case) -> None:
    """Another caller's dry run with a known call id."""
    secret, signature = "the thought of another", "c2lnbmF0dXJl"
    thought = {"reasoningContent": {"reasoningText": {"text": secret, "signature": signature}}}
    call = {"toolUse": {"toolUseId": "tooluse_known", "name": "f", "input": {}}}

    def thinks(*_: Any) -> Answer:
        return message_answer([thought, call], "tool_use")

    model, tool = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    body = {"model": model, "tools": [tool], "reasoning_effort": "low", "max_tokens": 4000, "messages": [{"role": "user", "content": "x"}]}
    with both(thinks) as (running, _upstream):
        first = send(running, CHAT, body, authorization="Bearer unused")
        assert first.status == 200 and secret.encode() in first.raw
        called = [{"id": "tooluse_known", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
        body["messages"] += [{"role": "assistant", "content": None, "tool_calls": called}, {"role": "tool", "tool_call_id": "tooluse_known", "content": "1"}]
        shown = send(running, CHAT, body, authorization="Bearer unused", x_outcrop_dry_run="true")
        assert shown.status == 200
        assert secret.encode() not in shown.raw and signature.encode() not in shown.raw, shown.raw


# --- memory and time ----------------------------------------------------------------------------


def worked(running: Outcrop) -> float:
    """Seconds of CPU time of the workers; unlike the clock, this leaves out other work of the machine."""
    assert running.process is not None
    nanoseconds = 0
    for thread in Path(f"/proc/{running.process.pid}/task").iterdir():
        try:
            if (thread / "comm").read_text().startswith("actix-rt|"):
                nanoseconds += int((thread / "schedstat").read_text().split()[0])
        except OSError:
            continue  # A thread may have ended meanwhile.
    return nanoseconds / 1e9


class Beside:
    """Polls the probe during other work; records the longest work that it waited for, and the most memory."""

    def __init__(self, running: Outcrop) -> None:
        self.running = running
        self.longest, self.most = 0.0, 0
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def ask(self) -> None:
        connection = http.client.HTTPConnection(*self.running.address, timeout=PATIENCE)
        while not self.ends.is_set():
            started, used = time.monotonic(), worked(self.running)
            connection.request("GET", "/livez")
            connection.getresponse().read()
            waited = time.monotonic() - started
            self.longest = max(self.longest, min(waited, worked(self.running) - used))
            self.most = max(self.most, resident(self.running))
            time.sleep(0.005)

    def __enter__(self) -> "Beside":
        self.before = resident(self.running)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ends.set()
        self.thread.join(PATIENCE)

    @property
    def growth(self) -> int:
        return self.most - self.before


def judged(case: Case) -> None:
    """An answer that is expensive to validate."""
    upstream_text = case.get("upstream_text")
    reply = {"content": [{"text": upstream_text}]} if upstream_text else case["upstream"]["output"]["message"]

    def answer(_: Handler, asked: Asked) -> Answer:
        if asked.operation == "converse-stream":
            return Answer.frames(*encoded(events_of(reply)))
        return message_answer(reply["content"])

    with both(answer, "workers: 1\n") as (running, _):
        send(running, CHAT, {**case["request"], "response_format": {"type": "text"}})
        with Beside(running) as beside:
            told = send(running, CHAT, case["request"])
        assert told.status in statuses(case["expect"].get("status", 200)), told.raw[:300]
        word = case["expect"].get("header x-outcrop-structured-output", "")
        if word.startswith("mismatch"):
            assert told.headers.get("x-outcrop-structured-output") in ("mismatch", "unchecked"), told.headers
        limits = re.findall(r"<= (\d+) MiB", case["expect"].get("peak memory growth", ""))
        for mib in limits:
            assert beside.growth <= (int(mib) << 20) + SLACK_BYTES, f"{beside.growth >> 20} MiB"
        assert beside.longest <= 0.05 + SLACK_SECONDS, f"others waited for {beside.longest:.2f} s of work"


def inlined(_: Case) -> None:
    definitions = {
        f"d{k}": {"type": "object", "properties": {"a": {"$ref": f"#/$defs/d{(k + 1) % 50}"}}} for k in range(50)
    }
    properties = {f"p{i}": {"$ref": f"#/$defs/d{i % 50}"} for i in range(4000)}
    schema = {"type": "object", "properties": properties, "$defs": definitions}
    tools = [{"type": "function", "function": {"name": f"f{n}", "parameters": schema}} for n in range(20)]
    body = {"model": "amazon.nova-lite-v1:0", "messages": [{"role": "user", "content": "x"}], "tools": tools}
    with both(config="workers: 1\n") as (running, upstream):
        with Beside(running) as beside:
            told = send(running, CHAT, body)
        assert told.status == 400 or len(upstream.asked[-1].raw) <= 25_000_000, told.status
        assert beside.longest <= 0.1 + SLACK_SECONDS, f"others waited for {beside.longest:.2f} s of work"


def long_name(_: Case) -> None:
    name = "bedrock/aa" + "-b" * 1_000_000 + "-1/x"
    with both(config="workers: 1\n") as (running, upstream):
        with Beside(running) as beside:
            told = send(running, CHAT, {"model": name, "messages": [{"role": "user", "content": "x"}]})
        assert told.status == 400 and len(told.raw) <= 2048, f"{told.status}, {len(told.raw)} bytes"
        assert beside.growth <= 1.5 * len(name) + SLACK_BYTES, f"{beside.growth >> 20} MiB"
        assert not upstream.asked


# --- the process --------------------------------------------------------------------------------


def regions(_: Case) -> None:
    test_limits.test_unknown_regions_do_not_block_known_ones()


def second_signal(_: Case) -> None:
    for second in (signal.SIGTERM, signal.SIGINT):
        with Scripted(test_shutdown.slow) as upstream:
            test_shutdown.test_a_second_signal_ends_the_process(upstream, second)


def error_body(case: Case) -> None:
    told = case["upstream"]

    def answer(handler: Handler, _: Asked) -> None:
        handler.head(told["status"], told["headers"])
        handler.write(told["bytes"].encode())
        handler.silence(PATIENCE)

    with both(answer) as (running, _):
        started = time.monotonic()
        assert send(running, CHAT, case["request"]).status == told["status"]
        assert time.monotonic() - started < PATIENCE / 2


def blocked_file(_: Case) -> None:
    with Scripted(test_shutdown.slow) as upstream:
        test_shutdown.test_a_pipe_instead_of_a_file_does_not_block(upstream, "outcrop.yaml")


def seconds(case: Case) -> None:
    value = re.findall(r"\d{5,}", case["config"])[0]
    for path in ["timeouts.total", *case["variants"]]:
        told = run_to_end(["check", "outcrop.yaml"], files={"outcrop.yaml": test_limits.written([path], value)})
        assert told.returncode == 2 and re.search(r"outcrop\.yaml:\d", told.stdout + told.stderr), path


CHECKS: dict[str, Callable[[Case], None]] = {
    "F1": judged,
    "F2": clock,
    "F3": cross_site,
    "F4": refused,
    "F5": object_in_s3,
    "F6": inlined,
    "F7": judged,
    "F8": long_name,
    "F9": regions,
    "F10": second_signal,
    "F12": error_body,
    "F13": hidden_thoughts,
    "F14": blocked_file,
    "F16": seconds,
    "F20": call_ids,
}
