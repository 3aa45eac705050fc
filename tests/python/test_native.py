"""Bedrock's own API through the gateway: boto3 must get the same results directly and through it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any
from urllib.parse import quote

import boto3
import botocore.config
import botocore.exceptions
import botocore.session
import httpx
import pytest
from botocore.credentials import Credentials

import eventstream
import shapes
from outcrop_process import PATIENCE, Outcrop
from recorder import SERVICES, Endpoint, Seen
from upstream import Expectation, authentication_problems

KEYS = Credentials("AKIDGATEWAY", "gateway-secret", "gateway-token")
RUNTIMES = ["bedrock-runtime", "bedrock-agent-runtime"]
BIDIRECTIONAL = "InvokeModelWithBidirectionalStream"
MODEL_ID = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


class Native:
    """Recording endpoints, and a gateway in front of them."""

    def __init__(self, gateway: Outcrop, endpoints: dict[str, Endpoint], seen: list[Seen]) -> None:
        self.gateway = gateway
        self.endpoints = endpoints
        self.seen = seen

    @cache
    def through(self, service: str) -> Any:
        """A boto3 client of the gateway, with keys that AWS does not know."""
        return client(service, f"{self.gateway.url}/bedrock", "AKIDDUMMY")

    @cache
    def direct(self, service: str) -> Any:
        """A boto3 client of the endpoint itself."""
        return client(service, self.endpoints[service].url, KEYS.access_key)


# One for all requests: making one reads the certificates of the system.
HTTP = httpx.Client(timeout=PATIENCE)
FAMILY = [name for name in SERVICES if name not in RUNTIMES]
ADDED = f"native: {{ services: [{', '.join(FAMILY)}], s3: allow }}\n"
# Paths of operations on tags and policies that several services have.
SHARED = ("/tags/", "/tagresource", "/untagresource", "/listtagsforresource", "/resourcepolicy/")
# The operation writes its output to S3, so its smallest request names a location there.
WRITES = "StartAsyncInvoke"


@pytest.fixture(scope="module")
def native() -> Iterator[Native]:
    """A gateway without a configuration file."""
    with started([], {}) as made:
        yield made


@pytest.fixture(scope="module")
def everything() -> Iterator[Native]:
    """A gateway that also relays the other services that botocore knows."""
    with started(["--config", "outcrop.yaml"], {"outcrop.yaml": ADDED}) as made:
        yield made


@contextmanager
def started(arguments: list[str], files: dict[str, str]) -> Iterator[Native]:
    """Recording endpoints and a gateway that calls them."""
    with ExitStack() as stack:
        seen: list[Seen] = []
        endpoints = {name: stack.enter_context(Endpoint(name, seen)) for name in SERVICES}
        environment = {
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEYS.access_key,
            "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
            "AWS_SESSION_TOKEN": KEYS.token,
            **{
                f"AWS_ENDPOINT_URL_{name.upper().replace('-', '_')}": endpoint.url
                for name, endpoint in endpoints.items()
            },
        }
        gateway = stack.enter_context(Outcrop(["--listen", "127.0.0.1:0", *arguments], environment=environment, files=files))
        yield Native(gateway, endpoints, seen)
        assert gateway.alive(), gateway.log()


def client(service: str, url: str, key: str) -> Any:
    """A boto3 client without retries and without the machine's own settings."""
    session = botocore.session.Session()
    session.set_config_variable("region", "us-east-1")
    return session.create_client(
        service,
        endpoint_url=url,
        aws_access_key_id=key,
        aws_secret_access_key="dummy",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE, parameter_validation=True),
    )


def operations() -> list[tuple[str, str]]:
    """Every operation of the two runtime services."""
    session = botocore.session.get_session()
    return [(service, name) for service in RUNTIMES for name in session.get_service_model(service).operation_names]


def call(made: Any, name: str) -> Any:
    """Calls an operation with the smallest valid request; streams are read to their end."""
    model = made.meta.service_model.operation_model(name)
    method = next(py for py, op in made.meta.method_to_api_mapping.items() if op == name)
    arguments = shapes.minimal(model.input_shape) if model.input_shape else {}
    # boto3 would fill these with a new value each time.
    arguments.update({token: "a" * 40 for token in model.idempotent_members})
    if "modelId" in arguments:
        arguments["modelId"] = MODEL_ID
    answer = getattr(made, method)(**arguments)
    answer.pop("ResponseMetadata")
    return {key: read(value) for key, value in answer.items()}


def read(value: Any) -> Any:
    """A streaming body as bytes, an event stream as its list of events."""
    if isinstance(value, botocore.response.StreamingBody):
        return value.read()
    return list(value) if isinstance(value, botocore.eventstream.EventStream) else value


@pytest.mark.parametrize(("service", "name"), operations())
def test_every_operation_passes_untouched(
    native: Native, everything: Native, service: str, name: str
) -> None:
    if name == WRITES:
        native.seen.clear()
        made = native.through(service)
        with pytest.raises(made.exceptions.AccessDeniedException, match="media.s3_prefixes"):
            call(made, name)
        assert not native.seen, "places in S3 are the operator's to list"
        native = everything
    if name == BIDIRECTIONAL:
        answer = HTTP.post(f"{native.gateway.url}/bedrock/model/x/invoke-with-bidirectional-stream", content=b"")
        assert answer.status_code == 501 and "HTTP/2" in answer.json()["message"]
        return
    native.seen.clear()
    expected = call(native.direct(service), name)
    received = call(native.through(service), name)
    output = native.endpoints[service].model.operation_model(name).output_shape
    assert received == expected and (expected or not output.members)
    direct, relayed = native.seen
    assert relayed.service == service, "the wrong endpoint"
    assert (relayed.method, relayed.path, relayed.body) == (direct.method, direct.path, direct.body)
    expectation = Expectation(credentials=KEYS)
    assert not authentication_problems(
        expectation, relayed.method, relayed.port, relayed.path, relayed.headers, relayed.body
    )
    assert "AKIDDUMMY" not in json.dumps(relayed.headers)


def test_reads_of_the_control_plane_are_relayed(native: Native) -> None:
    native.seen.clear()
    made = native.through("bedrock")
    made.list_foundation_models(byOutputModality="TEXT")
    made.list_inference_profiles(maxResults=5, typeEquals="SYSTEM_DEFINED")
    made.get_foundation_model(modelIdentifier="amazon.nova-lite-v1:0")
    made.get_inference_profile(inferenceProfileIdentifier="us.amazon.nova-lite-v1:0")
    assert [one.service for one in native.seen] == ["bedrock"] * 4
    assert native.seen[0].path == "/foundation-models?byOutputModality=TEXT"
    assert native.seen[2].path == "/foundation-models/amazon.nova-lite-v1%3A0"


PROJECT = "arn:aws:bedrock:us-east-1:123456789012:project/abcdefghij"


@pytest.mark.parametrize("method", ["invoke_model", "invoke_model_with_response_stream"])
def test_a_call_carries_the_project_it_names(native: Native, method: str) -> None:
    for made, model in [(native.direct("bedrock-runtime"), MODEL_ID), (native.through("bedrock-runtime"), "nova-lite")]:
        native.seen.clear()
        getattr(made, method)(modelId=model, body=b"{}", projectIdentifier=PROJECT)
        (seen,) = native.seen
        assert seen.headers["x-amzn-bedrock-projectidentifier"] == PROJECT


def test_lists_carry_the_project_they_name(native: Native) -> None:
    asked = {
        "list_foundation_models": {},
        "list_inference_profiles": {"maxResults": 5},
        "get_foundation_model": {"modelIdentifier": "amazon.nova-lite-v1:0"},
        "get_inference_profile": {"inferenceProfileIdentifier": "us.amazon.nova-lite-v1:0"},
    }
    for method, arguments in asked.items():
        native.seen.clear()
        for made in (native.direct("bedrock"), native.through("bedrock")):
            getattr(made, method)(**arguments, projectIdentifier=PROJECT)
        direct, relayed = native.seen
        assert relayed.path == direct.path and f"projectIdentifier={quote(PROJECT, safe='')}" in direct.path


def test_bedrock_headers_pass_both_ways(native: Native) -> None:
    native.seen.clear()
    endpoint = native.endpoints["bedrock-runtime"]
    endpoint.override = (
        200,
        {
            "content-type": "application/json",
            "x-amzn-bedrock-of-tomorrow": "down",
            "x-amz-bedrock-flow-execution-id": "x",
            "x-amzn-bedrock-cache-read-input-token-count": "3",
            "set-cookie": "a=b",
        },
        b"{}",
    )
    try:
        answer = HTTP.post(
            f"{native.gateway.url}/bedrock/model/{MODEL_ID}/invoke",
            content=b"{}",
            headers={"x-amzn-bedrock-of-tomorrow": "up", "X-Amzn-Trace-Id": "Root=1"},
        )
    finally:
        endpoint.override = None
    (seen,) = native.seen
    assert seen.headers["x-amzn-bedrock-of-tomorrow"] == "up" and "x-amzn-trace-id" not in seen.headers
    assert answer.headers["x-amzn-bedrock-of-tomorrow"] == "down"
    assert answer.headers["x-amz-bedrock-flow-execution-id"] == "x" and "set-cookie" not in answer.headers


@pytest.mark.parametrize("operation", ["converse", "converse-stream", "invoke", "invoke-with-response-stream"])
@pytest.mark.parametrize("encoded", [False, True])
def test_raw_and_encoded_ids_pass_byte_for_byte(native: Native, operation: str, encoded: bool) -> None:
    native.seen.clear()
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
    segment = quote(arn, safe="") if encoded else MODEL_ID
    body = b'{ "messages": [ {"role":"user","content":[{"text":"\xc3\xa9"}]} ], "zz": 1, "aa": 2 }'
    answer = HTTP.post(
        f"{native.gateway.url}/bedrock/model/{segment}/{operation}",
        content=body,
        headers={
            "authorization": "Bearer anything",
            "cookie": "secret=1",
            "content-type": "application/json",
            "x-amzn-bedrock-trace": "ENABLED",
            "x-evil": "1",
        },
    )
    assert answer.status_code == 200
    (seen,) = native.seen
    assert seen.body == body
    assert seen.path == f"/model/{quote(arn if encoded else MODEL_ID, safe='')}/{operation}"
    assert seen.headers["x-amzn-bedrock-trace"] == "ENABLED"
    assert not {"cookie", "x-evil"} & set(seen.headers)
    assert "anything" not in seen.headers["authorization"]
    endpoint = native.endpoints["bedrock-runtime"]
    kind, data = shapes.answer(endpoint.operation("POST", seen.path))
    assert answer.content == data and answer.headers["content-type"] == kind
    assert answer.headers["x-amzn-requestid"] == "native-1" and "set-cookie" not in answer.headers


def test_errors_are_the_ones_boto3_knows(native: Native) -> None:
    endpoint = native.endpoints["bedrock-runtime"]
    made = native.through("bedrock-runtime")
    table = {
        "ThrottlingException": 429,
        "ValidationException": 400,
        "AccessDeniedException": 403,
        "ResourceNotFoundException": 404,
        "ModelTimeoutException": 408,
        "ModelErrorException": 424,
        "ServiceUnavailableException": 503,
        "InternalServerException": 500,
    }
    try:
        for name, status in table.items():
            body = json.dumps({"message": f"as sent: {name}"}).encode()
            headers = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/x/", "content-type": "application/json"}
            endpoint.override = (status, headers, body)
            with pytest.raises(getattr(made.exceptions, name)) as raised:
                made.converse(modelId=MODEL_ID, messages=[{"role": "user", "content": [{"text": "x"}]}])
            assert raised.value.response["Error"]["Message"] == f"as sent: {name}"
            assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    finally:
        endpoint.override = None


def test_exceptions_inside_streams_are_raised(native: Native) -> None:
    endpoint = native.endpoints["bedrock-runtime"]
    made = native.through("bedrock-runtime")
    data = eventstream.event("messageStart", {"role": "assistant"}) + eventstream.exception("throttlingException", "slow")
    endpoint.override = (200, {"content-type": "application/vnd.amazon.eventstream"}, data)
    try:
        answer = made.converse_stream(modelId=MODEL_ID, messages=[{"role": "user", "content": [{"text": "x"}]}])
        with pytest.raises(botocore.exceptions.EventStreamError, match="throttlingException"):
            list(answer["stream"])
    finally:
        endpoint.override = None


def corpus() -> list[tuple[str, str]]:
    """Methods and paths that no SDK sends."""
    tricks = [
        "..", ".", "%2e%2e", "%2E%2e", ".%2e", "..%2F..%2Ffoundation-models", "a%2F..%2Fb", "a%2f.%2fb", "a%00", "%00",
        "a%0d%0aHost:%20evil", "a%0a", "a%5c..%5cb", "%252e%252e", "a%252Fb", "a%25", "%", "%2", "%zz", "%c0%ae%c0%ae",
        "%ff", "a;b", "a%3Bb", "a%3Fx=1", "a%23x", "", "a%2F%2Fb", "%2F", "%2Fa", "a%2F", "a%7f", "%e2%80%8e%00",
        "x" * 9000, "%2e%2e%2f", "..%5c", "a%2F%2e%2e", "%E0%80%AE",
    ]
    templates = ["/model/{}/converse", "/model/{}/invoke", "/guardrail/{}/version/1/apply", "/knowledgebases/{}/retrieve", "/agents/{}"]
    found = [("POST", template.format(trick)) for template in templates for trick in tricks]
    found += [
        ("GET", path)
        for path in [
            "/", "", "//", "/model", "/model/", "/model/x", "/model/x/y", "/../v1/models", "/foundation-models/../x",
            "/custom-models/x/y", "/logging/modelinvocations", "/%2e%2e/livez", "/foundation-models//", "/tags/..",
        ]
    ]
    found += [("DELETE", "/foundation-models/x"), ("PUT", "/model/x/converse"), ("POST", "/inference-profiles"),
              ("POST", "/guardrails"), ("DELETE", "/guardrails/x"), ("POST", "/custom-models/create-custom-model"),
              ("PATCH", "/model/x/invoke"), ("POST", "/model/x/converse/../../y"), ("POST", "/model/x/CONVERSE"),
              ("POST", "/Model/x/converse"), ("GET", "/model/x/converse"), ("POST", "/model/x/converse-streamx")]
    return found


def test_no_path_of_the_traversal_corpus_is_relayed(native: Native) -> None:
    native.seen.clear()
    cases = corpus()
    for method, path in cases:
        connection = http.client.HTTPConnection(*native.gateway.address, timeout=PATIENCE)
        try:
            connection.putrequest(method, f"/bedrock{path}", skip_accept_encoding=True)
            connection.putheader("content-length", "2")
            connection.endheaders(b"{}")
            answer = connection.getresponse()
            body = answer.read()
            assert 400 <= answer.status < 500, (method, path, answer.status)
            assert answer.getheader("x-amzn-errortype") and json.loads(body)["message"], (method, path, body)
        finally:
            connection.close()
    print(f"{len(cases)} paths, {len(native.seen)} reached an endpoint")
    assert len(cases) >= 200 and not native.seen, [seen.path for seen in native.seen]


def test_the_table_matches_botocore(native: Native) -> None:
    """An operation added to botocore must be decided on: the two runtimes are relayed in full."""
    session = botocore.session.get_session()
    for service in RUNTIMES:
        model = session.get_service_model(service)
        endpoint = native.endpoints[service]
        for name in model.operation_names:
            operation = model.operation_model(name)
            path = operation.http["requestUri"]
            for member in operation.input_shape.members.values():
                label = member.serialization.get("name", "")
                path = path.replace("{" + label + "}", "abcdefghij")
            assert endpoint.operation(operation.http["method"], path) is not None
            native.seen.clear()
            answer = HTTP.request(operation.http["method"], f"{native.gateway.url}/bedrock{path}", content=b"{}")
            assert answer.status_code != 404, f"{service} {name}: {path} is not in the table"


@pytest.mark.parametrize("service", [name for name in FAMILY if name != "bedrock-data-automation-runtime"])
def test_whole_services_can_be_added(native: Native, everything: Native, service: str) -> None:
    """Every operation of an added service reaches its endpoint; before, none does."""
    model = botocore.session.get_session().get_service_model(service)
    for name in model.operation_names:
        operation = model.operation_model(name)
        path = operation.http["requestUri"]
        members = operation.input_shape.members.values() if operation.input_shape else []
        for member in members:
            path = path.replace("{" + member.serialization.get("name", "") + "}", "abcdefghij")
        everything.seen.clear()
        answer = HTTP.request(operation.http["method"], f"{everything.gateway.url}/bedrock{path}", content=b"{}")
        assert answer.status_code == 200, f"{name}: {operation.http}"
        (seen,) = everything.seen
        # Services have paths in common, and the first one has them.
        assert seen.service == service or path.lower().startswith(SHARED), name
    refused = HTTP.delete(f"{native.gateway.url}/bedrock/guardrails/abcdefghij")
    assert refused.status_code == 404 and refused.headers["x-amzn-errortype"] == "UnknownOperationException"


CORE_ARN = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/miner-AbCdEfGhIj"


@pytest.mark.parametrize(
    ("service", "name", "arguments"),
    [
        ("bedrock-agentcore", "InvokeAgentRuntime", {"agentRuntimeArn": CORE_ARN, "payload": b"\x00s3\xff", "traceId": "t-1", "mcpSessionId": "m-1"}),
        ("bedrock-agentcore", "InvokeCodeInterpreter", {}),
        ("bedrock-agentcore", "RetrieveMemoryRecords", {}),
        ("bedrock-agentcore-control", "ListTagsForResource", {"resourceArn": CORE_ARN}),
        ("bedrock-data-automation", "ListDataAutomationProjects", {}),
        ("bedrock-data-automation-runtime", "GetDataAutomationStatus", {}),
        ("bedrock-data-automation-runtime", "InvokeDataAutomationAsync", {}),
    ],
)
def test_boto3_calls_added_services(
    native: Native, everything: Native, service: str, name: str, arguments: dict[str, Any]
) -> None:
    """The same call, straight and through the gateway: path, body and the headers of the service are the same."""
    everything.seen.clear()

    def called(made: Any) -> Any:
        model = made.meta.service_model.operation_model(name)
        method = next(py for py, op in made.meta.method_to_api_mapping.items() if op == name)
        filled = {**shapes.minimal(model.input_shape), **arguments}
        filled.update({token: "a" * 40 for token in model.idempotent_members})
        answer = getattr(made, method)(**filled)
        answer.pop("ResponseMetadata")
        return {key: read(value) for key, value in answer.items()}

    expected = called(everything.direct(service))
    assert called(everything.through(service)) == expected
    direct, relayed = everything.seen
    assert relayed.service == service, "the wrong endpoint"
    assert (relayed.method, relayed.path, relayed.body) == (direct.method, direct.path, direct.body)
    for header in ("x-amz-target", "mcp-session-id", "x-amzn-trace-id"):
        if header != "x-amzn-trace-id" or "traceId" in arguments:
            assert relayed.headers.get(header) == direct.headers.get(header), header
    if direct.path.startswith(SHARED):
        return
    refused = native.through(service)
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        called(refused)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404), "an added service alone"
