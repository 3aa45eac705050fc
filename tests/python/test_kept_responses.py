"""Responses and conversations in the database of accounts: they survive a restart and are shared by replicas; a
response in the background is shown and cancelled by any of them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from admin_calls import generated
from outcrop_process import PATIENCE, Outcrop
from postgres import Postgres, installed
from samples import ECHO
from scripted import KEYS

MASTER = "sk-a-master-key-of-the-tests-0123456789"
LONG = " ".join(f"w{number}" for number in range(20_000))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Outcrop]:
    with Outcrop(["emulate", "--listen", "127.0.0.1:0"], ready_path=None) as running:
        yield running


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres(installed()) as running:
        yield running


@contextmanager
def started(upstream: Outcrop, url: str) -> Iterator[Outcrop]:
    environment = {
        "LITELLM_MASTER_KEY": MASTER,
        "AWS_ENDPOINT_URL": upstream.url,
        "DATABASE_URL": url,
        **KEYS,
    }
    text = f"listen: 127.0.0.1:0\nworkers: 1\naccess: {{ database: {{ timeout: {PATIENCE:.0f} }} }}\n"
    with Outcrop(
        ["--config", "outcrop.yaml"], environment=environment, files={"outcrop.yaml": text}
    ) as running:
        yield running


def client_of(running: Outcrop, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=0, timeout=PATIENCE)


def waited(client: openai.OpenAI, id: str, done: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not done(response := client.responses.retrieve(id)):
        assert time.monotonic() < deadline, response.status
        time.sleep(0.05)
    return response


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_responses_and_conversations_survive_a_restart(
    upstream: Outcrop, postgres: Postgres, tmp_path: Path, database: str
) -> None:
    file = tmp_path / "outcrop.db"
    url = f"sqlite:{file}" if database == "sqlite" else postgres.database("restart")
    with started(upstream, url) as running:
        key, other = (generated(running, MASTER, {})["key"] for _ in range(2))
        client = client_of(running, key)
        first = client.responses.create(model=ECHO, input="one")
        with client.responses.stream(model=ECHO, input="two", previous_response_id=first.id) as events:
            for _ in events:
                pass
            second = events.get_final_response()
        made = client.conversations.create(metadata={"a": "b"})
        client.responses.create(model=ECHO, input="three", conversation=made.id)
        deleted = client.responses.create(model=ECHO, input="x")
        client.responses.delete(deleted.id)
        streamed = list(client.responses.create(model=ECHO, input="four", background=True, stream=True))
        last = streamed[-1]
        assert last.type == "response.completed"
    with started(upstream, url) as running:
        client, stranger = client_of(running, key), client_of(running, other)
        assert client.responses.retrieve(second.id).output_text == "two"
        third = client.responses.create(model=ECHO, input="five", previous_response_id=second.id)
        assert third.output_text == "five" and third.usage and second.usage
        assert third.usage.input_tokens > second.usage.input_tokens
        [item] = client.responses.input_items.list(second.id).data
        assert item.type == "message"
        assert client.conversations.retrieve(made.id).metadata == {"a": "b"}
        items = list(client.conversations.items.list(made.id, order="asc"))
        assert [item.content[0].text for item in items if item.type == "message"] == ["three"] * 2
        client.conversations.items.delete(str(items[0].id), conversation_id=made.id)
        assert len(client.conversations.items.list(made.id).data) == 1
        assert client.conversations.update(made.id, metadata={"c": "d"}).metadata == {"c": "d"}
        again = list(client.responses.retrieve(last.response.id, stream=True))
        assert again == streamed
        for gone in (lambda: client.responses.retrieve(deleted.id), lambda: stranger.responses.retrieve(second.id)):
            with pytest.raises(openai.NotFoundError):
                gone()
        client.conversations.delete(made.id)
        with pytest.raises(openai.NotFoundError):
            client.conversations.items.list(made.id)
    if database == "sqlite":
        with sqlite3.connect(file) as rows:
            owners = {owner for (owner,) in rows.execute("SELECT DISTINCT owner FROM kept")}
        assert len(owners) == 1 and key not in str(owners)


def test_replicas_share_responses_in_the_background(upstream: Outcrop, postgres: Postgres) -> None:
    url = postgres.database("shared")
    with started(upstream, url) as one, started(upstream, url) as two:
        key = generated(one, MASTER, {})["key"]
        here, there = client_of(one, key), client_of(two, key)
        begun = here.responses.create(model=ECHO, input=LONG, background=True, stream=True)
        created = next(begun)
        assert created.type == "response.created"
        id = created.response.id
        assert there.responses.retrieve(id).status == "in_progress"
        with pytest.raises(openai.BadRequestError, match="Another process"):
            there.responses.retrieve(id, stream=True)
        cancelled = there.responses.cancel(id)
        assert cancelled.status == "cancelled"
        assert list(begun)[-1].type == "response.incomplete"
        assert here.responses.retrieve(id).status == "cancelled"
        done = here.responses.create(model=ECHO, input="one", background=True)
        made = waited(there, done.id, lambda response: response.status == "completed")
        following = there.responses.create(model=ECHO, input="two", previous_response_id=made.id)
        assert following.output_text == "two"


def test_what_a_dead_process_made_has_failed(upstream: Outcrop, postgres: Postgres) -> None:
    url = postgres.database("dead")
    with started(upstream, url) as one:
        key = generated(one, MASTER, {})["key"]
        begun = client_of(one, key).responses.create(model=ECHO, input=LONG, background=True, stream=True)
        created = next(begun)
        assert created.type == "response.created" and one.process
        one.process.kill()
        one.wait()
    # Its lease would run out by itself.
    postgres.rows("dead", "UPDATE kept SET lease_until = 0")
    with started(upstream, url) as two:
        failed = client_of(two, key).responses.retrieve(created.response.id)
        assert failed.status == "failed" and failed.error


def test_a_stop_ends_responses_in_the_background(upstream: Outcrop, tmp_path: Path) -> None:
    """One that can be finished within the drain is; one that cannot has failed, and says so."""
    url = f"sqlite:{tmp_path / 'outcrop.db'}"
    with started(upstream, url) as running:
        key = generated(running, MASTER, {})["key"]
        client = client_of(running, key)
        short = client.responses.create(
            model=ECHO, input=" ".join("abcdefgh" * 10), background=True, stream=True
        )
        first = next(short)
        assert first.type == "response.created"
        short.close()
        running.terminate()
        running.wait()
    with started(upstream, url) as running:
        client = client_of(running, key)
        assert client.responses.retrieve(first.response.id).status == "completed"
        long = client.responses.create(model=ECHO, input=LONG, background=True, stream=True)
        created = next(long)
        assert created.type == "response.created"
        running.terminate()
        # Two signals of one kind that come at once are one.
        time.sleep(0.5)
        running.terminate()
        running.wait()
    with started(upstream, url) as running:
        failed = client_of(running, key).responses.retrieve(created.response.id)
        assert failed.status == "failed" and failed.error and failed.error.code == "server_is_overloaded"
