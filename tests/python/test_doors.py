"""What a newcomer meets first: unknown addresses in the log, Azure's client, and a gateway without credentials."""

from __future__ import annotations

import httpx
import pytest
from openai import AzureOpenAI, NotFoundError

from outcrop_process import Outcrop
from samples import ECHO

VERSION = "2024-10-21"
VECTORS = "amazon.titan-embed-text-v2:0"


def asking(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_unknown_addresses_stand_in_the_log(gateway: Outcrop) -> None:
    """Method and path, escaped and cut; no query string, which may hold a key."""
    for path in ("/v1/responses?key=hidden", "/v1/a%0Ab\"c", "/" + "x" * 2_000):
        assert httpx.post(f"{gateway.url}{path}", json={}).status_code == 404
    log = gateway.log()
    assert 'unknown method="POST" path="/v1/responses" ' in log
    assert "hidden" not in log
    assert 'path="/v1/a%0Ab%22c"' in log or 'path="/v1/a%0Ab\\"c"' in log
    assert f'path="/{"x" * 255}"' in log and "x" * 256 not in log


def test_azure_chat_by_model(gateway: Outcrop) -> None:
    """The deployment of the path is the model."""
    client = AzureOpenAI(azure_endpoint=gateway.url, api_key="unused", api_version=VERSION, max_retries=0)
    answer = client.chat.completions.create(model=ECHO, messages=asking("granite"))
    assert answer.choices[0].message.content == "granite" and answer.model == ECHO
    stream = client.chat.completions.create(model=ECHO, messages=asking("granite and basalt"), stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == "granite and basalt"
    assert client.models.list().data


def test_azure_chat_by_deployment(gateway: Outcrop) -> None:
    """A deployment of the client's counts before the model of a call."""
    client = AzureOpenAI(
        azure_endpoint=f"{gateway.url}/", azure_deployment=ECHO, api_key="unused", api_version=VERSION, max_retries=0
    )
    answer = client.chat.completions.create(model="gpt-4o", messages=asking("granite"))
    assert answer.choices[0].message.content == "granite" and answer.model == ECHO
    with pytest.raises(NotFoundError, match="not served here"):
        client.images.generate(prompt="granite")


def test_azure_embeddings(gateway: Outcrop) -> None:
    """Names with a colon travel in a path."""
    client = AzureOpenAI(azure_endpoint=gateway.url, azure_ad_token="unused", api_version=VERSION, max_retries=0)
    vectors = client.embeddings.create(model=VECTORS, input=["granite", "basalt"], dimensions=256)
    assert [len(one.embedding) for one in vectors.data] == [256, 256]
