"""LlamaIndex through its openai-like packages: chat, streams, tools, typed results, embeddings."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.tools import FunctionTool, ToolMetadata
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel, create_model

from invented import InventedTool, request_for, tools, words
from outcrop_process import Outcrop
from page import set_up
from samples import CLAUDE, NOVA


class Sample(BaseModel):
    """A rock in a collection."""

    name: str
    weight: int


@pytest.fixture(params=[NOVA, CLAUDE])
def llm(request: pytest.FixtureRequest, base_url: str) -> OpenAILike:
    return OpenAILike(
        model=request.param,
        api_base=base_url,
        api_key="any",
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
        context_window=100_000,
    )


def test_the_model_of_the_page(gateway: Outcrop, rng: random.Random) -> None:
    [name] = words(rng, 1)
    assert name in set_up("llamaindex", gateway.url)["llm"].complete(f"Who is {name}?").text


def offered(tool: InventedTool, run: Callable[..., str]) -> FunctionTool:
    fields = {name: (type(value), ...) for name, value in tool.arguments.items()}
    metadata = ToolMetadata(
        name=tool.name, description="A tool.", fn_schema=create_model("Arguments", **fields)
    )
    return FunctionTool(fn=run, metadata=metadata)


def test_text(llm: OpenAILike, rng: random.Random) -> None:
    [name] = words(rng, 1)
    assert name in llm.complete(f"Who is {name}?").text
    answer = llm.chat(
        [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content=name)]
    )
    assert name in (answer.message.content or "")


def test_stream(llm: OpenAILike, rng: random.Random) -> None:
    [name] = words(rng, 1)
    pieces = list(llm.stream_chat([ChatMessage(role="user", content=f"Tell me of {name}.")]))
    assert len(pieces) > 3
    text = "".join(piece.delta or "" for piece in pieces)
    assert name in text and pieces[-1].message.content == text

    async def later() -> str:
        stream = await llm.astream_complete(f"Tell me of {name}.")
        return "".join([piece.delta or "" async for piece in stream])

    assert asyncio.run(later()) == text


def test_text_completions(base_url: str, rng: random.Random) -> None:
    """The default of this client, without `is_chat_model`."""
    llm = OpenAILike(
        model=NOVA, api_base=base_url, api_key="any", max_retries=0, context_window=100_000, max_tokens=200
    )
    [name] = words(rng, 1)
    assert name in llm.complete(f"Who is {name}?").text
    pieces = list(llm.stream_complete(f"Tell me of {name}."))
    assert len(pieces) > 3 and name in pieces[-1].text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_two_tools(llm: OpenAILike, rng: random.Random, stream: bool) -> None:
    wanted, results = tools(rng), words(rng, 2)
    given = [
        offered(tool, lambda result=result, **_: result)
        for tool, result in zip(wanted, results, strict=True)
    ]
    text = request_for(wanted)
    history = [ChatMessage(role="user", content=text)]
    answer: ChatResponse
    if stream:
        [*_, answer] = llm.stream_chat_with_tools(
            given, chat_history=history, allow_parallel_tool_calls=True
        )
    else:
        answer = llm.chat_with_tools(given, chat_history=history, allow_parallel_tool_calls=True)
    calls = llm.get_tool_calls_from_response(answer)
    assert [(call.tool_name, call.tool_kwargs) for call in calls] == [
        (tool.name, tool.arguments) for tool in wanted
    ]
    history.append(answer.message)
    for call, result in zip(calls, results, strict=True):
        history.append(
            ChatMessage(
                role="tool",
                content=result,
                additional_kwargs={"tool_call_id": call.tool_id, "name": call.tool_name},
            )
        )
    final = llm.chat_with_tools(given, chat_history=history).message.content or ""
    assert all(result in final for result in results), final


def test_predict_and_call(llm: OpenAILike, rng: random.Random) -> None:
    """The tool is really run, with the arguments of the text."""
    [tool] = tools(rng, 1)
    received: list[dict[str, object]] = []

    def run(**arguments: object) -> str:
        received.append(arguments)
        return "done"

    answer = llm.predict_and_call([offered(tool, run)], user_msg=request_for([tool]))
    assert received == [tool.arguments]
    assert answer.response == "done"


@pytest.mark.parametrize("native", [False, True], ids=["by tool", "by schema"])
def test_typed_result(llm: OpenAILike, rng: random.Random, native: bool) -> None:
    [name], weight = words(rng, 1), rng.randrange(100, 10_000)
    llm.should_use_structured_outputs = native
    text = f'Describe the sample: name "{name}", weight {weight}.'
    answer = llm.as_structured_llm(Sample).complete(text)
    assert answer.raw == Sample(name=name, weight=weight)


@pytest.mark.parametrize("model", ["amazon.titan-embed-text-v2:0", "cohere.embed-english-v3"])
def test_embeddings(base_url: str, rng: random.Random, model: str) -> None:
    embedder = OpenAILikeEmbedding(
        model_name=model, api_base=base_url, api_key="any", embed_batch_size=8, max_retries=0
    )
    texts = words(rng, 20)
    vectors = embedder.get_text_embedding_batch(texts)
    assert len(vectors) == len(texts)
    assert embedder.get_text_embedding(texts[13]) == pytest.approx(vectors[13], abs=1e-6)
    later = asyncio.run(embedder.aget_query_embedding(texts[13]))
    assert later == pytest.approx(vectors[13], abs=1e-6)
