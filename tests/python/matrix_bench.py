"""The bench of the request matrix: a gateway with an emulator whose journal shows the calls."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from outcrop_process import PATIENCE, Outcrop

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDMATRIX", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "us-east-1"}


@dataclass(frozen=True)
class Outcome:
    """The result of one request: the response's status and body, and the calls that reached Bedrock."""

    status: int
    body: bytes
    calls: list[dict[str, Any]]

    @property
    def param(self) -> str:
        """The field that an error names, if any."""
        return str(json.loads(self.body)["error"]["param"])

    @property
    def message(self) -> str:
        """The message of an error; empty where there is none."""
        return "" if self.status == 200 else str(json.loads(self.body)["error"]["message"])


class Bench:
    """Connections to both."""

    def __init__(self, gateway: Outcrop, emulator: Outcrop) -> None:
        self.gateway = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
        self.journal = http.client.HTTPConnection(*emulator.address, timeout=PATIENCE)

    def close(self) -> None:
        self.gateway.close()
        self.journal.close()

    def send(self, path: str, request: dict[str, Any]) -> Outcome:
        """One request and its result."""
        data = json.dumps(request)
        self.gateway.request("POST", path, data, {"content-type": "application/json"})
        answer = self.gateway.getresponse()
        body = answer.read()
        self.journal.request("GET", "/_emulator/calls")
        calls = json.loads(self.journal.getresponse().read())
        self.journal.request("DELETE", "/_emulator/calls")
        self.journal.getresponse().read()
        return Outcome(answer.status, body, [call for call in calls if call["model_id"] is not None])


@contextmanager
def started() -> Iterator[Bench]:
    """Both processes and the connections to them."""
    arguments = ["emulate", "--listen", "127.0.0.1:0", "--pace", "0"]
    with Outcrop(arguments, ready_path=None) as emulator:
        environment = {**KEYS, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": emulator.url}
        with Outcrop(["--listen", "127.0.0.1:0"], environment=environment) as gateway:
            bench = Bench(gateway, emulator)
            try:
                yield bench
            finally:
                bench.close()
