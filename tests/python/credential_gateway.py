"""Starts a gateway that finds its own credentials, and checks which ones it signs with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aws_fakes import Issued, Judge, Mint
from outcrop_process import PATIENCE, Outcrop
from samples import NOVA
from sse import chat, stream
from upstream import Upstream

CHAT = {"model": NOVA, "messages": [{"role": "user", "content": "Hi."}]}
TEXT = "Hello from upstream."
# The code of the error a client sees when there are no credentials.
HOLDS_NOTHING = "credentials_unavailable"
# Log targets of the AWS crates for credentials and signatures, at their most verbose.
LOUD = "trace,aws_config=trace,aws_runtime=trace,aws_sigv4=trace,aws_smithy_runtime=trace,hyper_util=trace"


@contextmanager
def gateway(
    upstream: Upstream,
    home: Path,
    environment: dict[str, str] | None = None,
    *,
    mint: Mint | None = None,
    region: str | None = "us-east-1",
    arguments: Sequence[str] = (),
    files: dict[str, str] | None = None,
) -> Iterator[Outcrop]:
    """A gateway with `home` as its home folder; its whole log is searched for secrets at the end."""
    settings = {
        "HOME": str(home),
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream.url,
        "RUST_LOG": LOUD,
        **({"AWS_REGION": region} if region else {}),
        **(environment or {}),
    }
    # Readiness waits for credentials, which some of these tests withhold.
    running = Outcrop(
        ["--listen", "127.0.0.1:0", *arguments], environment=settings, ready_path="/livez", files=files
    )
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        if name not in settings:
            # The files of the home folder, where AWS's tools look first.
            running.environment.pop(name)
    known = mint or (upstream.mint if isinstance(upstream, Judge) else Mint())
    with running:
        yield running
        running.terminate()
        assert running.wait() == 0, running.log()
        log = running.log()
    assert "credentials: " in log, "the source is named at start"
    assert known.secrets and known.leaks(log) == [], log
    assert "panicked" not in log, log


def write_profiles(home: Path, **files: str) -> None:
    """Writes `~/.aws/config` and `~/.aws/credentials`."""
    folder = home / ".aws"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def ask(running: Outcrop) -> tuple[int, dict[str, str], dict[str, Any]]:
    """One chat: status, headers, answer."""
    return chat(running.address, CHAT)


def prove(running: Outcrop, judge: Judge, issued: Issued) -> None:
    """Checks that a plain and a streamed chat are answered, and that all requests so far are signed
    with `issued`."""
    status, _, answer = ask(running)
    assert status == 200, f"{answer}\n{running.log()}"
    assert answer["choices"][0]["message"]["content"] == TEXT
    streamed = stream(running.address, CHAT)
    assert streamed.done and streamed.text == TEXT, streamed.raw
    assert judge.problems == [] and judge.refusals == []
    assert set(judge.keys_seen) == {issued.keys.access_key}
    assert {received.headers.get("x-amz-security-token") for received in judge.received} == {issued.keys.token}


# Seconds; less than the pause after a refresh that failed.
RECOVERY = 25.0


def until(what: str, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Polls, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s until {what}"
        time.sleep(0.02)
