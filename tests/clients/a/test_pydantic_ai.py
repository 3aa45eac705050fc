"""pydantic-ai agents on Responses, chat completions and Messages: text, tools, typed results in its three ways,
streams, embeddings."""

from __future__ import annotations

import random
from collections.abc import AsyncIterable

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, Embedder, NativeOutput, PromptedOutput, Tool, ToolOutput
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.messages import ModelMessage, ThinkingPart, ToolCallPart
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.openai import OpenAIProvider

from invented import InventedTool, request_for, tools, words
from outcrop_process import Outcrop
from page import set_up
from samples import CLAUDE, NOVA

CLASSES = {
    "pydantic-ai": OpenAIResponsesModel,
    "pydantic-ai-chat": OpenAIChatModel,
    "pydantic-ai-anthropic": AnthropicModel,
}


class Sample(BaseModel):
    """A rock in a collection."""

    name: str
    weight: int


@pytest.fixture()
def provider(base_url: str) -> OpenAIProvider:
    return OpenAIProvider(base_url=base_url, api_key="any")


@pytest.fixture(params=[(block, model) for block in CLASSES for model in (NOVA, CLAUDE)], ids=" ".join)
def model(request: pytest.FixtureRequest, gateway: Outcrop) -> Model:
    """The model of each block of the page, by another name."""
    block, name = request.param
    # Anthropic's class takes a model that it does not know for one without schemas.
    profile = {"profile": ModelProfile(supports_json_schema_output=True)} if block == "pydantic-ai-anthropic" else {}
    return CLASSES[block](name, provider=set_up(block, gateway.url)["provider"], **profile)


@pytest.mark.parametrize("block", CLASSES)
async def test_the_agent_of_the_page(gateway: Outcrop, rng: random.Random, block: str) -> None:
    [name] = words(rng, 1)
    assert name in (await set_up(block, gateway.url)["agent"].run(f"Who is {name}?")).output


def offered(tool: InventedTool, result: str) -> Tool[None]:
    """The invented tool as a function of the agent."""

    async def run(**_: object) -> str:
        return result

    return Tool.from_schema(run, tool.name, "A tool.", tool.schema)


def calls_in(messages: list[ModelMessage]) -> list[tuple[str, object]]:
    parts = [part for message in messages for part in message.parts]
    return [(p.tool_name, p.args_as_dict()) for p in parts if isinstance(p, ToolCallPart)]


async def test_text(model: Model, rng: random.Random) -> None:
    [name] = words(rng, 1)
    run = await Agent(model, instructions="Be brief.").run(f"Who is {name}?")
    assert name in run.output
    assert run.usage.input_tokens > 0 and run.usage.output_tokens > 0


async def test_stream(model: Model, rng: random.Random) -> None:
    [name] = words(rng, 1)
    async with Agent(model).run_stream(f"Tell me of {name}.") as run:
        pieces = [piece async for piece in run.stream_text(delta=True, debounce_by=None)]
    assert name in "".join(pieces) and len(pieces) > 3
    assert run.usage.output_tokens > 0, "the usage chunk did not arrive"


async def test_two_tools(model: Model, rng: random.Random) -> None:
    wanted, results = tools(rng), words(rng, 2)
    agent = Agent(model, tools=[offered(*pair) for pair in zip(wanted, results, strict=True)])
    run = await agent.run(request_for(wanted))
    assert calls_in(run.all_messages()) == [(tool.name, tool.arguments) for tool in wanted]
    assert all(result in run.output for result in results), run.output


async def test_another_turn(model: Model, rng: random.Random) -> None:
    wanted, results = tools(rng), words(rng, 2)
    agent = Agent(model, tools=[offered(*pair) for pair in zip(wanted, results, strict=True)])
    first = await agent.run(request_for(wanted))
    second = await agent.run(request_for(wanted), message_history=first.all_messages())
    assert calls_in(second.new_messages()) == [(tool.name, tool.arguments) for tool in wanted]
    assert all(result in second.output for result in results), second.output


@pytest.mark.parametrize("block", ["pydantic-ai", "pydantic-ai-anthropic"])
async def test_reasoning_goes_with_its_calls(gateway: Outcrop, rng: random.Random, block: str) -> None:
    wanted, results = tools(rng), words(rng, 2)
    settings = {
        "pydantic-ai": OpenAIResponsesModelSettings(openai_reasoning_effort="low", openai_reasoning_summary="auto"),
        "pydantic-ai-anthropic": AnthropicModelSettings(
            anthropic_thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=4000
        ),
    }[block]
    agent = Agent(
        CLASSES[block](CLAUDE, provider=set_up(block, gateway.url)["provider"]),
        tools=[offered(*pair) for pair in zip(wanted, results, strict=True)],
        model_settings=settings,
    )
    run = await agent.run(request_for(wanted))
    assert all(result in run.output for result in results), run.output
    thoughts = [part for message in run.all_messages() for part in message.parts if isinstance(part, ThinkingPart)]
    assert thoughts and thoughts[0].content
    # Of the Responses API it asks for capsules only for models that it knows.
    assert thoughts[0].signature or block == "pydantic-ai"


async def test_two_tools_streamed(model: Model, rng: random.Random) -> None:
    wanted, results = tools(rng), words(rng, 2)
    agent = Agent(model, tools=[offered(*pair) for pair in zip(wanted, results, strict=True)])
    events = 0

    async def watch(_: object, stream: AsyncIterable[object]) -> None:
        nonlocal events
        async for _ in stream:
            events += 1

    # `run_stream` would take the words before the calls for the final answer.
    run = await agent.run(request_for(wanted), event_stream_handler=watch)
    assert calls_in(run.all_messages()) == [(tool.name, tool.arguments) for tool in wanted]
    assert all(result in run.output for result in results), run.output
    assert events > 10, "nothing was streamed"


@pytest.mark.parametrize("way", [ToolOutput, NativeOutput, PromptedOutput])
async def test_typed_result(model: Model, rng: random.Random, way: type) -> None:
    [name], weight = words(rng, 1), rng.randrange(100, 10_000)
    agent = Agent(model, output_type=way(Sample))
    run = await agent.run(f'Describe the sample: name "{name}", weight {weight}.')
    assert run.output == Sample(name=name, weight=weight)


@pytest.mark.parametrize("way", [ToolOutput, NativeOutput])
async def test_typed_result_streamed(
    model: Model, rng: random.Random, way: type
) -> None:
    [name], weight = words(rng, 1), rng.randrange(100, 10_000)
    agent = Agent(model, output_type=way(Sample))
    text = f'Describe the sample: name "{name}", weight {weight}.'
    async with agent.run_stream(text) as run:
        assert await run.get_output() == Sample(name=name, weight=weight)


async def test_typed_result_after_a_tool(model: Model, rng: random.Random) -> None:
    """The agent's own answering tool stands beside the user's."""
    [tool], [result] = tools(rng, 1), words(rng, 1)

    class Finding(BaseModel):
        code: str

    agent = Agent(model, tools=[offered(tool, f'code "{result}"')], output_type=Finding)
    run = await agent.run(request_for([tool]))
    assert calls_in(run.all_messages())[0] == (tool.name, tool.arguments)
    assert run.output == Finding(code=result)


@pytest.mark.parametrize("model_id", ["amazon.titan-embed-text-v2:0", "cohere.embed-english-v3"])
async def test_embeddings(provider: OpenAIProvider, rng: random.Random, model_id: str) -> None:
    embedder = Embedder(OpenAIEmbeddingModel(model_id, provider=provider))
    texts = words(rng, 5)
    several = await embedder.embed_documents(texts)
    assert len(several.embeddings) == len(texts)
    single = await embedder.embed_documents([texts[3]])
    assert single.embeddings[0] == pytest.approx(several.embeddings[3], abs=1e-6)
