"""Checks for each kind of chat case.

Expectations are derived from the case itself, so that a case with other words, names or orders is
checked too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from shared_cases import Case, Turn

Block = dict[str, Any]
CALL_TOKENS = re.compile(r"functions\.([\w-]+):\d+\s*<\|tool_call_argument_begin\|>\s*(\{.*?\})\s*<\|tool_call_end\|>")


def kind_of(block: Block) -> str:
    return next(iter(block))


def mark(block: Block) -> str:
    """A block in a comparable form."""
    if "reasoningContent" in block:
        thought = block["reasoningContent"]
        return "R:" + (thought.get("reasoningText", {}).get("text") or thought.get("redactedContent") or "?")
    if "toolUse" in block:
        return f"T:{block['toolUse']['toolUseId']}"
    return "X" if "text" in block else kind_of(block)


def assistants(body: dict[str, Any]) -> list[str]:
    """All blocks of the assistant's turns, in order, without cache points."""
    turns = [message["content"] for message in body["messages"] if message["role"] == "assistant"]
    return [mark(block) for turn in turns for block in turn if "cachePoint" not in block]


def answered(turn: Turn) -> list[str]:
    """The blocks of a reply, in order."""
    if isinstance(turn.reply, dict):
        return [mark(block) for block in turn.reply["content"]]
    blocks: dict[int, Block] = {}
    for event in turn.reply:
        start, delta = event.get("contentBlockStart"), event.get("contentBlockDelta")
        if start:
            blocks[start["contentBlockIndex"]] = dict(start["start"])
        if delta:
            at, piece = delta["contentBlockIndex"], delta["delta"]
            if "text" in piece:
                blocks[at] = {"text": "x"}
            elif "reasoningContent" in piece:
                thought = blocks.setdefault(at, {"reasoningContent": {"reasoningText": {"text": ""}}})["reasoningContent"]
                if "redactedContent" in piece["reasoningContent"]:
                    blocks[at] = {"reasoningContent": piece["reasoningContent"]}
                else:
                    thought["reasoningText"]["text"] += piece["reasoningContent"].get("text", "")
    return [mark(blocks[at]) for at in sorted(blocks)]


def interleaved_thoughts(_: Case, turns: list[Turn]) -> None:
    """The order of the reply, or no reasoning; without a reply the order is unknown."""
    sent = assistants(turns[-1].ok().body)
    thoughts = [block for block in sent if block.startswith("R:")]
    if not thoughts:
        return
    assert len(turns) > 1, f"the order cannot be known, and was guessed: {sent}"
    assert sent == answered(turns[0])


def sealed_thoughts(_: Case, turns: list[Turn]) -> None:
    wanted = answered(turns[0].ok())
    data = [block[2:] for block in wanted if block.startswith("R:")]
    details = turns[0].told.message().get("reasoning_details") or []
    assert [one["data"] for one in details if one.get("data")] == data, details
    assert assistants(turns[-1].ok().body) == wanted


def gross_usage(case: Case, turns: list[Turn]) -> None:
    """Bedrock's counts include the cached tokens already."""
    counted, usage = case["reply"]["usage"], turns[0].ok().told.message()["usage"]
    assert usage["prompt_tokens"] == counted["inputTokens"], usage
    assert usage["total_tokens"] == counted["inputTokens"] + counted["outputTokens"], usage
    details = usage.get("prompt_tokens_details") or {}
    assert details.get("cached_tokens", 0) == counted.get("cacheReadInputTokens", 0), usage


def call_tokens(case: Case, turns: list[Turn]) -> None:
    """A call that the model wrote as tokens becomes a call."""
    written = json.dumps(case.get("reply") or case["reply_frames"]).encode().decode("unicode_escape")
    calls = [(name, json.loads(arguments.replace("\\", ""))) for name, arguments in CALL_TOKENS.findall(written)]
    assert calls, "the case holds no call"
    message = turns[0].ok().told.message()
    shown = f"{message.get('content') or ''}{message.get('reasoning_content') or ''}"
    assert "<|" not in shown, shown
    made = [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message.get("tool_calls") or []]
    assert made == calls and message["finish"] == "tool_calls", message


def text_beside_call(_: Case, turns: list[Turn]) -> None:
    for turn in turns:
        messages = turn.ok().body["messages"]
        roles = [message["role"] for message in messages]
        assert all(one != other for one, other in zip(roles, roles[1:])), roles
        if "llama" not in turn.request["model"] and "mistral" not in turn.request["model"]:
            continue
        for message in messages:
            kinds = {kind_of(block) for block in message["content"]}
            assert not {"text", "toolUse"} <= kinds, [sorted(map(kind_of, one["content"])) for one in messages]


def hyphen_names(_: Case, turns: list[Turn]) -> None:
    """Each tool has one name without a hyphen everywhere; the client sees its own name."""
    for turn in turns:
        body = turn.ok().body
        declared = [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"] if "toolSpec" in tool]
        asked = [tool["function"]["name"] for tool in turn.request["tools"]]
        assert not any("-" in name for name in declared) and len(set(declared)) == len(asked), declared
        named = [block["toolUse"]["name"] for message in body["messages"] for block in message["content"] if "toolUse" in block]
        choice = body["toolConfig"].get("toolChoice", {}).get("tool", {})
        named += [choice["name"]] if choice else []
        assert set(named) <= set(declared), named
        calls = turn.told.message().get("tool_calls") or []
        assert all(call["function"]["name"] in asked for call in calls), calls
        wants_call = isinstance(turn.reply, dict) and any("toolUse" in block for block in turn.reply["content"])
        assert bool(calls) == wants_call


def nova_cache_point(case: Case, turns: list[Turn]) -> None:
    for turn in turns:
        body = turn.ok().body
        for number, message in enumerate(body["messages"]):
            for before, block in zip([{}, *message["content"]], message["content"]):
                assert "cachePoint" not in block or "text" in before, f"message {number}: behind {list(before)}"
        if "cache_control" in json.dumps(case["request"]["messages"]):
            assert "cachePoint" in json.dumps(body) or "cache" in turn.told.ignored, turn.told.headers


def foreign_parts(case: Case, turns: list[Turn]) -> None:
    """User content arrives; assistant content arrives or is named as ignored."""
    turn = turns[-1].ok()
    sent = json.dumps(turn.body, ensure_ascii=False)
    for message in case["request"]["messages"]:
        for part in message["content"] if isinstance(message.get("content"), list) else []:
            text = part.get("text")
            data = re.findall(r"[A-Za-z0-9+/=]{40,}", json.dumps(part.get("source") or part.get("image_url") or ""))
            if message["role"] == "user":
                assert not isinstance(text, str) or json.dumps(text, ensure_ascii=False)[1:-1] in sent, part
                assert all(one in sent for one in data), f"the data of {part['type']} is not there"
            elif part.get("type") not in ("text", "refusal"):
                words = text or part.get("thinking") or ""
                assert (words and str(words) in sent) or turn.told.ignored or "x-outcrop-thinking" in turn.told.headers, part


def cursor_shapes(case: Case, turns: list[Turn]) -> None:
    body, request = turns[-1].ok().body, case["request"]
    asked = {tool.get("name") or tool["function"]["name"] for tool in request["tools"]}
    tools = [tool["toolSpec"] for tool in body["toolConfig"]["tools"] if "toolSpec" in tool]
    assert {tool["name"] for tool in tools} == asked
    for tool in request["tools"]:
        schema = tool.get("input_schema") or tool.get("parameters") or tool.get("function", {}).get("parameters") or {}
        for name in schema.get("properties", {}):
            assert any(name in one["inputSchema"]["json"]["properties"] for one in tools), name
    parts = [part for message in request["messages"] if isinstance(message["content"], list) for part in message["content"]]
    sent = [block for message in body["messages"] for block in message["content"]]
    calls = [block["toolUse"] for block in sent if "toolUse" in block]
    results = [block["toolResult"]["toolUseId"] for block in sent if "toolResult" in block]
    for part in parts:
        if part["type"] == "tool_use":
            assert (part["name"], part["input"]) in [(call["name"], call["input"]) for call in calls]
        elif part["type"] == "tool_result":
            assert results == [call["toolUseId"] for call in calls]


def draft_4(_: Case, turns: list[Turn]) -> None:
    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            for name in ("exclusiveMinimum", "exclusiveMaximum", "required"):
                assert not isinstance(schema.get(name), bool), schema
            for value in schema.values():
                walk(value)

    for tool in turns[0].ok().body["toolConfig"]["tools"]:
        walk(tool.get("toolSpec", {}).get("inputSchema", {}).get("json"))


def video_as_image(_: Case, turns: list[Turn]) -> None:
    sent = [block for message in turns[0].ok().body["messages"] for block in message["content"]]
    assert any("video" in block for block in sent), [kind_of(block) for block in sent]


CHECKS: dict[str, Callable[[Case, list[Turn]], None]] = {
    "interleaved-thoughts": interleaved_thoughts,
    "sealed-thoughts": sealed_thoughts,
    "gross-usage": gross_usage,
    "kimi-call-tokens": call_tokens,
    "text-beside-call": text_beside_call,
    "nova-hyphen-names": hyphen_names,
    "nova-cache-point": nova_cache_point,
    "foreign-parts": foreign_parts,
    "cursor-shapes": cursor_shapes,
    "draft-4-schema": draft_4,
    "video-as-image-url": video_as_image,
}
