"""Rerank with Cohere's SDK in both versions, and with LiteLLM as a client of Cohere and Jina."""

from __future__ import annotations

from typing import Any

import cohere
import litellm
import pytest
from cohere.core.api_error import ApiError

from outcrop_process import Outcrop

MODEL = "cohere.rerank-v3-5:0"
QUERY = "volcanic rock from lava"
DOCUMENTS = ["A recipe for soup", "Basalt is volcanic rock from lava", "Tax forms"]


def test_cohere_second_version(gateway: Outcrop) -> None:
    client = cohere.ClientV2(api_key="unused", base_url=gateway.url)
    answer = client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=2)
    assert [result.index for result in answer.results][0] == 1 and len(answer.results) == 2
    assert answer.results[0].relevance_score > answer.results[1].relevance_score
    assert answer.meta is not None and answer.meta.billed_units is not None
    assert answer.meta.billed_units.search_units == 1
    with pytest.raises(ApiError) as refused:
        client.rerank(model=MODEL, query=QUERY, documents=[])
    assert refused.value.status_code == 400


def test_cohere_first_version(gateway: Outcrop) -> None:
    client = cohere.Client(api_key="unused", base_url=gateway.url)
    documents = [{"title": text, "year": 1} for text in DOCUMENTS]
    answer = client.rerank(
        model=MODEL, query=QUERY, documents=documents, rank_fields=["title"], return_documents=True
    )
    assert answer.results[0].index == 1 and answer.results[0].document is not None


@pytest.mark.parametrize(
    "settings",
    [
        {"model": f"cohere/{MODEL}", "path": "/v1/rerank"},
        {"model": f"jina_ai/{MODEL}", "path": "/v1"},
        {"model": f"litellm_proxy/{MODEL}", "path": ""},
    ],
    ids=["cohere", "jina", "proxy"],
)
def test_litellm(gateway: Outcrop, settings: dict[str, Any]) -> None:
    answer = litellm.rerank(
        model=settings["model"],
        query=QUERY,
        documents=DOCUMENTS,
        top_n=2,
        api_base=gateway.url + settings["path"],
        api_key="unused",
    )
    assert answer.results is not None and len(answer.results) == 2
    assert answer.results[0]["index"] == 1 and answer.results[0]["relevance_score"] > 0.5
