"""langchain-aws through /bedrock: chat, streams, tools, typed answers, embeddings, and the ways it may be
told of the gateway and of who asks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, InvalidEndpointConfigurationError
from langchain_aws import BedrockEmbeddings, ChatBedrockConverse
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel

from authority import Authority, https_gateway
from aws_environment import DUMMY_KEYS, REGION, pointed_at
from invented import request_for, tools, words
from outcrop_process import Outcrop
from samples import CLAUDE, NOVA

KEYS = {"aws_access_key_id": "AKIDDUMMY", "aws_secret_access_key": "dummy"}
APPLICATION_PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/emulator0001"


class Sample(BaseModel):
    """A rock in a collection."""

    name: str
    weight: int


def chat(url: str, model: str, **more: Any) -> ChatBedrockConverse:
    settings = {"region_name": REGION, "endpoint_url": url, "max_retries": 0, **KEYS, **more}
    return ChatBedrockConverse(model=model, **settings)


@pytest.fixture(params=[NOVA, CLAUDE])
def model(request: pytest.FixtureRequest, native_url: str) -> ChatBedrockConverse:
    return chat(native_url, request.param)


def streamed(model: Any, asked: Any) -> tuple[AIMessageChunk, int]:
    """A streamed answer put together, and in how many pieces with text or arguments it came."""
    whole, pieces = None, 0
    for chunk in model.stream(asked):
        whole = chunk if whole is None else whole + chunk
        pieces += bool(chunk.text or chunk.tool_call_chunks)
    assert whole is not None
    return whole, pieces


def test_invoke(model: ChatBedrockConverse, rng: random.Random) -> None:
    [name] = words(rng, 1)
    answer = model.invoke([SystemMessage("Be brief."), HumanMessage(f"Who is {name}?")])
    assert name in answer.text
    assert answer.response_metadata["stopReason"] == "end_turn"
    usage = answer.usage_metadata
    assert usage and usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0


def test_stream(model: ChatBedrockConverse, rng: random.Random) -> None:
    [name] = words(rng, 1)
    asked = [HumanMessage(f"Tell me of {name}.")]
    whole, pieces = streamed(model, asked)
    assert whole.text == model.invoke(asked).text and name in whole.text
    assert pieces > 3, "it came in one piece"
    assert whole.usage_metadata and whole.usage_metadata["output_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_two_tools_and_back(model: ChatBedrockConverse, rng: random.Random, stream: bool) -> None:
    wanted, results = tools(rng, joints="_"), words(rng, 2)
    bound = model.bind_tools([tool.definition for tool in wanted])

    def say(messages: list[Any]) -> AIMessage:
        return streamed(bound, messages)[0] if stream else bound.invoke(messages)

    messages: list[Any] = [HumanMessage(request_for(wanted))]
    calls = say(messages)
    assert [(call["name"], call["args"]) for call in calls.tool_calls] == [
        (tool.name, tool.arguments) for tool in wanted
    ]
    messages.append(calls)
    messages += [
        ToolMessage(result, tool_call_id=call["id"])
        for call, result in zip(calls.tool_calls, results, strict=True)
    ]
    final = say(messages)
    assert not final.tool_calls and all(result in final.text for result in results), final.text


def test_typed_answer(model: ChatBedrockConverse, rng: random.Random) -> None:
    check_typed(model, rng, "function_calling")


def test_typed_answer_by_schema(native_url: str, rng: random.Random) -> None:
    """Bedrock's own structured output, of the models that have it."""
    check_typed(chat(native_url, CLAUDE), rng, "json_schema")


def check_typed(model: ChatBedrockConverse, rng: random.Random, method: Any) -> None:
    [name], weight = words(rng, 1), rng.randrange(100, 10_000)
    found = model.with_structured_output(Sample, method=method).invoke(
        f'Describe the sample: name "{name}", weight {weight}.'
    )
    assert found == Sample(name=name, weight=weight)


def test_alias(native_url: str, rng: random.Random) -> None:
    """LangChain streams what it knows by the name's first part; `provider` tells it for an alias."""
    [name] = words(rng, 1)
    plain = chat(native_url, "nova-lite")
    assert name in plain.invoke(name).text
    assert streamed(plain, name)[1] == 1, "`provider` has become needless: see docs/native-api.md"
    named = chat(native_url, "nova-lite", provider="amazon")
    assert streamed(named, name)[1] > 3


def test_application_profile(native_url: str, rng: random.Random) -> None:
    """For these LangChain reads the profile first, from the control plane at the same address."""
    [name] = words(rng, 1)
    model = chat(native_url, APPLICATION_PROFILE, provider="anthropic")
    assert model.base_model_id and model.base_model_id.startswith("anthropic.")
    assert name in model.invoke(name).text


def test_exceptions(native_url: str) -> None:
    for name, code in (("emulator.throttle", "ThrottlingException"), ("no.such-model-v9:0", "ValidationException")):
        with pytest.raises(ClientError) as caught:
            chat(native_url, name, provider="amazon").invoke("x")
        assert caught.value.response["Error"]["Code"] == code


EMBEDDERS = ["amazon.titan-embed-text-v2:0", "cohere.embed-english-v3", "cohere.embed-multilingual-v3"]


@pytest.mark.parametrize("model_id", EMBEDDERS)
def test_embeddings(native_url: str, rng: random.Random, model_id: str) -> None:
    embedder = BedrockEmbeddings(model_id=model_id, region_name=REGION, endpoint_url=native_url, **KEYS)
    texts = words(rng, 5)
    several = embedder.embed_documents(texts)
    assert [len(vector) for vector in several] == [1024] * 5
    assert len({tuple(vector) for vector in several}) == 5
    assert embedder.embed_documents([texts[3]])[0] == pytest.approx(several[3], abs=1e-6)
    assert len(embedder.embed_query(texts[3])) == 1024


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_only_the_environment(
    gateway: Outcrop, monkeypatch: pytest.MonkeyPatch, rng: random.Random, stream: bool
) -> None:
    for name, value in {**pointed_at(gateway.url), **DUMMY_KEYS}.items():
        monkeypatch.setenv(name, value)
    [word] = words(rng, 1)
    model = ChatBedrockConverse(model=NOVA)
    assert word in (streamed(model, word)[0] if stream else model.invoke(word)).text
    assert len(BedrockEmbeddings(model_id=EMBEDDERS[0]).embed_query(word)) == 1024


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of a gateway that speaks https, and whom to trust."""
    authority = Authority(tmp_path_factory.mktemp("tls"))
    with https_gateway(authority) as (_, url):
        yield url, authority.root


def test_a_bearer_key_over_https(
    secure: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, rng: random.Random
) -> None:
    url, root = secure
    monkeypatch.setenv("AWS_CA_BUNDLE", str(root))
    [name] = words(rng, 1)
    settings = {"region_name": REGION, "endpoint_url": f"{url}/bedrock"}
    given = ChatBedrockConverse(model=NOVA, api_key="any-key", **settings)
    assert name in given.invoke(name).text
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "any-key")
    found = ChatBedrockConverse(model=NOVA, **settings)
    assert name in streamed(found, name)[0].text


def test_a_bearer_key_over_http_is_refused_by_boto3(native_url: str) -> None:
    """Before anything is sent: docs/native-api.md says so."""
    model = ChatBedrockConverse(model=NOVA, region_name=REGION, endpoint_url=native_url, api_key="any-key")
    with pytest.raises(InvalidEndpointConfigurationError, match="requires an HTTPS endpoint"):
        model.invoke("x")
