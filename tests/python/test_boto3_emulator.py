"""boto3 against `outcrop emulate`: AWS's own client must not see a difference."""

from __future__ import annotations

import base64
import http.client
import json
import math
import struct
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from outcrop_process import PATIENCE, Outcrop
from samples import CLAUDE, ECHO, NOVA, png
from sse import request

HI: list[dict[str, Any]] = [{"role": "user", "content": [{"text": "Hello there, stone."}]}]


def made(emulator: Outcrop, service: str, **config: Any) -> Any:
    """A boto3 client on the emulator: no retries, short timeouts, invalid keys."""
    return boto3.client(
        service,
        endpoint_url=emulator.url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret-for-tests",
        config=Config(
            connect_timeout=PATIENCE, read_timeout=PATIENCE, retries={"total_max_attempts": 1}, **config
        ),
    )


@pytest.fixture(scope="module")
def runtime(emulator: Outcrop) -> Any:
    return made(emulator, "bedrock-runtime")


def test_converse(runtime: Any) -> None:
    answer = runtime.converse(
        modelId=NOVA,
        messages=HI,
        system=[{"text": "Be brief."}],
        inferenceConfig={"maxTokens": 200, "temperature": 0.5, "topP": 0.9},
    )
    assert answer["output"]["message"]["role"] == "assistant"
    assert answer["output"]["message"]["content"][0]["text"]
    assert answer["stopReason"] == "end_turn"
    usage = answer["usage"]
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"] > 0
    assert answer["metrics"]["latencyMs"] >= 0
    meta = answer["ResponseMetadata"]
    assert uuid.UUID(meta["RequestId"])
    assert meta["HTTPHeaders"]["content-type"] == "application/json"


def test_converse_stream_matches_converse(runtime: Any) -> None:
    plain = runtime.converse(modelId=CLAUDE, messages=HI)
    answer = runtime.converse_stream(modelId=CLAUDE, messages=HI)
    kind = answer["ResponseMetadata"]["HTTPHeaders"]["content-type"]
    assert kind == "application/vnd.amazon.eventstream"
    events = list(answer["stream"])
    names = [next(iter(event)) for event in events]
    assert names[0] == "messageStart" and names[-2:] == ["messageStop", "metadata"]
    assert "contentBlockStart" not in names, "text blocks have no start"
    assert names.count("contentBlockDelta") > 3
    text = "".join(
        event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event
    )
    assert text == plain["output"]["message"]["content"][0]["text"]
    assert events[-2]["messageStop"]["stopReason"] == plain["stopReason"]
    assert events[-1]["metadata"]["usage"] == plain["usage"]


def test_image(runtime: Any) -> None:
    answer = runtime.converse(
        modelId=NOVA,
        messages=[
            {
                "role": "user",
                "content": [
                    {"text": "What is this?"},
                    {"image": {"format": "png", "source": {"bytes": png()}}},
                ],
            }
        ],
    )
    assert "png" in answer["output"]["message"]["content"][0]["text"].lower()


def test_stop_reasons(runtime: Any) -> None:
    short = runtime.converse(modelId=NOVA, messages=HI, inferenceConfig={"maxTokens": 1})
    assert short["stopReason"] == "max_tokens" and short["usage"]["outputTokens"] == 1
    words: list[Any] = [{"role": "user", "content": [{"text": "one two three"}]}]
    cut = runtime.converse(modelId=ECHO, messages=words, inferenceConfig={"stopSequences": ["two"]})
    assert cut["stopReason"] in ("stop_sequence", "end_turn")
    assert cut["output"]["message"]["content"][0]["text"].startswith("one")
    assert "three" not in cut["output"]["message"]["content"][0]["text"]


MODELLED = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}


@pytest.mark.parametrize(("status", "name"), MODELLED.items())
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_modelled_exceptions(runtime: Any, status: int, name: str, operation: str) -> None:
    with pytest.raises(getattr(runtime.exceptions, name)) as caught:
        getattr(runtime, operation)(modelId=f"emulator.error-{status}", messages=HI)
    response = caught.value.response
    assert response["Error"]["Code"] == name and response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["ResponseMetadata"]["RequestId"]


def test_model_not_ready(runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.ModelNotReadyException):
        runtime.converse(modelId="emulator.not-ready", messages=HI)


def test_scripted_answer_and_error(emulator: Outcrop, runtime: Any) -> None:
    scripted = {
        "output": {"message": {"role": "assistant", "content": [{"text": "As told."}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
        "metrics": {"latencyMs": 1},
    }
    error = {"status": 503, "type": "ServiceUnavailableException", "message": "Later."}
    model = "us.amazon.nova-micro-v1:0"
    steps = [
        {"model": model, "answer": scripted},
        {"model": model, "error": {**error, "headers": {"Retry-After": "9"}}},
    ]
    status, _ = request(emulator.address, "POST", "/_emulator/script", steps)
    assert 200 <= status < 300
    answer = runtime.converse(modelId=model, messages=HI)
    assert answer["output"]["message"]["content"] == [{"text": "As told."}]
    assert answer["usage"]["totalTokens"] == 7
    with pytest.raises(runtime.exceptions.ServiceUnavailableException) as caught:
        runtime.converse(modelId=model, messages=HI)
    assert caught.value.response["Error"]["Message"] == "Later."
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "9"
    assert runtime.converse(modelId=model, messages=HI)["usage"]["totalTokens"] != 7


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("emulator.exception-2", "modelStreamErrorException"),
        ("emulator.stream-throttle-3", "throttlingException"),
    ],
)
def test_exception_in_mid_stream(runtime: Any, model: str, code: str) -> None:
    events = []
    with pytest.raises(EventStreamError) as caught:
        for event in runtime.converse_stream(modelId=model, messages=HI)["stream"]:
            events.append(event)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["Error"]["Message"]
    assert len(events) == int(model.rsplit("-", 1)[1])


def test_cut_stream_has_no_end(runtime: Any) -> None:
    events = list(runtime.converse_stream(modelId="emulator.cut-3", messages=HI)["stream"])
    assert len(events) == 3
    assert not any("messageStop" in event or "metadata" in event for event in events)


def user(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": text} for text in texts]}]


def says(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}]}


REFUSED: dict[str, dict[str, Any]] = {
    "unknown model": {"modelId": "no.such-model-v1:0", "messages": HI},
    "model without its profile": {"modelId": CLAUDE.removeprefix("us."), "messages": HI},
    "assistant first": {"modelId": NOVA, "messages": [says("assistant", "a"), says("user", "b")]},
    "two users": {"modelId": NOVA, "messages": [says("user", "a"), says("user", "b")]},
    "blank text": {"modelId": NOVA, "messages": user("  ")},
    "empty content": {"modelId": NOVA, "messages": [{"role": "user", "content": []}]},
    "no messages": {"modelId": NOVA, "messages": []},
    "temperature": {"modelId": NOVA, "messages": HI, "inferenceConfig": {"temperature": 1.5}},
    "no picture": {
        "modelId": NOVA,
        "messages": [
            {"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"x"}}}]}
        ],
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_requests_that_bedrock_refuses(runtime: Any, name: str) -> None:
    with pytest.raises(runtime.exceptions.ValidationException) as caught:
        runtime.converse(**REFUSED[name])
    assert caught.value.response["Error"]["Message"]


FORECAST: dict[str, Any] = {
    "tools": [
        {
            "toolSpec": {
                "name": "get_weather",
                "description": "Tells the weather of a city",
                "inputSchema": {
                    "json": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                    }
                },
            }
        }
    ]
}
THINK = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}


def asks(model: str, question: str, **more: Any) -> dict[str, Any]:
    return {"modelId": model, "messages": user(question), "toolConfig": FORECAST, **more}


def folded(stream: Any) -> list[dict[str, Any]]:
    """The content of a streamed answer, as a client assembles it."""
    blocks: dict[int, dict[str, Any]] = {}
    for event in stream:
        if start := event.get("contentBlockStart"):
            blocks[start["contentBlockIndex"]] = {"toolUse": {**start["start"]["toolUse"], "input": ""}}
        if piece := event.get("contentBlockDelta"):
            block, delta = blocks.setdefault(piece["contentBlockIndex"], {}), piece["delta"]
            if "toolUse" in delta:
                block["toolUse"]["input"] += delta["toolUse"]["input"]
            elif "text" in delta:
                block["text"] = block.get("text", "") + delta["text"]
            elif "redactedContent" in delta["reasoningContent"]:
                block["reasoningContent"] = delta["reasoningContent"]
            else:
                words = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {})
                for key, value in delta["reasoningContent"].items():
                    words[key] = words.get(key, "") + value
    content = [blocks[index] for index in sorted(blocks)]
    for block in content:
        if call := block.get("toolUse"):
            call["input"] = json.loads(call["input"] or "{}")
    return content


def continued(request: dict[str, Any], content: list[dict[str, Any]]) -> dict[str, Any]:
    results = [
        {"toolResult": {"toolUseId": block["toolUse"]["toolUseId"], "content": [{"text": "fair"}]}}
        for block in content
        if "toolUse" in block
    ]
    turns = [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
    return {**request, "messages": [*request["messages"], *turns]}


def refusal(runtime: Any, request: dict[str, Any]) -> str:
    with pytest.raises(runtime.exceptions.ValidationException) as caught:
        runtime.converse(**request)
    return str(caught.value.response["Error"]["Message"])


@pytest.mark.parametrize("model", ["us.anthropic.claude-opus-4-8", "us.anthropic.claude-opus-5-5"])
def test_reasoning_between_calls_keeps_its_position(runtime: Any, model: str) -> None:
    request = asks(
        model, "What is the weather in Paris and London?", additionalModelRequestFields=THINK
    )
    whole = runtime.converse(**request)["output"]["message"]["content"]
    kinds = [next(iter(block)) for block in whole]
    assert kinds == ["reasoningContent", "toolUse"] * 2
    assert folded(runtime.converse_stream(**request)["stream"]) == whole
    assert runtime.converse(**continued(request, whole))["stopReason"] == "end_turn"
    bare = [block for block in whole if "toolUse" in block]
    assert runtime.converse(**continued(request, bare))["stopReason"] == "end_turn"
    moved = [whole[0], whole[2], whole[1], whole[3]]
    assert ("bound to a different" if "5-5" in model else "cannot be modified") in refusal(
        runtime, continued(request, moved)
    )
    assert "cannot be modified" in refusal(runtime, continued(request, whole[:2] + whole[3:]))


def test_reasoning_is_bound_to_the_preceding_content(runtime: Any) -> None:
    model = "us.anthropic.claude-sonnet-5-5"
    request = asks(
        model, "What is the weather in Rome?", additionalModelRequestFields=THINK,
        system=[{"text": "Be brief."}],
    )  # fmt: skip
    content = runtime.converse(**request)["output"]["message"]["content"]
    after = continued(request, content)
    assert runtime.converse(**after)["stopReason"] == "end_turn"
    changed = {**after, "system": [{"text": "Be brief. Today is Monday."}]}
    assert "The block is bound to a different conversation" in refusal(runtime, changed)
    lenient = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    fields = {"additionalModelRequestFields": {**THINK, "thinking": lenient}}
    assert runtime.converse(**{**changed, **fields})["stopReason"] == "end_turn"


@pytest.mark.parametrize("model", ["us.openai.gpt-5.6-sol", "us.xai.grok-4.7"])
def test_encrypted_reasoning(runtime: Any, model: str) -> None:
    effort = {"reasoning": {"effort": "medium"}}
    request = asks(model, "What is the weather in Rome?", additionalModelRequestFields=effort)
    whole = runtime.converse(**request)["output"]["message"]["content"]
    assert whole[0]["reasoningContent"]["redactedContent"]
    assert folded(runtime.converse_stream(**request)["stream"]) == whole
    assert runtime.converse(**continued(request, whole))["stopReason"] == "end_turn"
    readable = [{"reasoningContent": {"reasoningText": {"text": "Hm."}}}, *whole[1:]]
    assert "reasoningContent.reasoningText.text" in refusal(runtime, continued(request, readable))


@pytest.mark.parametrize("model", [NOVA, "us.amazon.nova-2-lite-v1:0"])
def test_cache_points_of_nova(runtime: Any, model: str) -> None:
    request = asks(model, "What is the weather in Rome?")
    content = runtime.converse(**request)["output"]["message"]["content"]
    after = continued(request, content)
    point = {"cachePoint": {"type": "default"}}
    after["messages"][0]["content"].append(point)
    assert runtime.converse(**after)["stopReason"] == "end_turn"
    after["messages"][2]["content"].append(point)
    expected = "#/messages/2/content/0: extraneous key [cachePoint] is not permitted"
    assert expected in refusal(runtime, after)


def test_hyphens_in_tool_names_of_nova(runtime: Any) -> None:
    tool = json.loads(json.dumps(FORECAST).replace("get_weather", "get-weather"))
    request = {**asks(NOVA, "What is the weather in Rome?"), "toolConfig": tool}
    with pytest.raises(runtime.exceptions.ModelErrorException) as caught:
        runtime.converse(**request)
    assert "invalid sequence as part of ToolUse" in caught.value.response["Error"]["Message"]
    with pytest.raises(EventStreamError) as broken:
        list(runtime.converse_stream(**request)["stream"])
    assert broken.value.response["Error"]["Code"] == "modelStreamErrorException"


@pytest.mark.parametrize(
    "model", ["us.meta.llama4-scout-17b-instruct-v1:0", "mistral.mistral-large-2402-v1:0"]
)
def test_text_beside_a_call(runtime: Any, model: str) -> None:
    request = asks(model, "What is the weather in Rome?")
    content = runtime.converse(**request)["output"]["message"]["content"]
    assert [next(iter(block)) for block in content] == ["toolUse"]
    assert runtime.converse(**continued(request, content))["stopReason"] == "end_turn"
    expected = "messages.1.content: Conversation blocks and tool use blocks cannot be provided"
    assert expected in refusal(runtime, continued(request, [{"text": "I look."}, *content]))


def test_streams_of_gpt_count_the_cache_twice(runtime: Any) -> None:
    request = {"modelId": "us.openai.gpt-5.6-sol", "messages": user("granite " * 2_000)}
    whole = runtime.converse(**request)["usage"]
    events = list(runtime.converse_stream(**request)["stream"])
    usage = events[-1]["metadata"]["usage"]
    assert usage["cacheReadInputTokens"] == whole["cacheWriteInputTokens"] > 1_024
    assert usage["inputTokens"] == whole["inputTokens"] + usage["cacheReadInputTokens"]


def test_unsigned_requests_are_refused(emulator: Outcrop) -> None:
    client = made(emulator, "bedrock-runtime", signature_version=UNSIGNED)
    for call in (client.converse, client.converse_stream):
        with pytest.raises(ClientError) as caught:
            call(modelId=NOVA, messages=HI)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert "MissingAuthenticationToken" in caught.value.response["Error"]["Code"]


def test_bearer_key(emulator: Outcrop) -> None:
    """boto3 sends bearer keys over HTTPS only, so this one request is made by hand."""
    for key, expected in (("Bearer bedrock-api-key-EXAMPLE", 200), ("Bearer ", 403), ("Basic eDp5", 403)):
        connection = http.client.HTTPConnection(*emulator.address, timeout=PATIENCE)
        try:
            connection.request(
                "POST",
                f"/model/{NOVA}/converse",
                json.dumps({"messages": HI}).encode(),
                {"authorization": key, "content-type": "application/json"},
            )
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        assert response.status == expected, answer
        assert ("output" in answer) == (expected == 200)


def invoke(runtime: Any, model: str, body: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    answer = runtime.invoke_model(modelId=model, body=json.dumps(body), contentType="application/json")
    return json.loads(answer["body"].read()), answer["ResponseMetadata"]["HTTPHeaders"]


def titan(runtime: Any, text: str) -> list[float]:
    body = {"inputText": text, "dimensions": 256, "normalize": True}
    answer, headers = invoke(runtime, "amazon.titan-embed-text-v2:0", body)
    count = int(headers["x-amzn-bedrock-input-token-count"])
    assert count == answer["inputTextTokenCount"] > 0
    return answer["embedding"]


def cohere(runtime: Any, text: str) -> list[float]:
    body = {"texts": [text, "filler"], "input_type": "search_document"}
    answer, headers = invoke(runtime, "cohere.embed-english-v3", body)
    assert int(headers["x-amzn-bedrock-input-token-count"]) > 0
    assert len(answer["embeddings"]) == 2
    return answer["embeddings"][0]


@pytest.mark.parametrize("embed", [titan, cohere])
def test_embeddings(runtime: Any, embed: Callable[[Any, str], list[float]]) -> None:
    def product(a: list[float], b: list[float]) -> float:
        return math.fsum(x * y for x, y in zip(a, b, strict=True))

    granite = embed(runtime, "granite is a coarse igneous rock")
    assert granite == embed(runtime, "granite is a coarse igneous rock")
    assert abs(product(granite, granite) - 1) < 1e-3
    near = embed(runtime, "granite is an igneous rock")
    far = embed(runtime, "invoices are due on friday")
    assert product(granite, near) > product(granite, far)


def test_model_lists(emulator: Outcrop) -> None:
    control = made(emulator, "bedrock")
    models = control.list_foundation_models()["modelSummaries"]
    ids = {model["modelId"] for model in models}
    assert NOVA.removeprefix("us.") in ids and len(ids) == len(models) > 10
    for model in models:
        assert model["modelArn"].endswith(f"/{model['modelId']}")
        assert model["outputModalities"] and model["modelLifecycle"]["status"]
    profiles = [
        profile
        for page in control.get_paginator("list_inference_profiles").paginate(
            PaginationConfig={"PageSize": 5}
        )
        for profile in page["inferenceProfileSummaries"]
    ]
    assert NOVA in {profile["inferenceProfileId"] for profile in profiles}
    assert len(profiles) > 5, "the list has more than one page"


def test_documents_are_ranked_and_retrieved(emulator: Outcrop, runtime: Any) -> None:
    body = {"query": "igneous rock", "documents": ["invoices are due", "granite is igneous rock"], "api_version": 2}
    answer, _ = invoke(runtime, "cohere.rerank-v3-5:0", body)
    assert [result["index"] for result in answer["results"]] == [1, 0]
    body = {"query": "igneous rock", "documents": ["a", "b"], "top_n": 1}
    assert len(invoke(runtime, "amazon.rerank-v1:0", body)[0]["results"]) == 1
    agent = made(emulator, "bedrock-agent-runtime")
    found = agent.retrieve(
        knowledgeBaseId="EMULATORKB",
        retrievalQuery={"text": "sheets for roofs"},
        retrievalConfiguration={
            "vectorSearchConfiguration": {
                "numberOfResults": 2,
                "filter": {"equals": {"key": "kind", "value": "metamorphic"}},
            }
        },
    )["retrievalResults"]
    assert len(found) == 2 and found[0]["location"]["s3Location"]["uri"].endswith("/slate.md")
    with pytest.raises(ClientError) as refused:
        agent.retrieve(knowledgeBaseId="OTHERKB123", retrievalQuery={"text": "x"})
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_agents_and_flows_answer(emulator: Outcrop) -> None:
    agents = made(emulator, "bedrock-agent-runtime")
    whom = {"agentAliasId": "LIVE", "sessionId": "s-1", "inputText": "slate", "enableTrace": True}
    trace, *chunks = agents.invoke_agent(agentId="EMULAAGENT", **whom)["completion"]
    assert b"".join(event["chunk"]["bytes"] for event in chunks) == b"You said: slate"
    assert trace["trace"]["trace"]["orchestrationTrace"]["modelInvocationOutput"]["metadata"]["usage"]["outputTokens"] > 0
    content = {"content": {"document": "slate"}, "nodeName": "FlowInputNode", "nodeOutputName": "document"}
    flow = agents.invoke_flow(flowIdentifier="EMULATFLOW", flowAliasIdentifier="LIVE", inputs=[content])
    assert [next(iter(event)) for event in flow["responseStream"]] == ["flowOutputEvent", "flowCompletionEvent"]
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        agents.invoke_agent(agentId="OTHERAGENT", **whom)


def test_images_are_made(runtime: Any) -> None:
    body = {"prompt": "a stone", "aspect_ratio": "3:2", "seed": 4, "output_format": "png"}
    answer, _ = invoke(runtime, "stability.stable-image-core-v1:1", body)
    image = base64.b64decode(answer["images"][0])
    assert image[16:24] == struct.pack(">II", 24, 16) and answer["seeds"] == [4]
    with pytest.raises(ClientError) as refused:
        invoke(runtime, "stability.stable-image-core-v1:1", {"prompt": "a stone", "image": "AAAA"})
    assert refused.value.response["Error"]["Code"] == "ValidationException"
