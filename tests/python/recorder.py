"""Bedrock endpoints that record requests and answer from botocore's models."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

import botocore.session
from botocore.model import OperationModel, ServiceModel

import shapes
from loopback import Loopback
from outcrop_process import PATIENCE

SERVICES = [
    "bedrock-runtime",
    "bedrock-agent-runtime",
    "bedrock",
    "bedrock-agent",
    "bedrock-agentcore",
    "bedrock-agentcore-control",
    "bedrock-data-automation",
    "bedrock-data-automation-runtime",
]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    service: str
    port: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Endpoint(Loopback):
    """One service."""

    def __init__(self, service: str, seen: list[Seen]) -> None:
        super().__init__(handler_for(self))
        self.service = service
        self.seen = seen
        self.model = botocore.session.get_session().get_service_model(service)
        self.operations = routes(self.model)
        self.override: tuple[int, dict[str, str], bytes] | None = None

    def operation(self, method: str, path: str, target: str | None = None) -> OperationModel | None:
        """The operation of a request line, or the one that the header of a JSON service names."""
        if target is not None and path == "/":
            return self.model.operation_model(target.split(".", 1)[1])
        path = path.split("?", 1)[0].rstrip("/")
        return next((op for verb, pattern, op in self.operations if verb == method and pattern.fullmatch(path)), None)


def routes(model: ServiceModel) -> list[tuple[str, re.Pattern[str], OperationModel]]:
    """Method, path pattern and model of each operation, literal paths first."""
    found = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        uri = operation.http["requestUri"].rstrip("/")
        pattern = re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]+\})", uri)))
        found.append((uri.count("{"), operation.http["method"], pattern, operation))
    return [(verb, pattern, operation) for _, verb, pattern, operation in sorted(found, key=lambda row: row[0])]


def handler_for(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    """A request handler bound to its endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def log_message(self, *_: object) -> None:
            """Does not log."""

        def handle_any(self) -> None:
            """Records the request and answers it."""
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            endpoint.seen.append(
                Seen(endpoint.service, endpoint.server.server_port, self.command, self.path, headers, body)
            )
            operation = endpoint.operation(self.command, self.path, headers.get("x-amz-target"))
            if endpoint.override is not None:
                status, sent, data = endpoint.override
            elif operation is None:
                status, sent, data = 404, {"x-amzn-errortype": "UnknownOperationException"}, b"{}"
            else:
                kind, data = shapes.answer(operation)
                status, sent = 200, {"content-type": kind, "x-amzn-bedrock-input-token-count": "3"}
            self.send_response(status)
            for name, value in {"x-amzn-requestid": "native-1", "set-cookie": "no=1", **sent}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any

    return Handler
