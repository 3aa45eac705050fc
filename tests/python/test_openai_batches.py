"""openai-python's files and batches, in the demonstration and across the death of a gateway."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types import Batch

from admin_calls import call
from outcrop_process import PATIENCE, Outcrop
from sse import request

MASTER = "sk-master-of-the-batches-0123456789"
NOVA = "amazon.nova-lite-v1:0"
CHAT = "/v1/chat/completions"
OVER = {"completed", "failed", "expired", "cancelled"}
# Nanodollars of a token of the model, read and written; a batch costs half.
READ, WRITTEN = 60, 240
CONFIG = f"""listen: 127.0.0.1:0
files: {{ bucket: batches-of-a-suite }}
batches: {{ role_arn: "arn:aws:iam::123456789012:role/batches", poll: 0.3 }}
"""


def client_of(gateway: Outcrop) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=MASTER, max_retries=0, timeout=PATIENCE)


@pytest.fixture(scope="module")
def demo() -> Iterator[Outcrop]:
    with Outcrop(["--demo", "--listen", "127.0.0.1:0"], environment={"LITELLM_MASTER_KEY": MASTER}) as running:
        yield running


def lines(count: int) -> list[dict[str, Any]]:
    return [
        {
            "custom_id": f"q-{number}",
            "method": "POST",
            "url": CHAT,
            "body": {"model": NOVA, "messages": [{"role": "user", "content": f"Describe stone {number}."}]},
        }
        for number in range(count)
    ]


def started(client: openai.OpenAI, requests: list[dict[str, Any]]) -> Batch:
    text = "\n".join(json.dumps(line) for line in requests)
    file = client.files.create(file=("requests.jsonl", text.encode()), purpose="batch")
    assert (file.bytes, file.purpose) == (len(text), "batch")
    return client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")


def ended(client: openai.OpenAI, batch: Batch) -> tuple[Batch, list[int]]:
    """The batch at its end, and the numbers of completed lines that it told meanwhile."""
    seen: list[int] = []
    deadline = time.monotonic() + PATIENCE
    while batch.status not in OVER:
        assert time.monotonic() < deadline, batch
        time.sleep(0.02)
        batch = client.batches.retrieve(batch.id)
        if batch.request_counts:
            seen.append(batch.request_counts.completed)
    return batch, seen


def read(client: openai.OpenAI, file: str | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in client.files.content(file).text.splitlines()] if file else []


def rows(gateway: Outcrop) -> list[dict[str, Any]]:
    status, logs = call(gateway, "GET", "/spend/logs", key=MASTER)
    assert status == 200, logs
    return logs


def nanodollars(row: dict[str, Any]) -> int:
    return round(float(row["spend"] or 0) * 1e9)


def test_250_lines_cost_half_and_come_in_order(demo: Outcrop) -> None:
    client = client_of(demo)
    requests = lines(250)
    requests[17]["body"] = {"model": NOVA}
    batch, seen = ended(client, started(client, requests))
    assert batch.status == "completed", batch
    assert batch.request_counts and batch.request_counts.model_dump() == {"total": 250, "completed": 249, "failed": 1}
    assert any(0 < count < 249 for count in seen), "no progress was told"
    output, errors = read(client, batch.output_file_id), read(client, batch.error_file_id)
    assert [line["custom_id"] for line in output] == [f"q-{n}" for n in range(250) if n != 17]
    assert [line["custom_id"] for line in errors] == ["q-17"]
    assert errors[0]["response"]["body"]["error"]["param"] == "messages"
    usage = [openai.types.CompletionUsage.model_validate(line["response"]["body"]["usage"]) for line in output]
    for line in output:
        completion = openai.types.chat.ChatCompletion.model_validate(line["response"]["body"])
        assert f"stone {line['custom_id'][2:]}." in (completion.choices[0].message.content or "")
    full = sum(one.prompt_tokens * READ + one.completion_tokens * WRITTEN for one in usage)
    deadline = time.monotonic() + PATIENCE
    while not (told := [row for row in rows(demo) if row["call_type"] == "abatch_completion"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [nanodollars(row) * 2 for row in told] == [full]


def test_two_lines_are_run_as_calls(demo: Outcrop) -> None:
    client = client_of(demo)
    batch, _ = ended(client, started(client, lines(2)))
    assert batch.status == "completed", batch
    assert [line["custom_id"] for line in read(client, batch.output_file_id)] == ["q-0", "q-1"]
    (group,) = batch.model_extra["outcrop"]["groups"] if batch.model_extra else [{}]
    assert group["mode"] == "calls"


def test_files_and_batches_are_listed_in_pages_and_removed(demo: Outcrop) -> None:
    client = client_of(demo)
    made = [client.files.create(file=(f"{n}.txt", b"x"), purpose="user_data").id for n in range(5)]
    listed = [file.id for file in client.files.list(purpose="user_data", limit=2)]
    assert listed == made[::-1]
    assert client.files.delete(made[0]).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made[0])
    batches = [started(client, lines(1)).id for _ in range(3)]
    found = [batch.id for batch in client.batches.list(limit=2)]
    assert found[:3] == batches[::-1]


def test_a_killed_gateway_loses_nothing() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    with Outcrop(["emulate", "--listen", "127.0.0.1:0"], ready_path=None) as emulator:
        environment = {"LITELLM_MASTER_KEY": MASTER, "AWS_ENDPOINT_URL": emulator.url, **keys}
        arguments = ["--config", "outcrop.yaml"]
        with Outcrop(arguments, environment=environment, files={"outcrop.yaml": CONFIG}) as gateway:
            client = client_of(gateway)
            # A job is under way, and lines of another model are run as calls.
            requests = lines(1500)
            for number in range(0, 60, 10):
                requests[number]["body"]["model"] = "emulator.slow-400"
            batch = started(client, requests)
            deadline = time.monotonic() + PATIENCE
            while not batch.request_counts or not batch.request_counts.completed:
                assert time.monotonic() < deadline and batch.status not in OVER, batch
                time.sleep(0.02)
                batch = client.batches.retrieve(batch.id)
            assert gateway.process
            gateway.process.send_signal(signal.SIGKILL)
            gateway.wait()
            gateway.launch()
            gateway.wait_until_ready()
            client = client_of(gateway)
            batch, _ = ended(client, batch)
            assert batch.status == "completed", batch
            output, errors = read(client, batch.output_file_id), read(client, batch.error_file_id)
            assert not errors, errors[:1]
            assert [line["custom_id"] for line in output] == [line["custom_id"] for line in requests]
            usage = [line["response"]["body"]["usage"] for line in output if line["response"]["body"]["model"] == NOVA]
            half = sum(one["prompt_tokens"] * READ + one["completion_tokens"] * WRITTEN for one in usage)
            booked = [row for row in rows(gateway) if row["call_type"] == "abatch_completion"]
            assert [nanodollars(row) * 2 for row in booked] == [half], "one row for the one job"
        _, journal = request(emulator.address, "GET", "/_emulator/calls")
        assert {one["status"] for one in journal if one["operation"] == "create-job"} <= {200}
