"""The gateway's process: start, refusal to start, health, shutdown, and the log."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from outcrop_process import BINARY, PATIENCE, Outcrop, answers, run_to_end
from samples import ECHO, NOVA
from sse import Exchange, chat, request, stream
from upstream import Expectation, Reply, Upstream

DEMO = ["--demo", "--listen", "127.0.0.1:0"]
WORDS = " ".join(f"word{n}" for n in range(120))
HEALTH = ["/livez", "/readyz", "/health/liveliness", "/health/readiness"]


@pytest.fixture()
def demo() -> Iterator[Outcrop]:
    """A gateway that a test may damage."""
    with Outcrop(DEMO) as running:
        yield running


def asking(text: str, model: str = ECHO) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize("path", HEALTH)
def test_health(gateway: Outcrop, path: str) -> None:
    assert answers(gateway.url, path)


def test_sigterm_finishes_an_open_stream(demo: Outcrop) -> None:
    exchange = Exchange(demo.address, {**asking(WORDS), "stream": True})
    try:
        events = exchange.events()
        received = [next(events), next(events)]
        demo.terminate()
        received += events
    finally:
        exchange.close()
    assert received[-1].data == "[DONE]", received[-1]
    text = "".join(
        choice["delta"].get("content") or ""
        for event in received[:-1]
        for choice in event.json["choices"]
    )
    assert text == WORDS
    assert demo.wait() == 0, demo.log()


def test_draining_is_not_ready(demo: Outcrop) -> None:
    """After SIGTERM it accepts no new work, while the open request continues."""
    exchange = Exchange(demo.address, {**asking(WORDS), "stream": True})
    try:
        events = exchange.events()
        next(events)
        demo.terminate()
        deadline = time.monotonic() + PATIENCE
        while answers(demo.url, "/readyz"):
            assert time.monotonic() < deadline, "still ready while draining"
        assert [event.data for event in events][-1] == "[DONE]"
    finally:
        exchange.close()
    assert demo.wait() == 0


def test_sigterm_when_idle(demo: Outcrop) -> None:
    started = time.monotonic()
    demo.terminate()
    assert demo.wait() == 0
    assert time.monotonic() - started < 25, "slow to end without any work"
    with pytest.raises(OSError):
        socket.create_connection(demo.address, 2).close()


def test_idle_keep_alive_connections_do_not_delay_the_end(demo: Outcrop) -> None:
    connection = http.client.HTTPConnection(*demo.address, timeout=PATIENCE)
    try:
        connection.request("GET", "/livez")
        connection.getresponse().read()
        started = time.monotonic()
        demo.terminate()
        assert demo.wait() == 0
        assert time.monotonic() - started < 60
    finally:
        connection.close()


def test_log_at_start_is_short_and_names_the_source(demo: Outcrop) -> None:
    lines = [line for line in demo.log().splitlines() if " INFO " in line or " WARN " in line]
    assert 1 <= len(lines) <= 12, demo.log()
    assert demo.url in demo.log()
    assert "curl" in demo.log(), "the demo prints something to paste"
    for wanted in [
        "configuration: no file (looked for ./outcrop.yaml",
        "may call: every program on this machine, without a key",
        "Bedrock: the built-in emulator at http://127.0.0.1:",
        "capsules of reasoning are sealed with a key of this process",
        " ms\n",
    ]:
        assert wanted in demo.log(), demo.log()


def test_the_lines_of_the_greeting_work(demo: Outcrop) -> None:
    """Both curl lines and the Python program, as they are printed; the second line's answer calls the tool."""
    greeting = demo.log().split("Try it:", 1)[1]
    url = demo.url
    for line in [
        f"OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=unused",
        "CLAUDE_CODE_USE_BEDROCK=1 CLAUDE_CODE_SKIP_BEDROCK_AUTH=1 AWS_REGION=us-east-1 "
        f"ANTHROPIC_BEDROCK_BASE_URL={url}/bedrock claude",
        f"  {url}/ ",
    ]:
        assert line in greeting, greeting
    commands = [f"curl{part}" for part in greeting.split("  curl")[1:]]
    said = []
    for command in [part.split("\n\n")[0] for part in commands]:
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=PATIENCE, check=False)
        said.append(json.loads(result.stdout)["choices"][0])
    assert [choice["finish_reason"] for choice in said] == ["stop", "tool_calls"], said
    assert said[1]["message"]["tool_calls"][0]["function"]["name"] == "get_weather"
    program = textwrap.dedent("  from openai" + greeting.split("  from openai", 1)[1].split("\n\n")[0])
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0 and result.stdout, result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--demo", "--port", "0", "--host", "127.0.0.1"],
        ["--demo", "--port", "0", "--num_workers", "2", "--detailed_debug"],
        ["c.yaml", "--demo", "--port", "0"],
        ["serve", "c.yaml", "--demo", "--port", "0", "--debug"],
        ["--config", "c.yaml", "--demo", "--host", "localhost", "--port", "0", "--workers", "1"],
    ],
)
def test_flags_of_others_are_taken(arguments: list[str]) -> None:
    with Outcrop(arguments, files={"c.yaml": "models: { mine: nova-lite }\n"}) as running:
        name = "mine" if "c.yaml" in arguments else "nova-lite"
        assert chat(running.address, asking("Hi.", name))[0] == 200
        assert ("configuration: c.yaml; 1 name" in running.log()) == ("c.yaml" in arguments), running.log()
        running.terminate()
        assert running.wait() == 0
        assert running.log().rstrip().endswith("stopped"), running.log()


def test_a_misspelled_command_is_no_file() -> None:
    result = run_to_end(["chekc"])
    assert result.returncode == 2 and "did you mean outcrop check?" in result.stderr


def test_a_master_key_opens_other_addresses_and_is_asked_for() -> None:
    text = "model_list: [{ model_name: m, litellm_params: { model: bedrock/nova-lite } }]\ngeneral_settings: { master_key: os.environ/MK }\n"
    arguments = ["--demo", "--config", "c.yaml", "--host", "0.0.0.0", "--port", "0"]
    with Outcrop(arguments, environment={"MK": "sk-canary-0123456789abcdef0123456789ab"}, files={"c.yaml": text}) as running:
        address = ("127.0.0.1", running.address[1])
        assert chat(address, asking("Hi.", "m"))[0] == 401
        assert chat(address, asking("Hi.", "m"), {"authorization": "Bearer sk-other"})[0] == 401
        assert chat(address, asking("Hi.", "m"), {"authorization": "Bearer sk-canary-0123456789abcdef0123456789ab"})[0] == 200
        assert "may call: callers that send the master key (general_settings.master_key, environment MK)" in running.log()
        assert "sk-canary-0123456789abcdef0123456789ab" not in running.log()
        client = boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{address[1]}/bedrock",
            aws_access_key_id="sk-canary-0123456789abcdef0123456789ab",
            aws_secret_access_key="any",
        )
        message = {"role": "user", "content": [{"text": "Hi."}]}
        assert client.converse(modelId="m", messages=[message])["stopReason"] == "end_turn"
        client = boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{address[1]}/bedrock",
            aws_access_key_id="AKIDOTHER",
            aws_secret_access_key="sk-canary-0123456789abcdef0123456789ab",
        )
        with pytest.raises(ClientError) as raised:
            client.converse(modelId="m", messages=[message])
        assert raised.value.response["Error"]["Code"] == "UnrecognizedClientException"
    refused = run_to_end(["--demo", "--host", "0.0.0.0", "--port", "0"])
    assert refused.returncode == 2 and "master_key" in refused.stderr and "--allow-anonymous" in refused.stderr


def test_two_mistakes_are_reported_together() -> None:
    text = "listen: 127.0.0.1:0\nno_such_key: 1\nanother_mistake: [2]\n"
    result = run_to_end(["--config", "outcrop.yaml"], files={"outcrop.yaml": text})
    said = result.stdout + result.stderr
    assert result.returncode == 2, said
    for wanted in ("no_such_key", "another_mistake", "outcrop.yaml:2", "outcrop.yaml:3"):
        assert wanted in said, f"{wanted} is missing:\n{said}"
    assert "listening on" not in said and "panicked" not in said


@pytest.mark.parametrize("text", ["listen: [", "- a\n- b\n", "just words"])
def test_a_file_that_is_not_a_configuration(text: str) -> None:
    result = run_to_end(["--config", "outcrop.yaml"], files={"outcrop.yaml": text})
    said = result.stdout + result.stderr
    assert result.returncode == 2, said
    assert "outcrop.yaml" in said and "panicked" not in said


def test_a_missing_file() -> None:
    result = run_to_end(["--config", "nowhere.yaml"])
    assert result.returncode == 2
    assert "nowhere.yaml" in result.stdout + result.stderr


def test_a_wrong_option() -> None:
    result = run_to_end(["--no-such-option"])
    assert result.returncode == 2 and "--no-such-option" in result.stderr


def test_other_addresses_need_keys_or_permission() -> None:
    result = run_to_end(["--demo", "--listen", "0.0.0.0:0"])
    said = result.stdout + result.stderr
    assert result.returncode == 2, said
    assert "--allow-anonymous" in said and "listening on" not in said
    with Outcrop(["--demo", "--listen", "0.0.0.0:0", "--allow-anonymous"]) as running:
        assert answers(running.url, "/readyz")


def test_a_port_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_to_end(["--demo", "--listen", f"127.0.0.1:{port}"])
    said = result.stdout + result.stderr
    assert result.returncode not in (0, None), said
    assert str(port) in said and "panicked" not in said


def test_healthcheck_follows_the_server(demo: Outcrop) -> None:
    host, port = demo.address
    arguments = ["healthcheck", "--listen", f"{host}:{port}"]
    assert run_to_end(arguments).returncode == 0
    demo.terminate()
    assert demo.wait() == 0
    assert run_to_end(arguments).returncode == 1


CANARIES = {
    "AWS_ACCESS_KEY_ID": "AKIDCANARYEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "canary-secret-4f9d1c",
    "AWS_SESSION_TOKEN": "canary-token-77aa02",
}
CLIENT_KEY = "sk-canary-client-5b21"
PROMPT = "canary-prompt-c0ffee"


@pytest.mark.parametrize("level", ["info", "trace"])
def test_no_secret_in_the_log(level: str) -> None:
    """No secret is logged for any request or failure, at any level."""
    credentials = Credentials(*CANARIES.values())
    with Upstream(Expectation(credentials=credentials)) as upstream:
        environment = {
            **CANARIES,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream.url,
            "RUST_LOG": level,
        }
        with Outcrop(["--listen", "127.0.0.1:0"], environment=environment) as running:
            headers = {"authorization": f"Bearer {CLIENT_KEY}"}
            assert chat(running.address, asking(PROMPT, NOVA), headers)[0] == 200
            assert stream(running.address, asking(PROMPT, NOVA), headers).done
            upstream.reply = Reply(status=403, body=b'{"message": "no"}')
            assert chat(running.address, asking(PROMPT, NOVA), headers)[0] >= 400
            assert not any(received.problems for received in upstream.received)
            log = running.log()
    assert log.count("\n") >= 1, "nothing was logged"
    for secret in (CANARIES["AWS_SECRET_ACCESS_KEY"], CANARIES["AWS_SESSION_TOKEN"], CLIENT_KEY):
        assert secret not in log
    if level == "info":
        assert PROMPT not in log


def test_bearer_key_stays_out_of_the_log() -> None:
    key = "bedrock-api-key-canary-91e"
    with Upstream(Expectation(bearer=key)) as upstream:
        environment = {
            "AWS_BEARER_TOKEN_BEDROCK": key,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream.url,
            "RUST_LOG": "trace",
        }
        with Outcrop(["--listen", "127.0.0.1:0"], environment=environment) as running:
            assert chat(running.address, asking("hi", NOVA))[0] == 200
            assert not upstream.received[0].problems
            assert key not in running.log()


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"])
def test_region_by_any_of_its_names(name: str) -> None:
    credentials = Credentials(*CANARIES.values())
    with Upstream(Expectation(credentials=credentials, region="eu-west-3")) as upstream:
        environment = {**CANARIES, name: "eu-west-3", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream.url}
        with Outcrop(["--listen", "127.0.0.1:0"], environment=environment) as running:
            assert chat(running.address, asking("hi", NOVA))[0] == 200
    assert upstream.received[0].problems == []


def test_bedrock_json_fills_in_missing_values() -> None:
    credentials = Credentials(*CANARIES.values())
    with Upstream(Expectation(credentials=credentials, region="ap-south-1")) as upstream:
        environment = {**CANARIES, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream.url}
        with Outcrop(
            ["--listen", "127.0.0.1:0"],
            environment=environment,
            files={"bedrock.json": json.dumps({"region": "ap-south-1"})},
        ) as running:
            assert chat(running.address, asking("hi", NOVA))[0] == 200
    assert upstream.received[0].problems == []


def test_emulate_stops_on_sigterm(emulator: Outcrop) -> None:
    with Outcrop(["emulate", "--listen", "127.0.0.1:0"], ready_path=None) as running:
        assert request(running.address, "GET", "/_emulator/calls") == (200, [])
        running.terminate()
        assert running.wait() == 0
    assert BINARY and emulator.alive()
