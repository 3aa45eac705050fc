"""Every kind of chat request with every model: the bodies sent must be ones that Bedrock accepts.

The requests are the files in `matrix/`, the models those of the catalogue. Each body is checked against
botocore's model of Converse, patterns and limits included, and against the emulator's rules for that
model. Requests that the gateway itself refuses are listed in `matrix_refused.json` with the named field
and the models, so that no failure is hidden by a refusal. After an intended change, rewrite that file
with OUTCROP_WRITE=1 and review the difference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from matrix_bench import Bench, Outcome, started
from matrix_models import Model, alive_and_one_of_each, models, one_of_each
from matrix_rules import rule_problems
from upstream import OPERATIONS, body_problems

HERE = Path(__file__).parent
REQUESTS: dict[str, Any] = {
    path.stem: json.loads(path.read_text()) for path in sorted(HERE.glob("matrix/*.json"))
}
REFUSED = HERE / "matrix_refused.json"
CHAT = alive_and_one_of_each([model for model in models() if model.chats])
STREAMED = [model for model in one_of_each(CHAT) if not model.ended]
# The emulator's errors for models that it does not have, or has no longer. The bodies sent to them are
# still checked against botocore's model.
NOT_SERVED = (
    "has reached the end of its life",
    "The provided model identifier is invalid",
)
FEWEST = {"requests": 40, "served": 60, "families": 40}
# The extra field of a streamed request: arguments may be streamed as they are generated.
STREAM_BETA = "fine-grained-tool-streaming"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with started() as made:
        yield made


@pytest.fixture(scope="module")
def judged() -> dict[str, list[str]]:
    """Problems of the bodies seen so far, cached because most models get the same body."""
    return {}


def ask(bench: Bench, model: Model, name: str, **more: Any) -> Outcome:
    """One of the requests to a model."""
    return bench.send("/v1/chat/completions", {**REQUESTS[name], "model": model.called, **more})


def problems(model: Model, outcome: Outcome, judged: dict[str, list[str]]) -> list[str]:
    """Bedrock's objections to the bodies, and failures after it had accepted them."""
    found = [problem for call in outcome.calls for problem in rule_problems(model.name, call["body"])]
    for call in outcome.calls:
        key = json.dumps([call["operation"], call["body"]])
        if key not in judged:
            judged[key] = body_problems(OPERATIONS[call["operation"]], call["path"], call["body"])
        found += judged[key]
    if outcome.calls and outcome.status != 200 and not any(text in outcome.message for text in NOT_SERVED):
        found.append(f"{outcome.status}: {outcome.message}")
    return found


@pytest.mark.parametrize("name", REQUESTS)
def test_each_model_gets_a_body_it_accepts(
    bench: Bench, judged: dict[str, list[str]], name: str
) -> None:
    outcomes: dict[str, Outcome] = {}
    wrong: dict[str, list[str]] = {}
    for model in CHAT:
        outcome = outcomes[model.name] = ask(bench, model, name)
        if found := problems(model, outcome, judged):
            wrong[model.name] = found
    assert not wrong, "\n".join(f"{model}: {found}" for model, found in wrong.items())
    refused: dict[str, list[str]] = {}
    for model, outcome in outcomes.items():
        if not outcome.calls:
            assert outcome.status == 400, outcome.message
            refused.setdefault(outcome.param, []).append(model)
    listed = json.loads(REFUSED.read_text())
    if "OUTCROP_WRITE" in os.environ:
        listed = dict(sorted({**listed, name: refused}.items()))
        REFUSED.write_text(written(listed))
    assert refused == listed.get(name, {}), "matrix_refused.json lists what the gateway may refuse"


def written(listed: dict[str, dict[str, list[str]]]) -> str:
    """The list of refusals: a paragraph per request, a line per field, a word per model."""
    paragraphs = []
    for name, fields in listed.items():
        lines = [f"  {json.dumps(field)}: {json.dumps(names)}" for field, names in fields.items()]
        if lines:
            paragraphs.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(paragraphs) + "\n}\n"


def unstreamed(body: dict[str, Any]) -> dict[str, Any]:
    """The body of a streamed request, without stream-only members."""
    fields = dict(body.get("additionalModelRequestFields", {}))
    betas = [beta for beta in fields.pop("anthropic_beta", []) if not beta.startswith(STREAM_BETA)]
    fields |= {"anthropic_beta": betas} if betas else {}
    rest = {name: value for name, value in body.items() if name != "additionalModelRequestFields"}
    return rest | ({"additionalModelRequestFields": fields} if fields else {})


@pytest.mark.parametrize("name", REQUESTS)
def test_a_stream_sends_the_same_body(
    bench: Bench, judged: dict[str, list[str]], name: str
) -> None:
    """The same body goes to ConverseStream, or to Converse if the model does not stream its calls."""
    for model in STREAMED:
        whole, streamed = ask(bench, model, name), ask(bench, model, name, stream=True)
        assert problems(model, streamed, judged) == [], model.name
        if not whole.calls:
            assert (streamed.status, streamed.calls) == (whole.status, []), model.name
            assert streamed.param == whole.param, model.name
            continue
        assert b"[DONE]" in streamed.body or streamed.status != 200, model.name
        # Of several calls for one request, the first refused call prevents those that were not sent
        # yet.
        assert streamed.calls, model.name
        if whole.status == 200:
            assert len(whole.calls) == len(streamed.calls), model.name
        for one, other in zip(whole.calls, streamed.calls, strict=whole.status == 200):
            assert unstreamed(other["body"]) == one["body"], model.name


def test_the_matrix_is_complete() -> None:
    """The matrix has the claimed size, and every listed refusal exists."""
    assert len(REQUESTS) >= FEWEST["requests"]
    assert len([model for model in CHAT if not model.ended]) >= FEWEST["served"]
    assert len(STREAMED) >= FEWEST["families"]
    names = {model.name for model in CHAT}
    for name, fields in json.loads(REFUSED.read_text()).items():
        assert name in REQUESTS
        assert all(set(refusing) <= names for refusing in fields.values()), name


@pytest.mark.parametrize(
    ("model", "body", "part"),
    [
        ("any", {"messages": [{"role": "user", "content": [{"toolResult": {"content": []}}]}]}, "empty tool result"),
        ("any", {"messages": [{"role": "user", "content": [{"toolResult": {"content": [{"text": " "}]}}]}]}, "blank"),
        ("amazon.nova-x", {"messages": [{"role": "user", "content": [{"toolResult": {"content": [{"document": {}}]}}]}]}, "document in"),
        ("anthropic.x", {"messages": [{"role": "user", "content": [{"toolResult": {"content": [{"text": "x"}]}}, {"document": {}}]}]}, "beside"),
        ("any", {"messages": [{"role": "assistant", "content": [{"text": "x"}, {"reasoningContent": {}}]}]}, "behind text"),
        ("amazon.nova-x", {"messages": [], "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"$defs": {}}}}}]}}, "root"),
        ("openai.gpt-oss-x", {"messages": [], "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"$ref": "#"}}}}]}}, "$ref"),
        ("xai.x", {"messages": [], "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"pattern": "(?!x)"}}}}]}}, "looks around"),
        ("anthropic.x", {"messages": [], "additionalModelRequestFields": {"thinking": {"type": "adaptive"}, "top_k": 1}}, "top_k"),
        ("any", {"messages": [], "inferenceConfig": {"topP": 1}, "additionalModelRequestFields": {"reasoningConfig": {"maxReasoningEffort": "high"}}}, "topP"),
        ("any", {"messages": [], "additionalModelRequestFields": {"anthropic_beta": ["a", "a"]}}, "twice"),
    ],
)
def test_each_rule_finds_a_violation(model: str, body: dict[str, Any], part: str) -> None:
    [problem] = rule_problems(model, body)
    assert part in problem
