"""Credentials that expire, are refused, or are unavailable: effects on clients and on the source.

The source is a container endpoint that sets the lifetime of its credentials; it counts the requests to
it, and how many are made at once.
"""

from __future__ import annotations

import itertools
import math
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aws_fakes import Container, Issued, Judge, Mint
from aws_fakes_identity import ACCOUNT, ROLE, Portal, Sts, Trust
from credential_gateway import CHAT, HOLDS_NOTHING, RECOVERY, TEXT, ask, gateway, prove, until, write_profiles
from outcrop_process import PATIENCE, Outcrop
from sse import chat, stream

AT_ONCE = 50


@pytest.fixture()
def container(mint: Mint) -> Iterator[Container]:
    with Container(mint) as server:
        yield server


def uses(container: Container) -> dict[str, str]:
    """The settings of a gateway that asks this endpoint."""
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url + Container.PATH}


@contextmanager
def load(running: Outcrop) -> Iterator[Counter[int]]:
    """Fifty clients that send requests continuously; yields their answers by status."""
    statuses: Counter[int] = Counter()
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            try:
                status = chat(running.address, CHAT)[0]
            except (OSError, ValueError):
                status = 0
            statuses[status] += 1

    threads = [threading.Thread(target=client) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)


def at_once(running: Outcrop, count: int) -> list[tuple[int, dict[str, str], dict[str, Any]]]:
    """So many concurrent chats."""
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(running))) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(answers) == count
    return answers


# --- ahead of the end -------------------------------------------------------------------------


def test_refresh_ahead_of_expiry_under_load(
    mint: Mint, judge: Judge, container: Container, tmp_path: Path
) -> None:
    """During the one refresh all requests are served with the old keys, afterwards with the new."""
    # A quarter of it is left when the refresh begins: long enough for fifty requests on a busy machine.
    container.lifetime = 20.0
    with gateway(judge, tmp_path, uses(container)) as running:
        assert ask(running)[0] == 200
        container.open.clear()
        container.lifetime = 3600.0
        with load(running) as statuses:
            until("the refresh is asked for", lambda: len(container.calls) == 2)
            before = len(judge.received)
            until("fifty are served meanwhile", lambda: len(judge.received) >= before + AT_ONCE)
            assert len(container.calls) == 2 and len(container.handed_out) == 1
            container.open.set()
            until("the refresh is answered", lambda: len(container.handed_out) == 2)
            new = container.handed_out[1].keys.access_key
            until("the new keys are in use", lambda: judge.keys_seen[-AT_ONCE:].count(new) == AT_ONCE)
    assert set(statuses) == {200}, statuses
    assert judge.refusals == [], "a request was signed with expired keys"
    assert judge.problems == [] and container.problems == []
    assert (len(container.calls), container.most_at_once) == (2, 1)
    # Old keys, then new ones; after the change the old ones are never used again.
    in_order = [key for key, _ in itertools.groupby(judge.keys_seen)]
    assert in_order[0] == container.handed_out[0].keys.access_key and in_order[-1] == new
    assert set(in_order) == {issued.keys.access_key for issued in container.handed_out}


def test_first_fetch_is_shared(judge: Judge, container: Container, tmp_path: Path) -> None:
    """Fifty first requests wait for the fetch of the start."""
    container.open.clear()
    with gateway(judge, tmp_path, uses(container)) as running:
        release = threading.Thread(
            target=lambda: (until("it is asked", lambda: bool(container.calls)), container.open.set())
        )
        release.start()
        answers = at_once(running, AT_ONCE)
        release.join(PATIENCE)
    assert {status for status, _, _ in answers} == {200}
    assert judge.problems == [] and len(judge.received) == AT_ONCE
    assert (len(container.calls), container.most_at_once) == (1, 1)


def rotations(running: Outcrop, handed_out: list[Issued], count: int, rotate: Any) -> None:
    """Sends requests until the source was called so often; `rotate` changes its proof in between."""
    for number in range(1, count + 1):
        def asked() -> bool:
            assert ask(running)[0] == 200
            return len(handed_out) >= number

        until(f"fetch {number}", asked)
        rotate()


def test_pod_identity_token_is_read_again(
    mint: Mint, judge: Judge, tmp_path: Path
) -> None:
    """EKS replaces the token file; each fetch sends its current content."""
    token_file = tmp_path / "pod-token"
    with Container(mint, mint.secret("pod")) as container:
        container.lifetime = 2.0

        def rotate() -> None:
            container.token = mint.secret("pod")
            token_file.write_text(container.token)

        token_file.write_text(container.token or "")
        environment = {**uses(container), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token_file)}
        with gateway(judge, tmp_path, environment) as running:
            rotations(running, container.handed_out, 3, rotate)
        assert container.problems == [] and container.most_at_once == 1
    assert judge.problems == []


def test_web_identity_token_is_read_again(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    """The kubelet replaces the projected token; each exchange sends the file's current content."""
    token_file = tmp_path / "token"
    trust = Trust(web_token=mint.secret("jwt"))
    token_file.write_text(trust.web_token or "")
    with Sts(mint, {ROLE: trust}) as sts:
        sts.lifetime = 2.0

        def rotate() -> None:
            trust.web_token = mint.secret("jwt")
            token_file.write_text(trust.web_token)

        environment = {
            "AWS_ENDPOINT_URL_STS": sts.url,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file),
            "AWS_ROLE_ARN": ROLE,
        }
        with gateway(judge, tmp_path, environment) as running:
            rotations(running, sts.handed_out, 3, rotate)
        assert sts.problems == [] and sts.most_at_once == 1
    assert judge.problems == []


# --- when the source fails --------------------------------------------------------------------


def test_a_failing_source_does_not_stop_the_service(
    judge: Judge, container: Container, tmp_path: Path
) -> None:
    """The last valid keys stay in use, even past their end: only AWS can refuse them."""
    container.lifetime = 2.0
    judge.grace = math.inf
    with gateway(judge, tmp_path, uses(container)) as running:
        assert ask(running)[0] == 200
        container.broken = True
        issued = container.handed_out[0]

        def kept() -> bool:
            assert ask(running)[0] == 200, running.log()
            return "the last good credentials stay in use" in running.log()

        until("the refresh has failed", kept)
        calls = len(container.calls)
        assert {status for status, _, _ in at_once(running, AT_ONCE)} == {200}
        assert len(container.calls) == calls, "the source is left alone for a while"
        assert container.most_at_once == 1
        prove(running, judge, issued)


def test_a_source_of_expired_keys_is_not_polled(
    judge: Judge, container: Container, tmp_path: Path
) -> None:
    """An instance's metadata service in trouble behaves like this, and AWS may still accept the keys."""
    container.lifetime = -60.0
    judge.grace = math.inf
    with gateway(judge, tmp_path, uses(container)) as running:
        assert {status for status, _, _ in at_once(running, AT_ONCE)} == {200}
        assert {ask(running)[0] for _ in range(20)} == {200}
        prove(running, judge, container.handed_out[0])
    assert len(container.calls) == 1, "not one fetch for every request"


def test_a_missing_profile_does_not_break_the_refresh(
    judge: Judge, container: Container, tmp_path: Path
) -> None:
    """A named profile that does not exist in the container is skipped every time."""
    write_profiles(tmp_path, config="[profile other]\nregion = eu-west-1\n")
    container.lifetime = 2.0
    with gateway(judge, tmp_path, {**uses(container), "AWS_PROFILE": "developer"}) as running:
        rotations(running, container.handed_out, 3, lambda: None)
    assert judge.problems == []


NOTHING = {
    "nothing is set up": ({}, "default profile or instance role", "IMDS disabled"),
    "the profile is missing": ({"AWS_PROFILE": "typo"}, "profile typo", "IMDS disabled"),
    "the process fails": ({"AWS_PROFILE": "outside"}, "profile outside", "please sign in"),
    "the token file is missing": (
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent", "AWS_ROLE_ARN": ROLE},
        "web identity (IRSA)",
        "No such file",
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_no_credentials(mint: Mint, judge: Judge, tmp_path: Path, case: str) -> None:
    environment, source, reason = NOTHING[case]
    complain = tmp_path / "complain.sh"
    complain.write_text("echo 'please' >&2; echo 'sign in' >&2; exit 3\n")
    command = f"sh {complain} {mint.secret('argument')}"
    write_profiles(tmp_path, config=f"[profile outside]\ncredential_process = {command}\n")
    with gateway(judge, tmp_path, environment) as running:
        assert f"credentials: {source}" in running.log()
        for streamed in (False, True):
            status, headers, answer = chat(running.address, {**CHAT, "stream": streamed})
            assert (status, answer["error"]["code"]) == (503, HOLDS_NOTHING)
            assert int(headers["retry-after"]) >= 1
            assert str(tmp_path) not in answer["error"]["message"]
        said = [line for line in running.log().splitlines() if "no usable AWS credentials" in line]
        assert said and all(source in line and reason in line for line in said), running.log()
        assert all(re.match(r"\[\d{4}-", line) for line in running.log().splitlines()), "one line an event"
    assert judge.received == []


def test_recovery_of_the_source(judge: Judge, container: Container, tmp_path: Path) -> None:
    """503 while there are no keys; soon after the source recovers, all requests succeed."""
    container.broken = True
    with gateway(judge, tmp_path, uses(container)) as running:
        answers = at_once(running, 20)
        assert {status for status, _, _ in answers} == {503}
        assert {answer["error"]["code"] for _, _, answer in answers} == {HOLDS_NOTHING}
        assert {headers["retry-after"] for _, headers, _ in answers} == {"5"}
        assert "container (task role or Pod Identity)" in running.log()
        assert container.most_at_once == 1
        # One fetch, with the SDK's attempts for it.
        assert len(container.calls) <= 6, "every request asked the source"
        container.broken = False
        until("it recovers", lambda: ask(running)[0] == 200, RECOVERY)
        prove(running, judge, container.handed_out[0])


GARBLED = ["container", "STS", "process", "SSO"]


@pytest.mark.parametrize("source", GARBLED)
def test_a_garbled_answer_is_not_quoted(mint: Mint, judge: Judge, tmp_path: Path, source: str) -> None:
    """Part of an answer may contain a secret, so the log must not quote an unreadable answer."""
    issued = mint.session()
    secrets = f"{issued.keys.secret_key} {issued.keys.token}"
    token = mint.secret("jwt")
    (tmp_path / "token").write_text(token)
    (tmp_path / "answer").write_text(f'{{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "{secrets}", ')
    with Container(mint) as container, Portal(mint) as portal, Sts(mint, {ROLE: Trust()}) as sts:
        portal.sign_in(tmp_path, "corp")
        for fake in (container, portal, sts):
            fake.garbled = f'{{"AccessKeyId": "{secrets}", <SecretAccessKey>{secrets}'
        write_profiles(
            tmp_path,
            config=f"[profile process]\ncredential_process = cat {tmp_path / 'answer'}\n"
            f"[profile SSO]\nsso_session = corp\nsso_account_id = {ACCOUNT}\nsso_role_name = {Portal.ROLE_NAME}\n"
            "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n",
        )
        environment = {
            "container": uses(container),
            "STS": {
                "AWS_ENDPOINT_URL_STS": sts.url,
                "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
                "AWS_ROLE_ARN": ROLE,
            },
            "process": {"AWS_PROFILE": "process"},
            "SSO": {"AWS_PROFILE": "SSO", "AWS_ENDPOINT_URL_SSO": portal.url},
        }[source]
        with gateway(judge, tmp_path, environment) as running:
            status, _, answer = ask(running)
            assert (status, answer["error"]["code"]) == (503, HOLDS_NOTHING)
            assert mint.leaks(str(answer)) == []
            assert "no usable AWS credentials" in running.log()


# --- when AWS refuses -------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["ExpiredTokenException", "UnrecognizedClientException"])
@pytest.mark.parametrize("kind", ["plain", "streamed"])
def test_refused_keys_are_replaced_unseen_by_the_client(
    judge: Judge, container: Container, tmp_path: Path, reason: str, kind: str
) -> None:
    """Keys revoked before their end: one refresh, one resend, and the client gets its answer."""
    with gateway(judge, tmp_path, uses(container)) as running:
        assert ask(running)[0] == 200
        old = container.handed_out[0].keys.access_key
        judge.refused[old] = reason
        if kind == "plain":
            assert ask(running)[0] == 200
        else:
            streamed = stream(running.address, CHAT)
            assert streamed.status == 200 and streamed.done and streamed.text == TEXT
        new = container.handed_out[1].keys.access_key
        assert judge.keys_seen == [old, old, new]
        assert judge.problems == [] and len(judge.refusals) == 1
        assert len(container.calls) == 2
        assert judge.received[1].body == judge.received[2].body


def test_fifty_refusals_are_one_refresh(judge: Judge, container: Container, tmp_path: Path) -> None:
    with gateway(judge, tmp_path, uses(container)) as running:
        assert ask(running)[0] == 200
        judge.refused[container.handed_out[0].keys.access_key] = "ExpiredTokenException"
        assert {status for status, _, _ in at_once(running, AT_ONCE)} == {200}
    assert (len(container.calls), container.most_at_once) == (2, 1)
    assert judge.problems == []
    assert 1 <= len(judge.refusals) <= AT_ONCE, "each is resent at most once"
    assert len(judge.received) == 1 + AT_ONCE + len(judge.refusals)


def test_refused_keys_without_successor(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    """A fault of the gateway, not of the client: never 401 or 403."""
    issued = mint.session()
    judge.refused[issued.keys.access_key] = "ExpiredTokenException"
    with gateway(judge, tmp_path, issued.environment) as running:
        for streamed in (False, True):
            status, headers, answer = chat(running.address, {**CHAT, "stream": streamed})
            assert (status, answer["error"]["code"]) == (503, HOLDS_NOTHING), answer
            assert int(headers["retry-after"]) >= 1
    assert len(judge.refusals) == len(judge.received) == 2, "the same keys are not sent again"


def test_a_rewritten_credentials_file_is_read(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    """Login tools write new session keys to the file, without their expiry."""
    old, new = mint.session(), mint.session()
    write_profiles(tmp_path, credentials=f"[default]\n{old.ini}")
    with gateway(judge, tmp_path) as running:
        prove(running, judge, old)
        judge.refused[old.keys.access_key] = "ExpiredTokenException"
        assert ask(running)[0] == 503
        write_profiles(tmp_path, credentials=f"[default]\n{new.ini}")
        until("the new keys are found", lambda: ask(running)[0] == 200, RECOVERY)
        judge.received.clear()
        judge.refusals.clear()
        prove(running, judge, new)
