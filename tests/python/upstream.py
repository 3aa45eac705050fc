"""A Bedrock-shaped server that checks its requests with botocore.

`AWS_ENDPOINT_URL_BEDROCK_RUNTIME` points to it. Every request's signature is recomputed from the
received bytes, and every body is checked against botocore's own model of the operation; mismatches are
recorded as problems for the test to report.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import Shape
from botocore.validate import ParamValidator

import eventstream
from loopback import Loopback
from outcrop_process import PATIENCE

OPERATIONS = {"converse": "Converse", "converse-stream": "ConverseStream"}
REQUIRED_SIGNED = {"host", "x-amz-date"}
NUMBERS = {"integer", "long", "float", "double"}
MAX_SKEW = datetime.timedelta(minutes=5)
MODEL = botocore.session.Session().get_service_model("bedrock-runtime")


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    problems: list[str]
    raw: bytes

    @property
    def model_id(self) -> str:
        """The decoded label of the path."""
        return unquote(self.path.split("/model/", 1)[1].rsplit("/", 1)[0])


@dataclass
class Expectation:
    """The credentials that requests must be authenticated with."""

    credentials: Credentials | None = None
    bearer: str | None = None
    region: str = "us-east-1"


@dataclass
class Reply:
    """The server's answer: an error status with a message, or text."""

    pieces: list[str] = field(default_factory=lambda: ["Hello", " from", " upstream."])
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    stop: str = "end_turn"


class Upstream(Loopback):
    """The server."""

    def __init__(self, expectation: Expectation, prefix: str = "") -> None:
        self.expectation = expectation
        super().__init__(handler_for(self), prefix)
        self.reply = Reply()
        self.received: list[Received] = []


def handler_for(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    """A request handler bound to its server object."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def log_message(self, *_: object) -> None:
            """Does not log."""

        def do_POST(self) -> None:
            """Checks, records and answers a request."""
            raw = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            operation = self.path.rsplit("/", 1)[-1]
            problems = authentication_problems(
                upstream.expectation, self.command, upstream.server.server_port, self.path, headers, raw
            )
            if not self.path.startswith(f"{upstream.prefix}/model/"):
                problems.append(f"path {self.path}")
            body: Any = {}
            try:
                body = json.loads(raw)
                if operation in OPERATIONS:
                    problems += body_problems(OPERATIONS[operation], self.path, body)
                else:
                    problems.append(f"unknown operation {operation}")
            except ValueError as error:
                problems.append(f"body is not JSON: {error}")
            upstream.received.append(Received(self.path, headers, body, problems, raw))
            self.answer(operation)

        def answer(self, operation: str) -> None:
            """Sends the reply the test has set."""
            reply = upstream.reply
            if reply.body is not None:
                data, kind = reply.body, "application/json"
            elif operation == "converse-stream":
                data = eventstream.answer(reply.pieces, reply.stop)
                kind = "application/vnd.amazon.eventstream"
            else:
                data, kind = unary("".join(reply.pieces), reply.stop), "application/json"
            self.send_response(reply.status)
            sent = {
                "content-type": kind,
                "content-length": str(len(data)),
                "x-amzn-requestid": f"upstream-{len(upstream.received)}",
                **reply.headers,
            }
            for name, value in sent.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    return Handler


def unary(text: str, stop: str) -> bytes:
    """A Converse answer of one text block."""
    return json.dumps(
        {
            "metrics": {"latencyMs": 12},
            "output": {"message": {"content": [{"text": text}], "role": "assistant"}},
            "stopReason": stop,
            "usage": {"inputTokens": 11, "outputTokens": 7, "serverToolUsage": {}, "totalTokens": 18},
        }
    ).encode()


def authentication_problems(
    expected: Expectation, method: str, port: int, path: str, headers: dict[str, str], raw: bytes
) -> list[str]:
    """Problems of the request's bearer key or signature."""
    given = headers.get("authorization", "")
    if expected.bearer is not None:
        problems = [] if given == f"Bearer {expected.bearer}" else ["wrong bearer key"]
        return problems + (["x-amz-date beside a bearer key"] if "x-amz-date" in headers else [])
    assert expected.credentials is not None
    scheme, _, rest = given.partition(" ")
    if scheme != "AWS4-HMAC-SHA256":
        return [f"not signed: {given[:30]!r}"]
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    names = parts["SignedHeaders"].split(";")
    problems = [f"{name} is not signed" for name in sorted(REQUIRED_SIGNED - set(names))]
    problems += [
        f"{name} is sent and not signed"
        for name in headers
        if name.startswith("x-amz-") and name not in names
    ]
    if names != sorted(names):
        problems.append("SignedHeaders is not sorted")
    stamp = headers.get("x-amz-date", "")
    scope = f"{expected.credentials.access_key}/{stamp[:8]}/{expected.region}/bedrock/aws4_request"
    if parts["Credential"] != scope:
        problems.append(f"credential scope {parts['Credential']}, expected {scope}")
    sent = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if abs(datetime.datetime.now(datetime.timezone.utc) - sent) > MAX_SKEW:
        problems.append(f"x-amz-date {stamp} is off")
    if headers.get("x-amz-security-token") != expected.credentials.token:
        problems.append("wrong session token")
    request = AWSRequest(
        method=method,
        url=f"http://127.0.0.1:{port}{path}",
        data=raw,
        headers={name: headers[name] for name in names if name in headers},
    )
    request.context["timestamp"] = stamp
    signer = SigV4Auth(expected.credentials, "bedrock", expected.region)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    if signer.signature(to_sign, request) != parts["Signature"]:
        problems.append(f"the signature differs; expected to sign:\n{to_sign}")
    return problems


def body_problems(operation: str, path: str, body: Any) -> list[str]:
    """Problems that botocore's model of the operation finds in the body."""
    shape = MODEL.operation_model(operation).input_shape
    if not isinstance(body, dict):
        return ["the body is not an object"]
    problems: list[str] = []
    label = unquote(path.split("/model/", 1)[1].rsplit("/", 1)[0])
    typed = convert({**body, "modelId": label}, shape, "body", problems)
    report = ParamValidator().validate(typed, shape)
    if report.has_errors():
        problems.append(report.generate_report())
    return problems


def convert(value: Any, shape: Shape, where: str, problems: list[str]) -> Any:
    """The JSON value as botocore's Python parameters; notes unknown members and bad base64."""
    kind = shape.type_name
    if kind == "structure" and not getattr(shape, "is_document_type", False):
        if not isinstance(value, dict):
            return value
        for name in value:
            if name not in shape.members:
                problems.append(f"{where}.{name} is no member of {shape.name}")
        if getattr(shape, "is_tagged_union", False) and len(value) != 1:
            problems.append(f"{where}: a union holds {sorted(value)}")
        return {
            name: convert(member, shape.members[name], f"{where}.{name}", problems)
            for name, member in value.items()
            if name in shape.members
        }
    if kind == "list" and isinstance(value, list):
        bound(len(value), shape, where, problems)
        return [convert(item, shape.member, f"{where}[{n}]", problems) for n, item in enumerate(value)]
    if kind == "map" and isinstance(value, dict):
        bound(len(value), shape, where, problems)
        for key in value:
            convert(key, shape.key, f"{where} key {key!r}", problems)
        return {key: convert(item, shape.value, f"{where}.{key}", problems) for key, item in value.items()}
    if kind == "blob":
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            problems.append(f"{where} is not base64")
            return b""
    if kind == "string" and isinstance(value, str):
        bound(len(value), shape, where, problems)
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            problems.append(f"{where}: {value!r} does not match the pattern {pattern}")
        if shape.enum and value not in shape.enum:
            problems.append(f"{where}: {value!r} is none of {shape.enum}")
    if kind in NUMBERS and isinstance(value, int | float):
        bound(value, shape, where, problems)
    return value


def bound(size: float, shape: Shape, where: str, problems: list[str]) -> None:
    """Checks the limits on lengths, counts and values; botocore itself leaves the upper ones to the
    service."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        problems.append(f"{where}: {size} is below the least of {shape.name}, {least}")
    if most is not None and size > most:
        problems.append(f"{where}: {size} is above the most of {shape.name}, {most}")
