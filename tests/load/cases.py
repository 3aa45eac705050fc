"""The requests that are measured, each with the Bedrock call that a null proxy sends in its place."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
EMBEDDER = "cohere.embed-v4:0"
PROMPT = "Explain in a few sentences why the sky is blue and the sunset is not."
CONNECTIONS = 16


@dataclass(frozen=True)
class Case:
    """One kind of request: `path` and `body` for the gateway, `call` and `call_body` for Bedrock itself."""

    name: str
    title: str
    path: str
    body: dict
    call: str
    call_body: dict
    requests: int = 2000
    connections: int = CONNECTIONS
    paced: bool = False
    peers: bool = False


def chat(content: object, **more: object) -> dict:
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], "max_tokens": 512, **more}


def converse(text: str) -> dict:
    return {"messages": [{"role": "user", "content": [{"text": text}]}], "inferenceConfig": {"maxTokens": 512}}


def words(count: int) -> str:
    """Text of about so many tokens, the same in every run."""
    some = random.Random(1)
    return " ".join(some.choice(("granite", "basalt", "gneiss", "slate", "chalk", "marble")) for _ in range(count))


def image(size: int) -> bytes:
    """Bytes that pass for a PNG."""
    head = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x04\x00\x00\x00\x04\x00\x08\x02\x00\x00\x00"
    return head + random.Random(2).randbytes(size - len(head))


def cases() -> list[Case]:
    once, streamed = f"/model/{MODEL}/converse", f"/model/{MODEL}/converse-stream"
    embedded = f"/model/{EMBEDDER}/invoke"
    long_prompt = words(100_000)
    picture = base64.b64encode(image(1024 * 1024)).decode()
    shown = [
        {"type": "text", "text": PROMPT},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
    ]
    with_image = converse(PROMPT)
    with_image["messages"][0]["content"].append({"image": {"format": "png", "source": {"bytes": picture}}})
    usage = {"stream": True, "stream_options": {"include_usage": True}}

    def embedding(count: int) -> tuple[dict, dict]:
        texts = [f"{PROMPT} {at}" for at in range(count)]
        body = {"texts": texts, "input_type": "search_document", "embedding_types": ["float"]}
        return {"model": EMBEDDER, "input": texts}, body

    few, many = embedding(2), embedding(90)
    message = {"model": MODEL, "max_tokens": 512, "messages": [{"role": "user", "content": PROMPT}]}
    chat_path = "/v1/chat/completions"
    return [
        Case("chat", "chat", chat_path, chat(PROMPT), once, converse(PROMPT), 4000, peers=True),
        Case("burst", "stream of 64 deltas in one burst", chat_path, chat(PROMPT, **usage), streamed,
             converse(PROMPT), 1500, peers=True),
        Case("paced", "the same, one event every 5 ms", chat_path, chat(PROMPT, **usage), streamed, converse(PROMPT),
             320, 32, paced=True, peers=True),
        Case("native", "native Converse", f"/bedrock{once}", converse(PROMPT), once, converse(PROMPT), 4000),
        Case("native-stream", "native ConverseStream, burst", f"/bedrock{streamed}", converse(PROMPT), streamed,
             converse(PROMPT), 1500),
        Case("responses", "responses, stream in one burst", "/v1/responses",
             {"model": MODEL, "input": PROMPT, "stream": True, "store": False}, streamed, converse(PROMPT), 1000),
        Case("messages", "messages", "/v1/messages", message, f"/model/{MODEL}/invoke", converse(PROMPT), 3000),
        Case("messages-stream", "messages, stream in one burst", "/v1/messages", {**message, "stream": True},
             f"/model/{MODEL}/invoke-with-response-stream", converse(PROMPT), 1000),
        Case("embeddings", "embeddings, 2 inputs", "/v1/embeddings", few[0], embedded, few[1], 1500),
        Case("embeddings-many", "embeddings, 90 inputs", "/v1/embeddings", many[0], embedded, many[1], 60, 4),
        Case("long", "chat, prompt of 100,000 tokens", chat_path, chat(long_prompt), once, converse(long_prompt), 200, 4),
        Case("image", "chat, image of 1 MB", chat_path, chat(shown), once, with_image, 100, 4),
    ]


def encoded(body: dict) -> bytes:
    return json.dumps(body).encode()
