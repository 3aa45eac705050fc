"""Every kind of embeddings request with every embedding model: the bodies for InvokeModel follow the
makers' documentation, since AWS's service models do not describe them, and the emulator accepts them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from matrix_bench import Bench, started
from matrix_models import Model, models

HERE = Path(__file__).parent
REQUESTS: list[dict[str, Any]] = json.loads((HERE / "matrix_embeddings.json").read_text())
REFUSED = {"dimensions", "input", "input[0]", "input[2]", "input_type", "truncate"}
EMBEDDING = [model for model in models() if model.embeds]

Check = Callable[[Any], bool]


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def among(*allowed: Any) -> Check:
    return lambda value: value in allowed


# A maker's documented body: allowed members and their values; `!` marks required ones.
SHAPES: dict[str, dict[str, Check]] = {
    r"amazon\.titan-embed-text-v1": {"!inputText": is_text},
    r"amazon\.titan-embed-text-v2": {
        "!inputText": is_text,
        "dimensions": among(256, 512, 1024),
        "normalize": among(True, False),
        "embeddingTypes[]": among("float", "binary"),
    },
    r"amazon\.titan-embed-image": {
        "!inputText": is_text,
        "embeddingConfig.outputEmbeddingLength": among(256, 384, 1024),
    },
    r"cohere\.embed-.*-v3": {
        "!texts[]": is_text,
        "!input_type": among("search_document", "search_query", "classification", "clustering"),
        "truncate": among("NONE", "START", "END"),
        "embedding_types[]": among("float", "int8", "uint8", "binary", "ubinary"),
    },
    r"cohere\.embed-v4": {
        "!texts[]": is_text,
        "!input_type": among("search_document", "search_query", "classification", "clustering"),
        "truncate": among("NONE", "LEFT", "RIGHT", "START", "END"),
        "embedding_types[]": among("float", "int8", "uint8", "binary", "ubinary"),
        "output_dimension": among(256, 512, 1024, 1536),
    },
    r"amazon\.nova-2-multimodal-embeddings": {
        "schemaVersion": among("nova-multimodal-embed-v1"),
        "!taskType": among("SINGLE_EMBEDDING"),
        "!singleEmbeddingParams.embeddingPurpose": among(
            "GENERIC_INDEX", "GENERIC_RETRIEVAL", "TEXT_RETRIEVAL", "CLASSIFICATION", "CLUSTERING"
        ),
        "singleEmbeddingParams.embeddingDimension": among(256, 384, 1024, 3072),
        "!singleEmbeddingParams.text.truncationMode": among("START", "END", "NONE"),
        "!singleEmbeddingParams.text.value": is_text,
    },
    r"twelvelabs\.marengo-embed-2": {
        "!inputType": among("text"),
        "!inputText": is_text,
        "textTruncate": among("end", "none"),
    },
    r"twelvelabs\.marengo-embed-3": {"!inputType": among("text"), "!text.inputText": is_text},
}


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf value of a body, with its path."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from leaves(member, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{place}[]")
    else:
        yield place, value


def shape_of(model: Model) -> dict[str, Check]:
    """The documented body of the model's maker."""
    [shape] = [shape for pattern, shape in SHAPES.items() if re.match(pattern, model.name)]
    return shape


def problems(model: Model, body: Any) -> list[str]:
    """Members of the body that the maker's documentation lacks."""
    shape = {name.lstrip("!"): check for name, check in shape_of(model).items()}
    needed = {name.lstrip("!") for name in shape_of(model) if name.startswith("!")}
    there = list(leaves(body))
    found = [f"{place} is not there" for place in needed - {place for place, _ in there}]
    for place, value in there:
        if place not in shape:
            found.append(f"{place} is no member")
        elif not shape[place](value):
            found.append(f"{place} is {value!r}")
    return found


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with started() as made:
        yield made


@pytest.mark.parametrize("model", EMBEDDING, ids=lambda model: model.name)
def test_each_model_gets_the_body_its_maker_documents(bench: Bench, model: Model) -> None:
    sent = 0
    for request in REQUESTS:
        outcome = bench.send("/v1/embeddings", {**request, "model": model.called})
        if not outcome.calls:
            assert outcome.status == 400 and outcome.param in REFUSED, (request, outcome.message)
            assert any(outcome.param.startswith(field) for field in request), (request, outcome.param)
            continue
        sent += 1
        assert outcome.status == 200, (request, outcome.message)
        wanted = request["input"]
        count = len(wanted) if isinstance(wanted, list) and not isinstance(wanted[0], int) else 1
        assert len(json.loads(outcome.body)["data"]) == count
        for call in outcome.calls:
            assert (call["operation"], problems(model, call["body"])) == ("invoke", []), request
    assert sent > len(REQUESTS) / 2


def test_a_wrong_body_is_found() -> None:
    [model] = [model for model in EMBEDDING if model.name.startswith("amazon.titan-embed-text-v2")]
    assert problems(model, {"inputText": "a", "dimensions": 512}) == []
    assert problems(model, {"inputText": " "}) == ["inputText is ' '"]
    assert problems(model, {"text": "a"}) == ["inputText is not there", "text is no member"]
    assert problems(model, {"inputText": "a", "dimensions": 300}) == ["dimensions is 300"]
