"""Three replicas behind nginx and behind HAProxy: limits and the ledger hold over all of them, one conversation stays on
one replica, and a rolling restart loses no request."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from admin_calls import call, generated
from balancers import NAMES, Balancer, free_port
from ledger_load import MODEL
from outcrop_process import PATIENCE, Outcrop
from postgres import Postgres, installed
from scripted import KEYS
from test_shared_thoughts import Store

MASTER = "sk-a-master-key-of-the-tests-0123456789"
REPLICAS = 3
# Said where a busy machine does not write the row of a call in time; the call is not made.
REFUSED = "no_db_connection"
# Access lines of chat requests.
ACCESS = re.compile(r"outcrop::access.*\bchat\b.*")
# Seconds in which a balancer notices that a replica is not ready, and then those for open requests.
DELAY, DRAIN = 2, 60


@dataclass
class Cluster:
    """Replicas with one store of accounts and one Redis."""

    replicas: list[Outcrop]
    ports: list[int]

    def served_by(self, request_id: str) -> int:
        """The replica whose access log has the request; the line is written after the answer, by another thread."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for number, replica in enumerate(self.replicas):
                if any(request_id in line for line in ACCESS.findall(replica.log())):
                    return number
            time.sleep(0.02)
        raise AssertionError(f"no replica logged the request {request_id}")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    store = Store()
    with ExitStack() as running:
        upstream = running.enter_context(Outcrop(["emulate", "--listen", "127.0.0.1:0"], ready_path=None))
        database = running.enter_context(Postgres(installed()))
        running.callback(store.folder.cleanup)
        running.callback(store.stop)
        store.start()
        environment = {
            "LITELLM_MASTER_KEY": MASTER,
            "AWS_ENDPOINT_URL": upstream.url,
            "DATABASE_URL": database.database("balancers"),
            "REDIS_URL": store.url,
            **KEYS,
        }
        ports = [free_port() for _ in range(REPLICAS)]
        replicas = [
            running.enter_context(
                Outcrop(
                    ["--config", "outcrop.yaml"],
                    environment=environment,
                    files={"outcrop.yaml": configuration(own)},
                )
            )
            for own in ports
        ]
        yield Cluster(replicas, ports)


def configuration(port: int) -> str:
    return (
        f"listen: 127.0.0.1:{port}\nworkers: 1\n"
        f"access: {{ redis_timeout: 10, database: {{ timeout: {PATIENCE:.0f} }} }}\n"
        f"shutdown: {{ delay: {DELAY}, timeout: {DRAIN} }}\n"
    )


@pytest.fixture(params=NAMES)
def balancer(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Balancer]:
    with Balancer(request.param, cluster.ports) as running:
        yield running


@dataclass
class Answer:
    status: int
    text: str
    request_id: str


def chat(balancer: Balancer, key: str, *, session: str = "", stream: bool = False) -> Answer:
    """One chat request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=PATIENCE)
    body = {"model": MODEL, "stream": stream, "max_tokens": 20, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    if session:
        headers["x-session-id"] = session
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(), answer.headers["x-request-id"])
    finally:
        connection.close()


def test_a_limit_holds_over_all_replicas(cluster: Cluster, balancer: Balancer) -> None:
    key = generated(cluster.replicas[0], MASTER, {"rpm_limit": 7})["key"]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: chat(balancer, key, session=f"session-{number}"), range(40)))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) <= {200, 429, 503} and statuses[200] > 0, statuses
    # Seven at most, and less only where the machine was too busy for some.
    assert statuses[200] <= 7 <= statuses[200] + statuses[503], statuses
    shares = Counter(cluster.served_by(answer.request_id) for answer in answers)
    assert len(shares) == REPLICAS, f"every replica took part: {shares}"


def test_every_call_has_one_row_whichever_replica_served_it(cluster: Cluster, balancer: Balancer) -> None:
    key = generated(cluster.replicas[0], MASTER, {})
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: chat(balancer, key["key"], session=f"s{number}"), range(60)))
    answered = sum(answer.status == 200 for answer in answers)
    assert answered + sum(REFUSED in answer.text for answer in answers) == 60 and answered > 0, answers
    paid: list[str] = []
    deadline = time.monotonic() + PATIENCE
    while len(paid) < answered and time.monotonic() < deadline:
        status, logs = call(cluster.replicas[1], "GET", f"/spend/logs?api_key={key['token']}", key=MASTER)
        assert status == 200, logs
        # A call that was refused because the machine was busy may have a row, which costs nothing.
        paid = [row["request_id"] for row in logs if row["spend"] > 0]
    assert len(set(paid)) == len(paid) == answered


def test_a_conversation_stays_on_one_replica(cluster: Cluster, balancer: Balancer) -> None:
    key = generated(cluster.replicas[0], MASTER, {})["key"]
    chosen: set[int] = set()
    for session in ["one", "two", "three", "four", "five", "six"]:
        answers = [chat(balancer, key, session=session) for _ in range(4)]
        assert {answer.status for answer in answers} <= {200, 503}, answers
        served = {cluster.served_by(answer.request_id) for answer in answers}
        assert len(served) == 1, served
        chosen |= served
    assert len(chosen) > 1, "conversations are spread"


def test_a_rolling_restart_loses_no_request(cluster: Cluster, balancer: Balancer) -> None:
    """Every replica is ended and started again while requests come, a third of them streams."""
    key = generated(cluster.replicas[0], MASTER, {})["key"]
    failed: list[str] = []
    count = Counter[str]()
    over = threading.Event()

    def ask(thread: int) -> None:
        number = 0
        while not over.is_set():
            number += 1
            is_stream = number % 3 == 0
            try:
                answer = chat(balancer, key, session=f"{thread}-{number}", stream=is_stream)
                status, text = answer.status, answer.text
            except (OSError, http.client.HTTPException) as error:
                status, text = 0, repr(error)
            if REFUSED in text:
                continue
            if status != 200 or is_stream and not text.rstrip().endswith("data: [DONE]"):
                failed.append(f"{status} {text[:300]}")
            count[str(status)] += 1

    with ThreadPoolExecutor(6) as threads:
        asking = [threads.submit(ask, thread) for thread in range(6)]
        try:
            for replica in cluster.replicas:
                replica.terminate()
                assert replica.wait() == 0, replica.log()
                replica.launch()
                replica.wait_until_ready()
                # The balancer has to see it before the next one goes.
                time.sleep(DELAY)
        finally:
            over.set()
        for one in asking:
            one.result()
    assert not failed, f"{len(failed)} of {sum(count.values())}: {failed[:3]}"
    assert count["200"] >= 60, count


def test_answers_of_a_draining_replica_close_their_connections(cluster: Cluster) -> None:
    replica = cluster.replicas[0]
    connection = http.client.HTTPConnection(*replica.address, timeout=PATIENCE)
    connection.request("GET", "/livez")
    first = connection.getresponse()
    first.read()
    assert first.getheader("connection") != "close"
    replica.terminate()
    deadline = time.monotonic() + DELAY * 0.9
    status = 200
    try:
        while status == 200 and time.monotonic() < deadline:
            other = http.client.HTTPConnection(*replica.address, timeout=PATIENCE)
            other.request("GET", "/readyz")
            answered = other.getresponse()
            status = answered.status
            other.close()
        assert status == 503
        connection.request("GET", "/livez")
        assert connection.getresponse().getheader("connection") == "close"
    finally:
        connection.close()
        assert replica.wait() == 0
        replica.launch()
        replica.wait_until_ready()
