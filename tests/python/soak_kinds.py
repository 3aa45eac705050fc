"""The kinds of requests of the soak, each with the answer that is expected.

A kind is a function of a client; it returns `None` if the answer was as expected, else a short
description of the answer. `upstream` is the other side: one function that selects the answer by the
text of a request.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import eventstream
from outcrop_process import PATIENCE
from scripted import Answer, Asked, Handler, message_answer, text_answer, text_frames

NOVA = "us.amazon.nova-lite-v1:0"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks.",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
    },
}
# Texts that were throttled once.
SEEN: set[str] = set()
RESET = struct.pack("ii", 1, 0)


# --- the other side -----------------------------------------------------------------------------


def upstream(handler: Handler, asked: Asked) -> Answer | None:
    """Answers by the first word of the last user's text, or by the operation."""
    if asked.operation == "invoke":
        return Answer.json({"embedding": [0.5] * 256, "inputTextTokenCount": 2})
    if asked.operation == "count-tokens":
        return Answer.json({"inputTokens": 12})
    if not asked.operation.startswith("converse"):
        return Answer.json({"message": "not here"}, 404, x_amzn_errortype="ResourceNotFoundException")
    said = words(asked.body)
    kind, _, rest = said.partition(" ")
    streamed = asked.operation == "converse-stream"
    if kind in FAULTS:
        return FAULTS[kind](handler, rest, streamed)
    if kind == "thoughts":
        return thoughts(asked.body, rest)
    if kind == "tools":
        return calls(streamed)
    if kind == "schema":
        return text_answer(json.dumps({"colour": rest})) if not streamed else Answer.frames(*text_frames([json.dumps({"colour": rest})]))
    return Answer.frames(*text_frames(["said ", rest])) if streamed else text_answer(f"said {rest}")


def words(body: Any) -> str:
    """The first text of the last user message that has one."""
    for message in reversed(body["messages"]):
        for block in message["content"]:
            if message["role"] == "user" and "text" in block:
                return str(block["text"])
    return ""


def thoughts(body: Any, call_id: str) -> Answer:
    """Signed reasoning and a call; in the second request, whether the reasoning came back."""
    turns = [message for message in body["messages"] if message["role"] == "assistant"]
    if not turns:
        thought = {"reasoningText": {"text": f"thinking of {call_id}", "signature": "c2ln" * 8}}
        call = {"toolUseId": call_id, "name": "look", "input": {"at": "stones"}}
        return message_answer([{"reasoningContent": thought}, {"toolUse": call}], "tool_use")
    came = [block["reasoningContent"]["reasoningText"]["text"] for block in turns[-1]["content"] if "reasoningContent" in block]
    return text_answer("kept" if came == [f"thinking of {call_id}"] else f"lost: {came}")


def calls(streamed: bool) -> Answer:
    if not streamed:
        call = {"toolUseId": "t1", "name": "look", "input": {"at": "granite"}}
        return message_answer([{"text": "Looking."}, {"toolUse": call}], "tool_use")
    event = eventstream.event
    start = {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t1", "name": "look"}}}
    pieces = ['{"at": ', '"granite"}']
    deltas = [{"contentBlockIndex": 0, "delta": {"toolUse": {"input": piece}}} for piece in pieces]
    return Answer.frames(
        event("messageStart", {"role": "assistant"}),
        event("contentBlockStart", start),
        *(event("contentBlockDelta", delta) for delta in deltas),
        event("contentBlockStop", {"contentBlockIndex": 0}),
        event("messageStop", {"stopReason": "tool_use"}),
        event("metadata", {"metrics": {"latencyMs": 5}, "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}}),
    )


def refused(status: int, exception: str) -> Callable[..., Answer]:
    def answer(*_: Any) -> Answer:
        return Answer.json({"message": "on purpose"}, status, x_amzn_errortype=exception)

    return answer


def first_throttled(handler: Handler, rest: str, streamed: bool) -> Answer:
    with handler.scripted.lock:
        is_first = rest not in SEEN
        SEEN.add(rest)
    if is_first:
        return refused(429, "ThrottlingException")()
    return Answer.frames(*text_frames(["said ", rest])) if streamed else text_answer(f"said {rest}")


def hangs_up(handler: Handler, *_: Any) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    handler.close_connection = True


def cut(handler: Handler, *_: Any) -> None:
    handler.begin()
    for frame in text_frames(["half"])[:2]:
        handler.write(frame)


def raises(*_: Any) -> Answer:
    return Answer.frames(*text_frames(["half"])[:2], eventstream.exception("modelStreamErrorException", "on purpose"))


def damaged(*_: Any) -> Answer:
    frames = text_frames(["half", "more"])
    return Answer.frames(*frames[:2], frames[2][:-1] + bytes([frames[2][-1] ^ 1]), *frames[3:])


def lingers(handler: Handler, _: str, streamed: bool) -> None:
    if streamed:
        handler.begin()
        for frame in text_frames(["one", "two"])[:3]:
            handler.write(frame)
    handler.silence(2)
    handler.close_connection = True


def page(*_: Any) -> Answer:
    return Answer(502, {"content-type": "text/html"}, b"<html>not today</html>")


FAULTS: dict[str, Callable[..., Answer | None]] = {
    "invalid": refused(400, "ValidationException"),
    "denied": refused(403, "AccessDeniedException"),
    "down": refused(503, "ServiceUnavailableException"),
    "throttled": refused(429, "ThrottlingException"),
    "first-throttled": first_throttled,
    "hangs-up": hangs_up,
    "cut": cut,
    "raises": raises,
    "damaged": damaged,
    "lingers": lingers,
    "page": page,
}


# --- this side ----------------------------------------------------------------------------------


class Client:
    """One connection to the gateway, reopened if an answer closed it."""

    def __init__(self, address: tuple[str, int], rng: random.Random) -> None:
        self.address = address
        self.rng = rng
        self.connection = http.client.HTTPConnection(*address, timeout=PATIENCE)

    def send(
        self, path: str, body: Any, method: str = "POST", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        self.connection.request(method, path, None if method == "GET" else data, named)
        response = self.connection.getresponse()
        answer = response.read()
        return response.status, {name.lower(): text for name, text in response.getheaders()}, answer

    def chat(self, text: str, model: str = NOVA, **more: Any) -> tuple[int, dict[str, str], bytes]:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.send("/v1/chat/completions", body)

    def leave(self, text: str, streamed: bool) -> None:
        """Sends a request on a new connection and disconnects before the end, cleanly or not."""
        body = json.dumps({"model": NOVA, "stream": streamed, "messages": [{"role": "user", "content": text}]}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        with socket.create_connection(self.address, PATIENCE) as client:
            client.sendall(head.encode() + body)
            if streamed:
                client.recv(100)
            if self.rng.random() < 0.5:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


Problem = str | None


def told(answer: tuple[int, dict[str, str], bytes]) -> str:
    return f"{answer[0]} {answer[2][:300]!r}"


def status(client_answer: tuple[int, dict[str, str], bytes], *wanted: int) -> Problem:
    return None if client_answer[0] in wanted else told(client_answer)


def whole(answer: tuple[int, dict[str, str], bytes], wanted: str) -> Problem:
    """An answer of one text."""
    if answer[0] == 200 and json.loads(answer[2])["choices"][0]["message"]["content"] == wanted:
        return None
    return told(answer)


def events(answer: tuple[int, dict[str, str], bytes]) -> Iterator[Any]:
    for event in answer[2].decode().split("\n\n"):
        if event.startswith("data: ") and event != "data: [DONE]":
            yield json.loads(event[6:])


def streamed_text(answer: tuple[int, dict[str, str], bytes], wanted: str, index: int = 0) -> Problem:
    text = "".join(
        choice["delta"].get("content") or ""
        for event in events(answer)
        for choice in event.get("choices", [])
        if choice["index"] == index
    )
    is_whole = answer[0] == 200 and answer[2].endswith(b"data: [DONE]\n\n")
    return None if is_whole and text == wanted else told(answer)


def breaks_off(answer: tuple[int, dict[str, str], bytes]) -> Problem:
    """A stream that ends in an error, and not like a complete one."""
    last = list(events(answer))[-1:] if answer[0] == 200 else []
    is_error = bool(last) and "error" in last[0] and b"[DONE]" not in answer[2]
    return None if is_error else told(answer)


def fresh() -> str:
    return uuid.uuid4().hex


def kind_whole(client: Client) -> Problem:
    word = fresh()
    return whole(client.chat(f"say {word}"), f"said {word}")


def kind_stream(client: Client) -> Problem:
    word = fresh()
    return streamed_text(client.chat(f"say {word}", stream=True), f"said {word}")


def kind_usage(client: Client) -> Problem:
    answer = client.chat("say x", stream=True, stream_options={"include_usage": True})
    return None if [event for event in events(answer) if event.get("usage")] else told(answer)


def kind_tools(client: Client) -> Problem:
    answer = client.chat("tools", tools=[TOOL])
    called = answer[0] == 200 and json.loads(answer[2])["choices"][0]["message"].get("tool_calls")
    return None if called and called[0]["function"]["name"] == "look" else told(answer)


def kind_tools_streamed(client: Client) -> Problem:
    answer = client.chat("tools", CLAUDE, tools=[TOOL], stream=True)
    deltas = [call for event in events(answer) for choice in event["choices"] for call in choice["delta"].get("tool_calls", [])]
    arguments = "".join(call["function"].get("arguments") or "" for call in deltas)
    return None if arguments and json.loads(arguments) == {"at": "granite"} else told(answer)


def kind_thoughts(client: Client) -> Problem:
    call_id = f"tooluse_{fresh()}"
    asked = {"role": "user", "content": f"thoughts {call_id}"}
    body = {"model": CLAUDE, "messages": [asked], "tools": [TOOL], "reasoning_effort": "low", "max_tokens": 4000}
    answer = client.send("/v1/chat/completions", body)
    if answer[0] != 200:
        return told(answer)
    calls_made = json.loads(answer[2])["choices"][0]["message"]["tool_calls"]
    turn = {"role": "assistant", "content": None, "tool_calls": calls_made}
    result = {"role": "tool", "tool_call_id": calls_made[0]["id"], "content": "grey"}
    return whole(client.send("/v1/chat/completions", {**body, "messages": [asked, turn, result]}), "kept")


def schema(name: str) -> dict[str, Any]:
    shape = {"type": "object", "properties": {"colour": {"type": "string", "description": name}}, "required": ["colour"]}
    return {"type": "json_schema", "json_schema": {"name": f"s{name}", "schema": shape}}


def kind_schema(client: Client) -> Problem:
    """A schema that was not used before."""
    word = fresh()
    answer = client.chat(f"schema {word}", response_format=schema(word))
    return None if answer[0] == 200 and answer[1].get("x-outcrop-structured-output") == "valid" else told(answer)


def kind_mismatch(client: Client) -> Problem:
    answer = client.chat("say no-json", response_format=schema(fresh()), stream=client.rng.random() < 0.5)
    return status(answer, 200)


def kind_choices(client: Client) -> Problem:
    answer = client.chat("say it", n=3)
    return None if answer[0] == 200 and len(json.loads(answer[2])["choices"]) == 3 else told(answer)


def kind_choices_streamed(client: Client) -> Problem:
    answer = client.chat("say it", n=2, stream=True)
    return streamed_text(answer, "said it", 0) or streamed_text(answer, "said it", 1)


def kind_picture(client: Client) -> Problem:
    content = [{"type": "text", "text": "say it"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    body = {"model": NOVA, "messages": [{"role": "user", "content": content}]}
    return whole(client.send("/v1/chat/completions", body), "said it")


def kind_long(client: Client) -> Problem:
    return status(client.chat("say " + "granite " * 20_000), 200)


def kind_new_name(client: Client) -> Problem:
    """A model that has no row."""
    word = fresh()
    return whole(client.chat(f"say {word}", f"vendor.{word}-v1:0"), f"said {word}")


def kind_made_up_region(client: Client) -> Problem:
    letters = "".join(client.rng.choices("abcdefghij", k=5))
    return status(client.chat("say x", f"bedrock/xx-{letters}-1/{NOVA}"), 400)


def kind_embeddings(client: Client) -> Problem:
    answer = client.send("/v1/embeddings", {"model": TITAN, "input": ["a", "b", "c"], "dimensions": 256})
    return None if answer[0] == 200 and len(json.loads(answer[2])["data"]) == 3 else told(answer)


def native_body(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"text": text}]}]}


def kind_native(client: Client) -> Problem:
    answer = client.send(f"/bedrock/model/{NOVA}/converse", native_body("say it"))
    return None if answer[0] == 200 and json.loads(answer[2])["stopReason"] == "end_turn" else told(answer)


def kind_native_stream(client: Client) -> Problem:
    answer = client.send(f"/bedrock/model/{NOVA}/converse-stream", native_body("say it"))
    return None if answer[0] == 200 and answer[2] == b"".join(text_frames(["said ", "it"])) else told(answer)


def kind_native_refused(client: Client) -> Problem:
    answer = client.send(f"/bedrock/model/vendor.refused/converse", native_body("denied"))
    return None if (answer[0], answer[1].get("x-amzn-errortype")) == (403, "AccessDeniedException") else told(answer)


def kind_dry_run(client: Client) -> Problem:
    body = {"model": NOVA, "messages": [{"role": "user", "content": "say x"}]}
    return status(client.send("/v1/chat/completions", body, x_outcrop_dry_run="true"), 200)


def kind_count(client: Client) -> Problem:
    body = {"model": CLAUDE, "messages": [{"role": "user", "content": "say x"}]}
    return status(client.send("/v1/chat/completions/input_tokens", body), 200)


def kind_models(client: Client) -> Problem:
    return status(client.send(client.rng.choice(["/v1/models", "/v1/models/nova-lite", "/readyz"]), b"", "GET"), 200)


def kind_bad_request(client: Client) -> Problem:
    bodies: list[Any] = [
        b"{",
        b"\xff\xfe",
        {"model": NOVA},
        {"model": NOVA, "messages": [{"role": fresh(), "content": "x"}]},
        {"model": NOVA, "messages": [{"role": "user", "content": "x"}], "temperature": "hot"},
        {"model": NOVA, "messages": [{"role": "user", "content": "x"}], "n": 1000},
    ]
    return status(client.send("/v1/chat/completions", client.rng.choice(bodies)), 400)


def kind_nowhere(client: Client) -> Problem:
    return status(client.send(f"/v1/{fresh()}", {}), 404) or status(client.send("/v1/embeddings", b"", "GET"), 405)


def kind_invalid(client: Client) -> Problem:
    return status(client.chat("invalid", "vendor.invalid", stream=client.rng.random() < 0.5), 400)


def kind_down(client: Client) -> Problem:
    return status(client.chat("down", "vendor.down"), 503)


def kind_throttled(client: Client) -> Problem:
    return status(client.chat("throttled", "vendor.throttled"), 429)


def kind_first_throttled(client: Client) -> Problem:
    """Retried, unless the retry budget is used up."""
    return status(client.chat(f"first-throttled {fresh()}", "vendor.first"), 200, 429)


def kind_hangs_up(client: Client) -> Problem:
    return status(client.chat("hangs-up", "vendor.hangs"), 503)


def kind_page(client: Client) -> Problem:
    return status(client.chat("page", "vendor.page"), 502)


def kind_breaks_off(client: Client) -> Problem:
    how = client.rng.choice(["cut", "raises", "damaged"])
    problem = breaks_off(client.chat(how, f"vendor.{how}", stream=True))
    return problem and f"{how}: {problem}"


def kind_leaves(client: Client) -> Problem:
    client.leave("lingers", client.rng.random() < 0.5)
    return None


KINDS: dict[str, Callable[[Client], Problem]] = {
    name.removeprefix("kind_"): kind for name, kind in list(globals().items()) if name.startswith("kind_")
}
