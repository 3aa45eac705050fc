"""Haystack components: the generators of chat completions and of Responses with tools and JSON, and the two embedders."""

from __future__ import annotations

import json
import random

import pytest
from haystack import Document
from haystack.components.agents import Agent
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator, OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage, StreamingChunk
from haystack.tools import Tool
from haystack.utils import Secret
from pydantic import BaseModel

from invented import InventedTool, request_for, tools, words
from outcrop_process import Outcrop
from page import set_up
from samples import CLAUDE, NOVA

KEY = Secret.from_token("any")


CLASSES = {"haystack": OpenAIChatGenerator, "haystack-responses": OpenAIResponsesChatGenerator}
Generator = OpenAIChatGenerator | OpenAIResponsesChatGenerator


@pytest.fixture(params=[(block, model) for block in CLASSES for model in (NOVA, CLAUDE)], ids=" ".join)
def generator(request: pytest.FixtureRequest, base_url: str) -> Generator:
    """A generator of the class that a block of the page has."""
    block, model = request.param
    return CLASSES[block](api_key=KEY, model=model, api_base_url=base_url, max_retries=0)


@pytest.mark.parametrize("block", CLASSES)
def test_the_generator_of_the_page(gateway: Outcrop, rng: random.Random, block: str) -> None:
    [name] = words(rng, 1)
    generator = set_up(block, gateway.url)["generator"]
    [reply] = generator.run([ChatMessage.from_user(f"Who is {name}?")])["replies"]
    assert name in (reply.text or "") and isinstance(generator, CLASSES[block])


def offered(tool: InventedTool, result: str) -> Tool:
    return Tool(tool.name, "A tool.", tool.schema, lambda **_: result)


def test_text(generator: Generator, rng: random.Random) -> None:
    [name] = words(rng, 1)
    [reply] = generator.run([ChatMessage.from_system("Be brief."), ChatMessage.from_user(name)])[
        "replies"
    ]
    assert name in (reply.text or "")
    assert reply.meta["finish_reason"] == "stop" and reply.meta["usage"]["total_tokens"] > 0


def test_stream(generator: Generator, rng: random.Random) -> None:
    [name] = words(rng, 1)
    chunks: list[StreamingChunk] = []
    [reply] = generator.run(
        [ChatMessage.from_user(f"Tell me of {name}.")], streaming_callback=chunks.append
    )["replies"]
    assert name in (reply.text or "")
    assert "".join(chunk.content for chunk in chunks) == reply.text and len(chunks) > 3


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_agent_with_two_tools(
    generator: Generator, rng: random.Random, stream: bool
) -> None:
    wanted, results = tools(rng), words(rng, 2)
    agent = Agent(
        chat_generator=generator,
        tools=[offered(*pair) for pair in zip(wanted, results, strict=True)],
        streaming_callback=(lambda _: None) if stream else None,
    )
    messages = agent.run(messages=[ChatMessage.from_user(request_for(wanted))])["messages"]
    calls = [call for message in messages for call in message.tool_calls]
    assert [(call.tool_name, call.arguments) for call in calls] == [
        (tool.name, tool.arguments) for tool in wanted
    ]
    final = messages[-1].text or ""
    assert all(result in final for result in results), final


def test_typed_result(generator: Generator, rng: random.Random) -> None:
    class Sample(BaseModel):
        name: str
        weight: int

    [name], weight = words(rng, 1), rng.randrange(100, 10_000)
    [reply] = generator.run(
        [ChatMessage.from_user(f'Describe the sample: name "{name}", weight {weight}.')],
        generation_kwargs={("response_format" if isinstance(generator, OpenAIChatGenerator) else "text_format"): Sample},
    )["replies"]
    assert json.loads(reply.text or "") == {"name": name, "weight": weight}


@pytest.mark.parametrize("model", ["amazon.titan-embed-text-v2:0", "cohere.embed-english-v3"])
def test_embedders(base_url: str, rng: random.Random, model: str) -> None:
    texts = words(rng, 40)
    documents = OpenAIDocumentEmbedder(
        api_key=KEY, model=model, api_base_url=base_url, max_retries=0, progress_bar=False
    ).run([Document(content=text) for text in texts])["documents"]
    assert [document.content for document in documents] == texts
    text_embedder = OpenAITextEmbedder(
        api_key=KEY, model=model, api_base_url=base_url, max_retries=0
    )
    single = text_embedder.run(texts[33])["embedding"]
    assert single == pytest.approx(documents[33].embedding, abs=1e-6)
