"""The end of the process: a second signal, the time limit, files that block; and recovery from faults."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.config
import pytest
from botocore.exceptions import EventStreamError

from outcrop_process import PATIENCE, Outcrop, answers
from samples import NOVA
from scripted import Answer, Asked, Handler, Scripted, kept_open, text_answer
from sse import Exchange, chat

SOON = 1.0
# A machine under load starts and ends processes later than an idle one.
SLACK = 20.0


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"model": NOVA, "messages": [{"role": "user", "content": text}], **more}


def slow(handler: Handler, asked: Asked) -> Answer | None:
    """Streams that last a minute, and complete answers that take as long."""
    if asked.operation == "converse-stream" and "late" not in asked.text:
        kept_open(handler, ["one ", "two "], 0.2, 300)
    elif "soon" in asked.text:
        return text_answer("soon")
    else:
        handler.silence(60)
    return None


@pytest.fixture()
def upstream() -> Iterator[Scripted]:
    with Scripted(slow) as server:
        yield server


def gateway(upstream: Scripted, text: str = "") -> Outcrop:
    return Outcrop(
        ["--listen", "127.0.0.1:0", "--config", "outcrop.yaml"],
        environment=upstream.environment,
        files={"outcrop.yaml": f"workers: 2\n{text}"},
    )


def opened(running: Outcrop, count: int, **more: Any) -> list[tuple[Exchange, Iterator[Any]]]:
    """So many streams, each of which has begun."""
    exchanges = [Exchange(running.address, asking("x", stream=True, **more)) for _ in range(count)]
    streams = [(exchange, exchange.events()) for exchange in exchanges]
    for _, events in streams:
        next(events)
    return streams


def broken_off(events: Iterator[Any]) -> None:
    """Asserts that a stream ends with the error of a process that ends."""
    last = list(events)[-1]
    assert last.data != "[DONE]"
    assert last.json["error"]["code"] == "shutting_down", last


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process(upstream: Scripted, second: signal.Signals) -> None:
    with gateway(upstream) as running:
        streams = opened(running, 10)
        running.terminate()
        time.sleep(0.5)
        assert running.alive(), "open streams may finish after one signal"
        assert running.process is not None
        running.process.send_signal(second)
        sent = time.monotonic()
        assert running.wait() == 0
        assert time.monotonic() - sent < SOON + SLACK, running.log()
        for exchange, events in streams:
            broken_off(events)
            exchange.close()
        assert running.log().count("outcome=shutdown") == 10, running.log()


def test_open_requests_get_an_error_at_the_time_limit(upstream: Scripted) -> None:
    """Chat streams with one and two answers, one with early headers, a complete answer, a native one."""
    text = "shutdown: { timeout: 1 }\ntimeouts: { keep_alive: 0.2 }\n"
    with gateway(upstream, text) as running:
        streams = opened(running, 3) + opened(running, 2, n=2)
        late = Exchange(running.address, asking("late", stream=True))
        assert late.status == 200
        whole = http.client.HTTPConnection(*running.address, timeout=PATIENCE)
        whole.request("POST", "/v1/chat/completions", json.dumps(asking("whole")), {"content-type": "application/json"})
        native = http.client.HTTPConnection(*running.address, timeout=PATIENCE)
        body = json.dumps({"messages": [{"role": "user", "content": [{"text": "whole"}]}]})
        native.request("POST", f"/bedrock/model/{NOVA}/converse", body, {"content-type": "application/json"})
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=f"{running.url}/bedrock",
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE),
        )
        messages = [{"role": "user", "content": [{"text": "x"}]}]
        events = iter(client.converse_stream(modelId=NOVA, messages=messages)["stream"])
        next(events)
        deadline = time.monotonic() + PATIENCE
        while len(upstream.asked) < 11:
            assert time.monotonic() < deadline, len(upstream.asked)
            time.sleep(0.02)
        running.terminate()
        sent = time.monotonic()
        for exchange, of_stream in streams:
            broken_off(of_stream)
            exchange.close()
        broken_off(late.events())
        with pytest.raises(EventStreamError) as raised:
            list(events)
        assert raised.value.response["Error"]["Code"] == "serviceUnavailableException"
        answer = whole.getresponse()
        assert answer.headers["x-request-id"].startswith("req_")
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (503, "shutting_down")
        answer = native.getresponse()
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (503, "ServiceUnavailableException")
        assert running.wait() == 0
        assert 0.9 < time.monotonic() - sent < 1.5 + SLACK, running.log()
        assert running.log().count("outcome=shutdown") == 9, running.log()


def replace(running: Outcrop, name: str, make: Any) -> None:
    """Atomically replaces a file in the gateway's folder by something else."""
    path = f"{running.folder.name}/{name}"
    make(f"{path}.new")
    os.replace(f"{path}.new", path)


def until(running: Outcrop, wanted: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while wanted not in running.log():
        assert time.monotonic() < deadline, f"{wanted!r} is not in the log:\n{running.log()}"
        time.sleep(0.05)


@pytest.mark.parametrize("what", ["outcrop.yaml", "bedrock.json"])
def test_a_pipe_instead_of_a_file_does_not_block(upstream: Scripted, what: str) -> None:
    with gateway(upstream) as running:
        replace(running, what, os.mkfifo)
        until(running, "it is not a regular file")
        assert chat(running.address, asking("soon"))[0] == 200
        running.terminate()
        sent = time.monotonic()
        assert running.wait() == 0
        assert time.monotonic() - sent < 2 + SLACK


def test_a_pipe_instead_of_a_secret_does_not_block(upstream: Scripted) -> None:
    model = "{ model: nova-lite, bearer_key_file: key }"
    running = Outcrop(
        ["--listen", "127.0.0.1:0", "--config", "outcrop.yaml"],
        environment=upstream.environment,
        files={"outcrop.yaml": f"models:\n  mine: {model}\n", "key": "secret\n"},
    )
    with running:
        replace(running, "key", os.mkfifo)
        until(running, "it is not a regular file")
        running.terminate()
        assert running.wait(2 + SLACK) == 0


def test_a_change_of_equal_length_and_time_is_noticed(upstream: Scripted) -> None:
    text = "workers: 2\nmodels_only: {}\nmodels: {{ mine: nova-lite }}\n"
    with gateway(upstream) as running:
        path = f"{running.folder.name}/outcrop.yaml"

        def written(only: str) -> Any:
            def make(new: str) -> None:
                with open(new, "w", encoding="utf-8") as file:
                    file.write(text.format(only))
                os.utime(new, ns=(10**18, 10**18))

            return make

        replace(running, "outcrop.yaml", written("false"))
        until(running, "configuration read again")
        assert chat(running.address, asking("soon"))[0] == 200
        stat = os.stat(path)
        replace(running, "outcrop.yaml", written("true "))
        again = os.stat(path)
        assert (again.st_size, again.st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
        deadline = time.monotonic() + PATIENCE
        while chat(running.address, asking("soon"))[0] != 404:
            assert time.monotonic() < deadline, running.log()
            time.sleep(0.1)


def test_probes_answer_head(upstream: Scripted) -> None:
    with gateway(upstream) as running:
        for path in ("/livez", "/readyz", "/health/liveliness", "/health/readiness"):
            connection = http.client.HTTPConnection(*running.address, timeout=PATIENCE)
            connection.request("HEAD", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b""), path
            # The connection is still usable.
            connection.request("GET", path)
            assert json.loads(connection.getresponse().read())
            connection.close()
        assert answers(running.url, "/readyz")


def test_profile_settings_that_the_sdk_refuses_do_not_stop_reloads(upstream: Scripted) -> None:
    """AWS's SDK panics when it reads such settings; they have no effect, and files are still reloaded."""
    profiles = "[profile odd]\nregion = us-east-1\nretry_mode = upside-down\nmax_attempts = none\n"
    running = Outcrop(
        ["--listen", "127.0.0.1:0", "--config", "outcrop.yaml"],
        environment=upstream.environment,
        files={"outcrop.yaml": "workers: 2\n", "aws-config": profiles},
    )
    running.environment["AWS_CONFIG_FILE"] = f"{running.folder.name}/aws-config"

    def holding(text: str) -> Any:
        def make(new: str) -> None:
            with open(new, "w", encoding="utf-8") as file:
                file.write(text)

        return make

    with running:
        for round in range(2):
            replace(running, "outcrop.yaml", holding(f"workers: 2\nmodels: {{ mine{round}: {{ model: nova-lite, profile: odd }} }}\n"))
            deadline = time.monotonic() + PATIENCE
            while running.log().count("configuration read again") <= round:
                assert time.monotonic() < deadline, running.log()
                time.sleep(0.05)
        assert "panicked" not in running.log(), running.log()
        replace(running, "outcrop.yaml", holding("workers: 2\nmodels: { mine: nova-lite }\n"))
        deadline = time.monotonic() + PATIENCE
        while running.log().count("configuration read again") < 3:
            assert time.monotonic() < deadline, running.log()
            time.sleep(0.05)
        assert chat(running.address, asking("soon", model="mine"))[0] == 200
        assert running.process is not None
        running.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE
        while running.log().count("configuration read again") < 4:
            assert time.monotonic() < deadline, running.log()
            time.sleep(0.05)
