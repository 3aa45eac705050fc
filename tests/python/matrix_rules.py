"""Rules of single makers that are missing in the service model and the emulator, from their
documentation and from other clients' code. Each reads a Converse body and the model's name, and yields
the violations."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

Rule = Callable[[str, dict[str, Any]], Iterator[str]]

MEDIA = {"image", "document", "video"}
# What a tool result may hold besides text and JSON.
RESULT_MEDIA: list[tuple[str, set[str]]] = [
    (r"anthropic\.|meta\.", {"image", "document"}),
    (r"amazon\.nova", {"image"}),
    (r"mistral\.", {"document"}),
    (r"qwen\.|moonshot|openai\.", set()),
]
ORDER = ["reasoningContent", "text", "toolUse"]
LOOKAROUND = re.compile(r"\(\?(=|!|<=|<!)")
PLAIN_PATTERNS = re.compile(r"xai\.|moonshotai\.kimi-k3")
NO_DEFINITIONS = re.compile(r"amazon\.nova|openai\.gpt-oss")


def blocks(body: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    """Every block of this kind."""
    for message in body["messages"]:
        yield from (block[kind] for block in message["content"] if kind in block)


def specs(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every tool."""
    tools = body.get("toolConfig", {}).get("tools", [])
    yield from (tool["toolSpec"] for tool in tools if "toolSpec" in tool)


def patterns(schema: Any) -> Iterator[str]:
    """Every regular expression of a schema."""
    if isinstance(schema, dict):
        yield from ([schema["pattern"]] if isinstance(schema.get("pattern"), str) else [])
        for member in schema.values():
            yield from patterns(member)
    elif isinstance(schema, list):
        for item in schema:
            yield from patterns(item)


def results_hold_something(_: str, body: dict[str, Any]) -> Iterator[str]:
    for result in blocks(body, "toolResult"):
        if not result["content"]:
            yield "an empty tool result"
        if any(not part.get("text", "x").strip() for part in result["content"]):
            yield "a tool result with blank text"


def results_hold_what_the_maker_reads(model: str, body: dict[str, Any]) -> Iterator[str]:
    for pattern, taken in RESULT_MEDIA:
        if re.match(pattern, model):
            held = {kind for result in blocks(body, "toolResult") for part in result["content"] for kind in part}
            yield from (f"{kind} in a tool result" for kind in sorted(held & MEDIA - taken))


def little_stands_beside_results(model: str, body: dict[str, Any]) -> Iterator[str]:
    for message in body["messages"]:
        kinds = {kind for block in message["content"] for kind in block}
        if model.startswith("anthropic.") and "toolResult" in kinds:
            yield from (f"{kind} beside a tool result" for kind in sorted(kinds & {"document", "video"}))


def thoughts_then_text_then_calls(_: str, body: dict[str, Any]) -> Iterator[str]:
    for message in body["messages"]:
        kinds = [kind for block in message["content"] for kind in block if kind in ORDER]
        # In a turn merged from several, text may follow a call.
        if message["role"] == "assistant" and "reasoningContent" in kinds[1:] and kinds[0] != "reasoningContent":
            yield f"thoughts behind {kinds[0]}"


def schemas_are_what_the_maker_reads(model: str, body: dict[str, Any]) -> Iterator[str]:
    for spec in specs(body):
        schema = spec["inputSchema"]["json"]
        text = json.dumps(schema)
        if model.startswith("amazon.nova"):
            for key in schema.keys() - {"type", "properties", "required"}:
                yield f"{key} at the root of the schema of {spec['name']}"
        if NO_DEFINITIONS.match(model) and '"$ref"' in text:
            yield f"$ref in the schema of {spec['name']}"
        looks_around = any(LOOKAROUND.search(pattern) for pattern in patterns(schema))
        if looks_around and (PLAIN_PATTERNS.match(model) or spec.get("strict")):
            yield f"a pattern that looks around in the schema of {spec['name']}"


def thinking_leaves_sampling_alone(model: str, body: dict[str, Any]) -> Iterator[str]:
    fields, config = body.get("additionalModelRequestFields", {}), body.get("inferenceConfig", {})
    thinks = fields.get("thinking", {}).get("type") in {"enabled", "adaptive"}
    if model.startswith("anthropic.") and thinks and "top_k" in fields:
        yield "top_k beside thinking"
    if fields.get("reasoningConfig", {}).get("maxReasoningEffort") == "high":
        yield from (f"{name} beside the highest effort" for name in config.keys() & {"maxTokens", "temperature", "topP"})


def betas_stand_once(_: str, body: dict[str, Any]) -> Iterator[str]:
    betas = body.get("additionalModelRequestFields", {}).get("anthropic_beta", [])
    if len(set(betas)) < len(betas):
        yield "a beta twice"


RULES: list[Rule] = [
    results_hold_something,
    results_hold_what_the_maker_reads,
    little_stands_beside_results,
    thoughts_then_text_then_calls,
    schemas_are_what_the_maker_reads,
    thinking_leaves_sampling_alone,
    betas_stand_once,
]


def rule_problems(model: str, body: dict[str, Any]) -> list[str]:
    """The violations in a body for this model, by its id without region prefix."""
    return [problem for rule in RULES for problem in rule(model, body)]
