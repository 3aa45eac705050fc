"""Every kind of chat request against every model: what goes out is what Bedrock takes.

The requests are the files in `matrix/`, the models those of the catalogue. Each body that leaves the
gateway is held against botocore's model of Converse, patterns and limits included, and against the
emulator's rules for that model. A request that the gateway refuses itself is in `matrix_refused.json`, with
the field it names and the models: nothing hides behind a refusal. After a change that is meant, write that
file anew with OUTCROP_WRITE=1 and read the difference.
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
# What the emulator says of models that it does not have, or has no longer. What was sent to them is still
# held against botocore's model.
NOT_SERVED = (
    "has reached the end of its life",
    "The provided model identifier is invalid",
)
FEWEST = {"requests": 40, "served": 60, "families": 40}
# What a streamed request says besides: that arguments may come as they are made.
STREAM_BETA = "fine-grained-tool-streaming"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with started() as made:
        yield made


@pytest.fixture(scope="module")
def judged() -> dict[str, list[str]]:
    """Problems of the bodies seen so far: most models get the same."""
    return {}


def ask(bench: Bench, model: Model, name: str, **more: Any) -> Outcome:
    """One of the requests to a model."""
    return bench.send("/v1/chat/completions", {**REQUESTS[name], "model": model.called, **more})


def problems(model: Model, outcome: Outcome, judged: dict[str, list[str]]) -> list[str]:
    """What Bedrock holds against what it got, and what went wrong after it had taken it."""
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
def test_each_model_gets_what_it_takes(
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
    """The list of refusals: a request to a paragraph, a field to a line, a model to a word."""
    paragraphs = []
    for name, fields in listed.items():
        lines = [f"  {json.dumps(field)}: {json.dumps(names)}" for field, names in fields.items()]
        if lines:
            paragraphs.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(paragraphs) + "\n}\n"


def unstreamed(body: dict[str, Any]) -> dict[str, Any]:
    """The body of a streamed request, without what only streams say."""
    fields = dict(body.get("additionalModelRequestFields", {}))
    betas = [beta for beta in fields.pop("anthropic_beta", []) if not beta.startswith(STREAM_BETA)]
    fields |= {"anthropic_beta": betas} if betas else {}
    rest = {name: value for name, value in body.items() if name != "additionalModelRequestFields"}
    return rest | ({"additionalModelRequestFields": fields} if fields else {})


@pytest.mark.parametrize("name", REQUESTS)
def test_a_stream_asks_for_the_same(
    bench: Bench, judged: dict[str, list[str]], name: str
) -> None:
    """The same body goes to ConverseStream, or to Converse where the model does not stream its calls."""
    for model in STREAMED:
        whole, streamed = ask(bench, model, name), ask(bench, model, name, stream=True)
        assert problems(model, streamed, judged) == [], model.name
        if not whole.calls:
            assert (streamed.status, streamed.calls) == (whole.status, []), model.name
            assert streamed.param == whole.param, model.name
            continue
        assert b"[DONE]" in streamed.body or streamed.status != 200, model.name
        # Of several calls for one question, the first that is refused ends those that have not gone out.
        assert streamed.calls, model.name
        if whole.status == 200:
            assert len(whole.calls) == len(streamed.calls), model.name
        for one, other in zip(whole.calls, streamed.calls, strict=whole.status == 200):
            assert unstreamed(other["body"]) == one["body"], model.name


def test_nothing_is_left_out_of_the_matrix() -> None:
    """The matrix is as large as it claims, and what is listed as refused exists."""
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
def test_each_rule_sees_what_breaks_it(model: str, body: dict[str, Any], part: str) -> None:
    [problem] = rule_problems(model, body)
    assert part in problem
