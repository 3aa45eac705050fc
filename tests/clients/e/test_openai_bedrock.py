"""openai-python's Bedrock mode: `/openai/v1` with a bearer key, and with signatures for both of Bedrock's services."""

from __future__ import annotations

import random
from typing import Any

import openai
import pytest
from openai.providers import bedrock

from aws_environment import REGION
from invented import request_for, tools, words
from outcrop_process import Outcrop
from page import set_up
from samples import CLAUDE, ECHO, NOVA

TITAN = "amazon.titan-embed-text-v2:0"


def pair(key: dict[str, Any]) -> dict[str, str]:
    ours = key["outcrop"]
    return {"access_key_id": ours["aws_access_key_id"], "secret_access_key": ours["aws_secret_access_key"]}


def signing(keyed: Outcrop, **settings: Any) -> openai.OpenAI:
    provider = bedrock(base_url=f"{keyed.url}/openai/v1", region=REGION, **settings)
    return openai.OpenAI(provider=provider, max_retries=0)


@pytest.fixture(params=["page", "bearer", "mantle", "runtime"])
def client(request: pytest.FixtureRequest, gateway: Outcrop, keyed: Outcrop, key: dict[str, Any]) -> openai.OpenAI:
    """The client of the page, and clients with each credential of a key."""
    if request.param == "page":
        return set_up("openai-python-bedrock", gateway.url)["client"].with_options(max_retries=0)
    if request.param == "bearer":
        return signing(keyed, api_key=key["key"])
    return signing(keyed, endpoint=request.param, **pair(key))


def test_chat_and_its_stream(client: openai.OpenAI, rng: random.Random) -> None:
    [name] = words(rng, 1)
    request: Any = {"model": NOVA, "messages": [{"role": "user", "content": f"Who is {name}?"}]}
    whole = client.chat.completions.create(**request).choices[0].message.content or ""
    assert name in whole
    parts = [chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(stream=True, **request)]
    assert "".join(parts) == whole and len(parts) > 3


def test_completions_embeddings_and_models(client: openai.OpenAI) -> None:
    assert client.completions.create(model=ECHO, prompt="granite").choices[0].text == "granite"
    assert len(client.embeddings.create(model=TITAN, input="granite").data[0].embedding) > 100
    assert NOVA in {model.id for model in client.models.list()}
    assert client.models.retrieve(NOVA).id == NOVA


def test_a_tool_loop_of_responses(client: openai.OpenAI, rng: random.Random) -> None:
    wanted, results = tools(rng), words(rng, 2)
    offered: Any = [{"type": "function", **tool.definition["function"]} for tool in wanted]
    asked: list[Any] = [{"role": "user", "content": request_for(wanted)}]
    called = client.responses.create(model=CLAUDE, input=asked, tools=offered)
    calls = [item for item in called.output if item.type == "function_call"]
    assert [call.name for call in calls] == [tool.name for tool in wanted]
    outputs = [
        {"type": "function_call_output", "call_id": call.call_id, "output": result}
        for call, result in zip(calls, results, strict=True)
    ]
    with client.responses.stream(model=CLAUDE, input=[*asked, *called.output, *outputs], tools=offered) as stream:
        text = stream.get_final_response().output_text
    assert all(result in text for result in results), text


def test_another_secret_and_another_body_are_refused(keyed: Outcrop, key: dict[str, Any]) -> None:
    with signing(keyed, **{**pair(key), "secret_access_key": "x" * 40}) as client:
        with pytest.raises((openai.AuthenticationError, openai.PermissionDeniedError)):
            client.models.list()
        with pytest.raises((openai.AuthenticationError, openai.PermissionDeniedError)):
            client.chat.completions.create(model=NOVA, messages=[{"role": "user", "content": "Hi"}])
    with signing(keyed, api_key=f"{key['key']}x") as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
