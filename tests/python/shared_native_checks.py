"""How each kind of `native` case is judged: environments, AWS's files and paths of Bedrock's own API."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from urllib.parse import quote

from authority import Authority
from outcrop_process import PATIENCE, Outcrop
from scripted import Asked
from shared_cases import Case, Told
from shared_configs import Player, Signed, World, signed

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, DATA, END = 4, 1, 0, 1


def asked(case: Case, world: World, gateway: Outcrop) -> tuple[Told, list[Asked]]:
    """The request of a case, and what reached either Bedrock."""
    before = [len(world.up.asked), len(world.behind_tls.asked)]
    request = case["request"]
    told = Player(gateway, world.up).send(request["method"], request["path"], request["body"])
    return told, world.up.asked[before[0] :] + world.behind_tls.asked[before[1] :]


def answered(case: Case, world: World) -> list[Asked]:
    """The same where it must be answered."""
    gateway = world.native()
    told, sent = asked(case, world, gateway)
    assert told.status == 200, f"{told.status} {told.raw[:600]!r}\n{gateway.log()}"
    assert sent, "nothing was sent on"
    return sent


def arn_region(case: Case, world: World) -> None:
    for one in answered(case, world):
        assert signed(one) == Signed("KEY1", "eu-central-1"), one.path


def bedrock_json(case: Case, world: World) -> None:
    told = json.loads(case["files"]["bedrock.json"])
    sent = answered(case, world)[-1]
    assert signed(sent) == Signed("KEY3", told["region"])
    assert sent.headers.get("x-amz-security-token") == told.get("aws_session_token")


def starts(case: Case, world: World) -> None:
    """It starts, and asks Bedrock as ever."""
    case = {"request": {"method": "POST", "path": "/v1/chat/completions", "body": CHAT_BODY}, **case}
    world.case["env"].setdefault("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "UP")
    gateway = world.native()
    if world.case["env"]["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] == "UP":
        told, sent = asked(case, world, gateway)
        assert told.status == 200 and signed(sent[-1]).key == "KEY1", told.raw
    assert "panicked" not in gateway.log()


def trusted(case: Case, world: World) -> None:
    """The call is answered by Bedrock behind the private root."""
    assert answered(case, world) == world.behind_tls.asked
    if "AWS_ENDPOINT_URL_STS" in case["env"]:
        assert world.sts_behind_tls.asked and not world.sts.asked


def http2(case: Case, world: World) -> None:
    """A request over HTTP/2 with prior knowledge, or agreed on by ALPN."""
    if "tls" in case["config"]:
        authority = Authority(world.folder)
        world.words |= {"CERT": str(world.folder / "server.pem"), "KEY": str(world.folder / "server.key")}
        gateway = tls_gateway(world)
        context = ssl.create_default_context(cafile=str(authority.root))
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(gateway, timeout=PATIENCE)
        connection: socket.socket = context.wrap_socket(plain, server_hostname="127.0.0.1")
    else:
        connection = socket.create_connection(world.native().address, timeout=PATIENCE)
    with connection:
        body = json.dumps({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}).encode()
        fields = {":method": "POST", ":scheme": "http", ":path": "/bedrock/model/nova/converse", ":authority": "127.0.0.1"}
        fields |= {"content-type": "application/json", "content-length": str(len(body))}
        block = b"".join(b"\0" + text(name) + text(value) for name, value in fields.items())
        connection.sendall(PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, 4, 1, block) + frame(DATA, END, 1, body))
        assert frames_end_well(connection), "no HTTP/2"
    assert len(world.up.asked) == 1


def tls_gateway(world: World) -> tuple[str, int]:
    """A gateway that speaks https, which the usual probe cannot ask."""
    running = Outcrop(
        ["--listen", "127.0.0.1:0", "--config", "config.yaml"],
        environment=world.environment(**world.ordinary()),
        files={"config.yaml": world.filled(world.case["config"])},
        ready_path=None,
    )
    return world.stack.enter_context(running).address


def text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def frames_end_well(connection: socket.socket) -> bool:
    """Whether stream 1 is answered with 200 and ended; false where the other side speaks no HTTP/2."""
    reader, status = connection.makefile("rb"), b""
    while head := reader.read(9):
        if head.startswith(b"HTTP/"):
            return False
        payload = reader.read(int.from_bytes(head[:3]))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:])
        status = payload[:1] if kind == HEADERS and stream == 1 else status
        if stream == 1 and flags & END:
            # The static table's `:status: 200`.
            assert status == b"\x88", payload
            return True
    return False


def litellm_env(case: Case, world: World) -> None:
    sent = answered(case, world)[-1]
    env = case["env"]
    if "AWS_ROLE_NAME" in env:
        assert world.roles[signed(sent).key] == env["AWS_ROLE_NAME"]
        assert f"RoleSessionName={env['AWS_SESSION_NAME']}" in world.sts.asked[-1].raw.decode()
    else:
        assert signed(sent).key == ("KEY3" if "AWS_PROFILE_NAME" in env else "KEY1")


def proxy(case: Case, world: World) -> None:
    env = case["env"]
    gateway = world.native()
    told, sent = asked(case, world, gateway)
    if "PROXY" in env.values():
        assert told.status == 200 and len(sent) == 1, f"{told.raw!r}\n{gateway.log()}"
        assert world.proxy.seen == [f"CONNECT {world.words['DEAD']}"]
    elif "NO_PROXY" in env:
        assert told.status == 200 and len(sent) == 1, told.raw
    else:
        assert told.status == 503 and not sent, told.raw


def raw_slash(case: Case, world: World) -> None:
    """What stands between `model` and the operation is the name; it is passed on encoded."""
    sent = answered(case, world)[-1]
    name, operation = case["request"]["path"].removeprefix("/bedrock/model/").rsplit("/", 1)
    model = "us.amazon.nova-lite-v1:0" if "config" in case else name
    assert sent.path == f"/model/{quote(model, safe='')}/{operation}"


def self_loop(case: Case, world: World) -> None:
    try:
        gateway = world.native()
    except AssertionError as ended:
        assert "is this gateway's own address" in str(ended)
        return
    told, _ = asked(case, world, gateway)
    assert told.status >= 400, told.raw
    assert "a gateway whose Bedrock endpoint is a gateway" in told.json["error"]["message"]


def user_agent(case: Case, world: World) -> None:
    told = answered(case, world)[-1].headers["user-agent"]
    assert f"app/{case['env']['AWS_SDK_UA_APP_ID']}" in told.split(), told


CHAT_BODY = {"model": "us.amazon.nova-lite-v1:0", "messages": [{"role": "user", "content": "hi"}]}
CHECKS: dict[str, Callable[[Case, World], None]] = {
    "arn-region": arn_region,
    "aws-ca-bundle": trusted,
    "aws-env": user_agent,
    "aws-proxy": proxy,
    "bedrock-json": bedrock_json,
    "blank-variable": starts,
    "http2": http2,
    "litellm-env": litellm_env,
    "native-path": raw_slash,
    "self-loop": self_loop,
    "start-panic": starts,
}
