"""Checks answers against OpenAI's own schemas (openai_schemas.json, MIT).

The schemas are applied strictly: a member that is in neither them nor `EXTENSIONS` is a problem, so
that every addition to an answer is listed here.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

COMPLETION = "CreateChatCompletionResponse"
CHUNK = "CreateChatCompletionStreamResponse"
EMBEDDINGS = "CreateEmbeddingResponse"
MODERATION = "CreateModerationResponse"
MODELS = "ListModelsResponse"
MODEL = "Model"
ERROR = "ErrorResponse"

STRING: dict[str, Any] = {"type": ["string", "null"]}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
DETAIL = {
    "type": "object",
    "required": ["type", "index", "format"],
    "properties": {
        "type": {"type": "string", "enum": ["reasoning.text", "reasoning.summary", "reasoning.encrypted"]},
        "id": STRING,
        "format": {"type": "string"},
        "index": {"type": "integer", "minimum": 0},
        "text": STRING,
        "summary": STRING,
        "signature": STRING,
        "data": STRING,
    },
}
THOUGHTS = {
    "reasoning_content": STRING,
    "reasoning_details": {"type": "array", "items": DETAIL},
}
# `outcrop` of a choice or a result: Bedrock's own values for which OpenAI has no field.
OURS = {"outcrop": {"type": "object"}}
# Additions to an answer, by their location.
EXTENSIONS: dict[str, dict[str, Any]] = {
    "ChatCompletionResponseMessage": THOUGHTS,
    "ChatCompletionStreamResponseDelta": {
        **THOUGHTS,
        "annotations": {"type": "array", "items": {"type": "object"}},
    },
    "CreateChatCompletionResponse.choices": OURS,
    "CreateChatCompletionStreamResponse.choices": OURS,
    # The results of the guardrail or the checks, in Bedrock's terms.
    "CreateModerationResponse.results": OURS,
    "CompletionUsage.prompt_tokens_details": {
        "cache_creation_token_details": {
            "type": "object",
            "properties": {"ephemeral_5m_input_tokens": COUNT, "ephemeral_1h_input_tokens": COUNT},
        },
    },
    "Model": {
        "shutdown_date": STRING,
        "capabilities": {"type": "object"},
        "context_length": COUNT,
        "max_output_tokens": COUNT,
        "lifecycle": {"type": "object"},
        "prices": {"type": "object"},
        "stands_for": STRING,
    },
}
# A schema that allows less than its examples: the streamed call of a custom tool.
PIECES = {
    "ChatCompletionMessageToolCallChunk": {
        "type": {"type": "string", "enum": ["function", "custom"]},
        "custom": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "input": {"type": "string"}},
            "additionalProperties": False,
        },
    }
}


def problems(schema: str, value: Any) -> list[str]:
    """The problems of an answer with their locations; empty for a valid one."""
    found = validator(schema).iter_errors(value)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


@cache
def validator(schema: str) -> Draft202012Validator:
    """The validator of one of the schemas."""
    return Draft202012Validator({"$ref": f"#/components/schemas/{schema}", **document()})


@cache
def document() -> dict[str, Any]:
    """All schemas, made strict."""
    path = Path(__file__).with_name("openai_schemas.json")
    schemas = json.loads(path.read_text())["components"]["schemas"]
    for place, members in [*EXTENSIONS.items(), *PIECES.items()]:
        name, *path = place.split(".")
        schema = schemas[name]
        for part in path:
            schema = schema["properties"][part]
            schema = schema.get("items", schema)
        schema["properties"].update(members)
    return {"components": {"schemas": {name: strict(schema) for name, schema in schemas.items()}}}


def strict(schema: Any) -> Any:
    """Forbids unknown members, and converts OpenAPI's older notation of null."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items() if key != "nullable"}
    if "properties" in made and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    if schema.get("nullable") is True and "type" not in made:
        return {"anyOf": [made, {"type": "null"}]}
    if schema.get("nullable") is True:
        made["type"] = [made["type"], "null"]
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
    return made
