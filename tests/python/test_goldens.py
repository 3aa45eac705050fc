"""Every golden fixture and every recorded reply through the gateway, as the official client reads it.

The client's accumulated stream equals the complete answer, and every answer, chunk and error matches
OpenAI's own schemas.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pydantic
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState

import openai_schemas as schemas
from goldens import Golden, Scripted, answers, configuration, recorded, streams
from loopback import Loopback
from outcrop_process import PATIENCE, Outcrop
from sse import chat, request, stream

STREAMS = streams()
WHOLE = [golden for golden in STREAMS if golden.complete and golden.whole]
ANSWERS = answers()
SHAPED = [
    golden for golden in WHOLE if (golden.request.get("response_format") or {}).get("type") == "json_schema"
]
USAGE = {"stream_options": {"include_usage": True}}


def gateway_before(bedrock: Loopback, goldens: list[Golden]) -> Outcrop:
    """A gateway whose Bedrock answers with the goldens."""
    environment = {
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
    }
    arguments = ["--listen", "127.0.0.1:0", "--config", "outcrop.yaml"]
    return Outcrop(arguments, environment=environment, files={"outcrop.yaml": configuration(goldens)})


@pytest.fixture(scope="module")
def golden_gateway() -> Iterator[Outcrop]:
    goldens = [*STREAMS, *ANSWERS]
    with Scripted(goldens) as bedrock, gateway_before(bedrock, goldens) as running:
        yield running


@pytest.fixture(scope="module")
def golden_client(golden_gateway: Outcrop) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{golden_gateway.url}/v1", api_key="any", max_retries=0, timeout=PATIENCE
    ) as made:
        yield made


def asked(golden: Golden, *, streamed: bool) -> dict[str, Any]:
    """The golden's request, complete or streamed with all stream options."""
    left_out = ("stream", "stream_options", "model")
    plain = {key: value for key, value in golden.request.items() if key not in left_out}
    return {"model": golden.model, **plain, **({"stream": True, **USAGE} if streamed else {})}


def in_client_words(body: dict[str, Any]) -> dict[str, Any]:
    """The same for the client, which accepts only fields it supports as keywords."""
    known = {"model", "messages", "stream", "stream_options"}
    extra = {key: value for key, value in body.items() if key not in known}
    return {**{key: body[key] for key in known if key in body}, "extra_body": extra}


def comparable(completion: Any) -> dict[str, Any]:
    """The content of an answer, complete or streamed: without values that differ between calls, and
    with null as absent."""
    told: dict[str, Any] = completion.model_dump(exclude_none=True, warnings=False)
    # Ids of calls that the model wrote as text contain the answer's id.
    own = str(told["id"]).removeprefix("chatcmpl-")
    for name in ("id", "created", "object"):
        told.pop(name, None)
    for choice in told["choices"]:
        message = choice["message"]
        message.pop("parsed", None)
        # The client keeps a choice's members from the first chunk; this one comes with the last.
        choice.pop("outcrop", None)
        # An empty answer is the empty text in a stream, which begins before that is known.
        message["content"] = meant(message.get("content") or "")
        message.setdefault("tool_calls", [])
        for place, call in enumerate(message["tool_calls"]):
            assert call.pop("index", place) == place
            call["id"] = call["id"].replace(own, "ANSWER")
        functions = [call["function"] for call in message["tool_calls"] if "function" in call]
        for function in [*functions, *([message["function_call"]] if "function_call" in message else [])]:
            function.pop("parsed_arguments", None)
            function["arguments"] = meant(function["arguments"])
        # The index gives a detail's position in the list.
        message.setdefault("reasoning_details", [])
    return told


def meant(text: str) -> Any:
    """JSON by its value: Bedrock serialises it again in a complete answer."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.mark.parametrize("golden", WHOLE, ids=lambda golden: golden.name)
def test_an_accumulated_stream_equals_the_complete_answer(
    golden_client: openai.OpenAI, golden: Golden
) -> None:
    state = ChatCompletionStreamState()
    with golden_client.chat.completions.create(
        **in_client_words(asked(golden, streamed=True))
    ) as chunks:
        for chunk in chunks:
            state.handle_chunk(chunk)
    accumulated = comparable(state.current_completion_snapshot)
    whole = comparable(
        golden_client.chat.completions.create(**in_client_words(asked(golden, streamed=False)))
    )
    # The client keeps the tier of the first chunk; Bedrock reports it at the end.
    assert chunk.service_tier == whole.pop("service_tier", None)
    accumulated.pop("service_tier", None)
    if "usage" not in accumulated:
        assert whole.pop("usage")["total_tokens"] == 0, "only what was never told may be missing"
    assert accumulated == whole


@pytest.mark.parametrize("golden", WHOLE, ids=lambda golden: golden.name)
def test_parse_accepts_every_golden_answer(golden_client: openai.OpenAI, golden: Golden) -> None:
    plain = in_client_words(asked(golden, streamed=False))
    created = golden_client.chat.completions.create(**plain)
    unfinished = {"length": openai.LengthFinishReasonError, "content_filter": openai.ContentFilterFinishReasonError}
    if error := unfinished.get(created.choices[0].finish_reason):
        with pytest.raises(error):
            golden_client.chat.completions.parse(**plain)
        return
    expected = comparable(created)
    for choice in expected["choices"]:
        # The client skips calls that are not function calls, with a warning.
        choice["message"]["tool_calls"] = [
            call for call in choice["message"]["tool_calls"] if call["type"] == "function"
        ]
    assert comparable(golden_client.chat.completions.parse(**plain)) == expected


def shape_of(schema: dict[str, Any]) -> type[pydantic.BaseModel]:
    """The type that a caller would write for a golden's schema."""
    types = {"string": str, "integer": int}
    members: dict[str, Any] = {
        name: (types[member["type"]], ... if name in schema.get("required", []) else None)
        for name, member in schema.get("properties", {}).items()
    }
    return pydantic.create_model("Shape", **members)


def parsed(call: Callable[[], Any]) -> Any:
    """The client's parsed answer, or the error it raises."""
    try:
        message = call().choices[0].message
    except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError, pydantic.ValidationError) as error:
        return type(error)
    calls = [(made.function.name, meant(made.function.arguments)) for made in message.tool_calls or []]
    return message.parsed and message.parsed.model_dump(), message.refusal, calls


@pytest.mark.parametrize("golden", SHAPED, ids=lambda golden: golden.name)
def test_a_golden_stream_is_parsed_into_its_type(golden_client: openai.OpenAI, golden: Golden) -> None:
    shape = shape_of(golden.request["response_format"]["json_schema"]["schema"])
    # The golden's own schema is sent; the type only determines how the client parses the answer.
    words = in_client_words(asked(golden, streamed=False))

    def streamed() -> Any:
        with golden_client.chat.completions.stream(**words, response_format=shape, **USAGE) as events:
            return events.get_final_completion()

    created = golden_client.chat.completions.create(**words)
    whole = parsed(lambda: golden_client.chat.completions.parse(**words, response_format=shape))
    if created.choices[0].finish_reason in ("length", "content_filter"):
        assert whole in (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError)
        return
    assert parsed(streamed) == whole
    if golden.name in ("format_answered_in_text", "format_wrapped"):
        assert isinstance(whole, tuple) and whole[0] is not None, "a sound answer is an object of the type"


@pytest.mark.parametrize(
    "golden", [one for one in STREAMS if not one.complete], ids=lambda golden: golden.name
)
def test_a_cut_golden_raises(golden_client: openai.OpenAI, golden: Golden) -> None:
    with pytest.raises(openai.APIError) as caught:
        with golden_client.chat.completions.create(
            **in_client_words(asked(golden, streamed=True))
        ) as chunks:
            list(chunks)
    assert caught.value.message


def stream_problems(through: Outcrop, golden: Golden) -> list[str]:
    """Members of a streamed answer that OpenAI's schemas lack; also checks its end."""
    answer = stream(through.address, asked(golden, streamed=True))
    if answer.status != 200:
        return [f"status {answer.status}: {answer.raw[:300]!r}"]
    assert answer.done is golden.complete, f"{golden.name}: {answer.events[-1].data}"
    *chunks, last = answer.chunks
    if golden.complete:
        chunks.append(last)
        found = []
    else:
        found = schemas.problems(schemas.ERROR, last)
    return found + [problem for chunk in chunks for problem in schemas.problems(schemas.CHUNK, chunk)]


def answer_problems(through: Outcrop, golden: Golden) -> list[str]:
    """The same for a complete answer or a refusal."""
    status, _, answer = chat(through.address, asked(golden, streamed=bool(golden.stream)))
    assert (status == 200) is (golden.status == 200), f"{golden.name}: {status} {answer}"
    return schemas.problems(schemas.COMPLETION if status == 200 else schemas.ERROR, answer)


@pytest.mark.parametrize("golden", STREAMS, ids=lambda golden: golden.name)
def test_golden_chunks_match_the_schema(golden_gateway: Outcrop, golden: Golden) -> None:
    assert stream_problems(golden_gateway, golden) == []


@pytest.mark.parametrize("golden", [*ANSWERS, *WHOLE], ids=lambda golden: golden.name)
def test_golden_answers_match_the_schema(golden_gateway: Outcrop, golden: Golden) -> None:
    whole = Golden(golden.name, golden.request, golden.profile, golden.whole)
    assert answer_problems(golden_gateway, whole) == []


def test_recorded_replies_match_the_schema() -> None:
    goldens = recorded()
    found: dict[str, list[str]] = {}
    with Scripted(goldens) as bedrock, gateway_before(bedrock, goldens) as through:
        for golden in goldens:
            judge = stream_problems if golden.stream is not None else answer_problems
            if problems := judge(through, golden):
                found[golden.name] = problems
    print(f"recorded replies in OpenAI's schemas: {len(goldens) - len(found)} of {len(goldens)}")
    assert len(goldens) > 150 and not found, found


@pytest.mark.parametrize(
    ("method", "path", "body", "schema"),
    [
        ("GET", "/v1/models", None, schemas.MODELS),
        ("GET", "/v1/models/amazon.nova-lite-v1:0", None, schemas.MODEL),
        ("GET", "/v1/models/no.such-model", None, schemas.ERROR),
        ("GET", "/v1/nothing", None, schemas.ERROR),
        ("DELETE", "/v1/models", None, schemas.ERROR),
        ("POST", "/v1/chat/completions", {"model": "m"}, schemas.ERROR),
        ("POST", "/v1/chat/completions", [], schemas.ERROR),
        ("POST", "/v1/chat/completions", {"model": "emulator.throttle", "messages": [{"role": "user", "content": "x"}]}, schemas.ERROR),
        ("POST", "/v1/embeddings", {"model": "m", "input": []}, schemas.ERROR),
    ],
)
def test_other_responses_match_the_schema(
    gateway: Outcrop, method: str, path: str, body: Any, schema: str
) -> None:
    status, answer = request(gateway.address, method, path, body)
    assert (status >= 400) is (schema == schemas.ERROR), answer
    assert schemas.problems(schema, answer) == []


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize(
    "model", ["amazon.titan-embed-text-v2:0", "cohere.embed-v4:0", "amazon.nova-2-multimodal-embeddings-v1:0"]
)
def test_embeddings_match_the_schema(gateway: Outcrop, model: str, encoding: str) -> None:
    body = {"model": model, "input": ["slate", "chalk"], "encoding_format": encoding}
    status, answer = request(gateway.address, "POST", "/v1/embeddings", body)
    assert status == 200, answer
    if encoding == "base64":
        # The schema has only lists of numbers, but the clients request base64.
        assert all(isinstance(one["embedding"], str) for one in answer["data"])
        for one in answer["data"]:
            one["embedding"] = [0.0]
    assert schemas.problems(schemas.EMBEDDINGS, answer) == []


@pytest.mark.parametrize(
    "content",
    [
        "I will kill you",
        ["Granite", "I will kill you", "[misconduct:low]"],
        [{"type": "text", "text": "Basalt"}, {"type": "text", "text": "I will kill you"}],
    ],
    ids=["text", "list", "parts"],
)
def test_moderations_match_the_schema(gateway: Outcrop, content: Any) -> None:
    status, answer = request(gateway.address, "POST", "/v1/moderations", {"input": content})
    assert status == 200 and any(result["flagged"] for result in answer["results"]), answer
    assert schemas.problems(schemas.MODERATION, answer) == []
    answer["results"][0]["categories"]["surplus"] = True
    assert schemas.problems(schemas.MODERATION, answer), "the judge reads every category"


def test_the_schema_check_finds_errors() -> None:
    sound: dict[str, Any] = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None, "logprobs": None}],
    }
    assert schemas.problems(schemas.CHUNK, sound) == []
    [choice] = sound["choices"]
    for wrong in (
        {**sound, "created": "now"},
        {**sound, "object": "chat.completion"},
        {**sound, "surplus": 1},
        {**sound, "choices": [{**choice, "finish_reason": "tool_use"}]},
        {**sound, "choices": [{**choice, "delta": {"content": 1}}]},
        {**sound, "choices": [{**choice, "delta": {"thought": "x"}}]},
        {**sound, "choices": [{**choice, "delta": {"tool_calls": [{"id": "no index"}]}}]},
    ):
        assert schemas.problems(schemas.CHUNK, wrong), wrong
    assert schemas.problems(schemas.ERROR, {"error": {"message": "x"}})
