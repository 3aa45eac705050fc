"""Fake sources of AWS credentials on loopback, and a Bedrock that accepts the credentials they issued.

A mint invents every key and secret and remembers it. The fakes answer as a container endpoint and an
instance's metadata service do; the judge checks each request against the credentials that it names. Any
secret of the mint in a log is a leak.
"""

from __future__ import annotations

import datetime
import json
import math
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from botocore.credentials import Credentials

from loopback import Loopback
from outcrop_process import PATIENCE
from upstream import Expectation, Upstream

BACKLOG = 128


@dataclass(frozen=True)
class Issued:
    """Credentials a fake handed out, and when they end (seconds since 1970)."""

    keys: Credentials
    expires: float = math.inf

    @property
    def expiration(self) -> str:
        """The expiry in AWS's format."""
        end = datetime.datetime.fromtimestamp(self.expires, datetime.timezone.utc)
        return end.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def environment(self) -> dict[str, str]:
        """As the variables every AWS tool reads."""
        found = {
            "AWS_ACCESS_KEY_ID": self.keys.access_key,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_key,
        }
        return found | ({"AWS_SESSION_TOKEN": self.keys.token} if self.keys.token else {})

    @property
    def ini(self) -> str:
        """As the lines of a profile."""
        return "".join(f"{name.lower()} = {value}\n" for name, value in self.environment.items())


class Mint:
    """Invents credentials and remembers every secret."""

    def __init__(self) -> None:
        self.issued: dict[str, Issued] = {}
        self.secrets: list[str] = []

    def secret(self, kind: str) -> str:
        """A new secret, with the characters that real ones have."""
        made = f"{kind}/{uuid.uuid4().hex}+{uuid.uuid4().hex}=="
        self.secrets.append(made)
        return made

    def lasting(self) -> Issued:
        """An access key without expiry and session token."""
        return self.remember(Issued(Credentials(f"AKIA{uuid.uuid4().hex[:16].upper()}", self.secret("key"))))

    def session(self, lifetime: float = 3600.0) -> Issued:
        """Temporary credentials."""
        keys = Credentials(f"ASIA{uuid.uuid4().hex[:16].upper()}", self.secret("key"), self.secret("token"))
        return self.remember(Issued(keys, time.time() + lifetime))

    def remember(self, made: Issued) -> Issued:
        self.issued[made.keys.access_key] = made
        return made

    def leaks(self, text: str) -> list[str]:
        """The secrets, or access key ids, that the text contains."""
        return [secret for secret in [*self.secrets, *self.issued] if secret in text]


@dataclass(frozen=True)
class Call:
    """One request a fake received; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path


@dataclass(frozen=True)
class Answer:
    """The response of a fake."""

    body: str
    status: int = 200
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class Fake(Loopback):
    """A small HTTP server that can be made to fail."""

    def __init__(self) -> None:
        super().__init__(handler_for(self))
        self.calls: list[Call] = []
        self.problems: list[str] = []
        # While set, every request is answered with 500, or with this text instead of credentials.
        self.broken = False
        self.garbled: str | None = None
        # While cleared, every answer is delayed.
        self.open = threading.Event()
        self.open.set()
        self.most_at_once = 0
        self.at_once = 0
        self.lock = threading.Lock()

    def __exit__(self, *_: object) -> None:
        self.open.set()
        super().__exit__()

    def answer(self, call: Call) -> Answer:
        """The response; subclasses record objections in `problems`."""
        raise NotImplementedError

    def refuse(self, problem: str, status: int = 401) -> Answer:
        """Notes a problem and answers with an error."""
        self.problems.append(problem)
        return Answer("{}", status)

    def receive(self, call: Call) -> Answer:
        with self.lock:
            self.calls.append(call)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.open.wait(PATIENCE)
            if self.broken:
                return Answer('{"message": "broken"}', 500)
            return self.answer(call) if self.garbled is None else Answer(self.garbled)
        finally:
            with self.lock:
                self.at_once -= 1


def handler_for(fake: Fake) -> type[BaseHTTPRequestHandler]:
    """A request handler bound to its server object."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def log_message(self, *_: object) -> None:
            """Does not log."""

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = fake.receive(Call(self.command, self.path, headers, body))
            data = answer.body.encode()
            self.send_response(answer.status)
            self.send_header("content-type", answer.kind)
            self.send_header("content-length", str(len(data)))
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = serve

    return Handler


def container_json(issued: Issued, **more: Any) -> str:
    """Credentials in the form of container endpoint and instance metadata."""
    return json.dumps(
        {
            "AccessKeyId": issued.keys.access_key,
            "SecretAccessKey": issued.keys.secret_key,
            "Token": issued.keys.token,
            "Expiration": issued.expiration,
            **more,
        }
    )


class Container(Fake):
    """The endpoint of an ECS task role or of EKS Pod Identity."""

    PATH = "/v2/credentials/task"

    def __init__(self, mint: Mint, token: str | None = None) -> None:
        super().__init__()
        self.mint = mint
        self.token = token
        # Lifetime of the credentials issued next, in seconds.
        self.lifetime = 3600.0
        self.handed_out: list[Issued] = []

    def answer(self, call: Call) -> Answer:
        if (call.method, call.path) != ("GET", self.PATH):
            return self.refuse(f"{call.method} {call.target}", 404)
        if call.headers.get("authorization") != self.token:
            return self.refuse(f"authorization {call.headers.get('authorization')!r}")
        self.handed_out.append(self.mint.session(self.lifetime))
        return Answer(container_json(self.handed_out[-1]))


class Metadata(Fake):
    """The metadata service of an instance, version 2 only."""

    ROLE = "gateway-role"
    FOLDER = "/latest/meta-data/iam/security-credentials/"
    TTL = "x-aws-ec2-metadata-token-ttl-seconds"

    def __init__(self, mint: Mint, region: str) -> None:
        super().__init__()
        self.token = mint.secret("imds")
        self.region = region
        self.role = mint.session()

    def answer(self, call: Call) -> Answer:
        if (call.method, call.path) == ("PUT", "/latest/api/token"):
            ttl = call.headers.get(self.TTL, "")
            if not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
                return self.refuse(f"token asked for {ttl!r} seconds", 400)
            return Answer(self.token, kind="text/plain", headers=((self.TTL, ttl),))
        if call.headers.get("x-aws-ec2-metadata-token") != self.token:
            return self.refuse(f"{call.path} without the token")
        texts = {
            "/latest/meta-data/placement/region": self.region,
            self.FOLDER: self.ROLE,
            self.FOLDER + self.ROLE: container_json(self.role, Code="Success", Type="AWS-HMAC"),
        }
        if call.path not in texts:
            return self.refuse(f"{call.method} {call.path}", 404)
        return Answer(texts[call.path], kind="text/plain")


@dataclass(frozen=True)
class Refusal:
    """A request whose keys Bedrock refused."""

    access_key: str
    reason: str


class Judge(Upstream):
    """A Bedrock that checks each request with the credentials it names, if the mint made them."""

    def __init__(self, mint: Mint, region: str = "us-east-1") -> None:
        self.mint = mint
        self.region = region
        # Access keys that are refused, with the exception for each.
        self.refused: dict[str, str] = {}
        self.refusals: list[Refusal] = []
        # Seconds past their end for which credentials are still accepted.
        self.grace = 0.0
        self.here = threading.local()
        super().__init__(Expectation(region=region))
        self.server.RequestHandlerClass = judging(self, self.server.RequestHandlerClass)
        # A burst of connections must not wait for the kernel to try again.
        self.server.socket.listen(BACKLOG)

    @property
    def expectation(self) -> Expectation:
        """The credentials that the current request must be signed with."""
        return getattr(self.here, "expectation", self.otherwise)

    @expectation.setter
    def expectation(self, otherwise: Expectation) -> None:
        self.otherwise = otherwise

    def examine(self, authorization: str) -> Refusal | None:
        """Sets the expectation of this thread's request; returns whether its keys are refused."""
        access_key = named_key(authorization)
        issued = self.mint.issued.get(access_key)
        stranger = Credentials("unknown", "unknown")
        self.here.expectation = Expectation(issued.keys if issued else stranger, region=self.region)
        if access_key in self.refused:
            return Refusal(access_key, self.refused[access_key])
        if issued and issued.expires + self.grace < time.time():
            return Refusal(access_key, "ExpiredTokenException")
        return None

    @property
    def keys_seen(self) -> list[str]:
        """The access keys of all requests, in order."""
        return [named_key(received.headers.get("authorization", "")) for received in self.received]

    @property
    def problems(self) -> list[str]:
        """All objections of the judge, over all requests."""
        return [problem for received in self.received for problem in received.problems]


def named_key(authorization: str) -> str:
    """The access key id that a signature names."""
    return authorization.partition("Credential=")[2].partition("/")[0]


def judging(judge: Judge, plain: Any) -> Any:
    """The upstream's handler, with keys that can be refused."""

    class Handler(plain):  # type: ignore[misc]
        def do_POST(self) -> None:
            self.refusal = judge.examine(self.headers.get("authorization", ""))
            super().do_POST()

        def answer(self, operation: str) -> None:
            if self.refusal is None:
                super().answer(operation)
                return
            judge.refusals.append(self.refusal)
            data = b'{"message":"The security token included in the request is expired"}'
            self.send_response(403)
            self.send_header("x-amzn-errortype", self.refusal.reason)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler
