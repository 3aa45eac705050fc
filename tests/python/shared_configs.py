"""Plays collected configuration files and environments: a gateway started as a case says, and what it sent where.

A case of `native` is a JSON file with `env`, `files`, `config`, `args` and a `request`; a case of `config` is a YAML
file of LiteLLM's whose comments at the top say the rest. Words such as UP, TLS, STS, PROXY, KEY1 and CORP_CA stand
for servers and secrets of the test's own.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import pytest

from aws_fakes_identity import assumed
from aws_fakes import Mint
from forward_proxy import CorporateRoot, ForwardProxy, closed_port
from outcrop_process import PATIENCE, Outcrop, run_to_end
from scripted import Answer, Asked, Handler, Scripted, text_answer, text_frames
from shared_cases import Case, Told, folder

HI = [{"role": "user", "content": "hi"}]
CHAT = "/v1/chat/completions"
# What a case of LiteLLM's files starts with where it does not say otherwise.
OWN = {"AWS_ACCESS_KEY_ID": "KEY1", "AWS_SECRET_ACCESS_KEY": "SECRET1", "AWS_REGION": "us-east-1"}
REGION = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
MODEL = {"modelArn": "arn:aws:bedrock:eu-central-1::foundation-model/amazon.nova-lite-v1:0"}


@dataclass(frozen=True)
class Signed:
    """Who signed a call, and for where."""

    key: str
    region: str


def signed(asked: Asked) -> Signed:
    """What the authorization of a call says."""
    found = REGION.match(asked.headers.get("authorization", "").removeprefix("AWS4-HMAC-SHA256 "))
    assert found, f"not signed: {asked.headers.get('authorization')}"
    return Signed(found[1], found[2])


def native_cases() -> list[Any]:
    """The cases of `native` as parameters."""
    return parameters("native", "*.json", lambda path: json.loads(path.read_text()))


def config_cases() -> list[Any]:
    """The cases of `config` as parameters; files without an id are for others to include."""
    return parameters("config", "*.yaml", read_config)


def parameters(kind: str, pattern: str, read: Any) -> list[Any]:
    found = folder(kind)
    if found is None:
        return [pytest.param(None, id="no-cases")]
    cases = [case for case in map(read, sorted(found.glob(pattern))) if case.get("id")]
    return [pytest.param(case, id=case["id"]) for case in cases]


def read_config(path: Path) -> Case:
    """A file of LiteLLM's, and what its first comments say."""
    text = path.read_text()
    case: Case = {"config": text, "beside": str(path.parent), "env": {}}
    for line in text.splitlines():
        told = re.match(r"# (\w+): (.*)", line)
        if not told:
            break
        case[told[1]] = told[2] if told[1] != "env" else variables(told[2])
    return case


def variables(told: str) -> dict[str, str]:
    """`NAME=value, NAME=(blank)`."""
    pairs = (pair.split("=", 1) for pair in told.split(", "))
    return {name: "" if value == "(blank)" else value for name, value in pairs}


class World:
    """The servers that a case may name, and the gateway among them."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder, self.mint = case, folder, Mint()
        self.stack = ExitStack()
        self.sts_denies: tuple[str, ...] = ()
        self.pause = 0.0
        self.failing = 0
        self.roles: dict[str, str] = {}

    def __enter__(self) -> "World":
        enter = self.stack.enter_context
        self.root = CorporateRoot(self.folder)
        self.up, self.behind_tls = enter(Scripted(self.answer)), Scripted(self.answer)
        self.sts, self.sts_behind_tls = enter(Scripted(self.assume)), Scripted(self.assume)
        tls = self.root.behind_tls(self.behind_tls, "127.0.0.1")
        sts = self.root.behind_tls(self.sts_behind_tls, "127.0.0.1")
        enter(self.behind_tls)
        enter(self.sts_behind_tls)
        self.proxy = enter(ForwardProxy({"127.0.0.1": tls}))
        self.port = closed_port()
        self.words = {
            "STS behind TLS of CORP_CA": f"https://127.0.0.1:{sts}",
            "token file": str(self.folder / "token"),
            "CORP_CA": str(self.root.root),
            "DEAD": f"127.0.0.1:{closed_port()}",
            "HOSTNAME": hostname(self.port),
            "PORT": str(self.port),
            "PROXY": self.proxy.url,
            "STS": self.sts.url,
            "TLS": f"https://127.0.0.1:{tls}",
            "UP": self.up.url,
        }
        (self.folder / "token").write_text("jwt")
        for name, text in self.case.get("files", {}).items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.filled(text))
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def filled(self, text: str) -> str:
        """The text with servers in the place of the words that stand for them."""
        words = "|".join(map(re.escape, sorted(self.words, key=len, reverse=True)))
        return re.sub(rf"\b({words})\b", lambda found: self.words[found[1]], text)

    def environment(self, **more: str) -> dict[str, str]:
        """As the case says, and nothing that would leave the machine."""
        told = self.case.get("env", {})
        env = {name: self.filled(value) for name, value in {**more, **told}.items() if name != "STS"}
        env = {"AWS_ENDPOINT_URL_BEDROCK": self.up.url, "AWS_ENDPOINT_URL_STS": self.sts.url, **env, "HOME": str(self.folder)}
        if env.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
            env["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(self.folder / "token")
        return env

    def gateway(self, arguments: list[str], environment: dict[str, str]) -> Outcrop:
        """Starts the gateway, with the files of AWS's in its home."""
        files = {"bedrock.json": self.filled(text) for name, text in self.case.get("files", {}).items() if name == "bedrock.json"}
        if "config" in self.case:
            files["config.yaml"] = self.filled(self.case["config"])
            arguments = [*arguments, "--config", "config.yaml"]
        for path in Path(self.case.get("beside", "/nonexistent")).glob("model_*.yaml"):
            files[path.name] = path.read_text()
        # The databases that files name are not here.
        environment = {**(environment or {}), "DATABASE_URL": "sqlite:outcrop.db"}
        running = Outcrop(arguments, environment=environment, files=files)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            running.environment.pop(name)
        return self.stack.enter_context(running)

    def native(self) -> Outcrop:
        """A gateway for a case of `native`."""
        arguments = [self.filled(argument) for argument in self.case.get("args", ["--listen", "127.0.0.1:0"])]
        return self.gateway(arguments, self.environment(**({} if "env" in self.case else self.ordinary())))

    def litellm(self) -> Outcrop:
        """A gateway for a file of LiteLLM's; its own keys are KEY1 unless the case names a role for it."""
        own = {} if "AWS_ROLE_ARN" in self.case["env"] else OWN
        up = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.up.url}
        return self.gateway(["--listen", "127.0.0.1:0"], self.environment(**own, **up))

    def ordinary(self) -> dict[str, str]:
        return {**OWN, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.up.url}

    def refused(self) -> str:
        """What a start says that must end with 2."""
        files = {"config.yaml": self.case["config"]}
        arguments = ["--listen", "127.0.0.1:0", "--config", "config.yaml"]
        ended = run_to_end(arguments, environment=self.environment(**self.ordinary()), files=files)
        assert ended.returncode == 2, ended.stdout + ended.stderr
        return ended.stderr

    def answer(self, handler: Handler, asked: Asked) -> Answer | None:
        """Bedrock, as far as these cases need it."""
        if self.pause:
            handler.silence(self.pause)
        if self.failing:
            self.failing -= 1
            return Answer.json({"message": "broken"}, 500, x_amzn_errortype="InternalServerException")
        if asked.path.startswith("/inference-profiles/"):
            return Answer.json({"inferenceProfileArn": "a", "models": [MODEL], "status": "ACTIVE", "type": "APPLICATION"})
        if asked.operation in ("converse-stream", "invoke-with-response-stream"):
            return Answer.frames(*text_frames(["ok"]))
        if asked.operation == "converse":
            return text_answer("ok")
        if asked.operation == "invoke":
            return Answer.json({"embeddings": {"float": [[0.5]]}, "content": []}, x_amzn_bedrock_input_token_count="1")
        return Answer.json({"message": "not here"}, 404, x_amzn_errortype="ResourceNotFoundException")

    def assume(self, _: Handler, asked: Asked) -> Answer:
        """STS: keys for every role, unless the case has it deny."""
        form = {name: values[0] for name, values in parse_qs(asked.raw.decode()).items()}
        if form["Action"] in self.sts_denies:
            error = "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error>"
            return Answer(403, {"content-type": "text/xml"}, f"<ErrorResponse>{error}</ErrorResponse>".encode())
        issued = self.mint.session()
        self.roles[issued.keys.access_key] = form["RoleArn"]
        text = assumed(form["Action"], form["RoleArn"], form["RoleSessionName"], issued)
        return Answer(200, {"content-type": "text/xml"}, text.encode())


def hostname(port: int) -> str:
    """The machine's own name, if it leads anywhere."""
    try:
        socket.getaddrinfo(socket.gethostname(), port)
        return socket.gethostname()
    except OSError:
        return "127.0.0.2"


@dataclass
class Player:
    """Asks a gateway, and tells what it sent on."""

    gateway: Outcrop
    upstream: Scripted
    since: int = field(default=0)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Told:
        """One request; the path goes out as it is."""
        self.since = len(self.upstream.asked)
        named = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.address[1], timeout=PATIENCE)
        try:
            connection.request(method, path, None if body is None else json.dumps(body).encode(), named)
            answer = connection.getresponse()
            raw = answer.read()
            return Told(answer.status, {name.lower(): text for name, text in answer.getheaders()}, raw)
        finally:
            connection.close()

    @property
    def sent(self) -> list[Asked]:
        """What went to Bedrock for the last request."""
        return self.upstream.asked[self.since :]

    def calls(self, name: str, **more: Any) -> list[Asked]:
        """A chat, whole and streamed, and a Converse call on a name, all answered; what they became."""
        sent = []
        for stream in ({}, {"stream": True}):
            told = self.send("POST", CHAT, {"model": name, "messages": HI, **stream, **more})
            assert told.status == 200, f"{told.status} {told.raw[:600]!r}\n{self.gateway.log()}"
            sent.append(self.sent[-1])
        told = self.converse(name)
        assert told.status == 200, f"{told.status} {told.raw[:600]!r}\n{self.gateway.log()}"
        return [*sent, self.sent[-1]]

    def converse(self, name: str, **headers: str) -> Told:
        """A Converse call of Bedrock's own API."""
        body = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
        return self.send("POST", f"/bedrock/model/{quote(name, safe='')}/converse", body, **headers)
