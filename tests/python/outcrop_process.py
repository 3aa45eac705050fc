"""Starts and stops the `outcrop` binary for the suites.

One object owns one process: it is started on a free port, polled until ready within a deadline, and
ended by its process id. Its log is available after a failure.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

BINARY = os.environ.get("OUTCROP_BINARY", "")
# What is shipped has no emulator.
EMULATOR = os.environ.get("OUTCROP_EMULATOR", BINARY)
LISTENING = re.compile(r"listening on (https?://[0-9.\[\]:a-f]+)")
# Seconds for any step, on any machine: only a gateway that hangs takes longer.
PATIENCE = 300.0


def clean_environment(home: str, extra: dict[str, str] | None = None) -> dict[str, str]:
    """An environment without the developer's own AWS settings."""
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": home,
        "LANG": "C.UTF-8",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": f"{home}/no-config",
        "AWS_SHARED_CREDENTIALS_FILE": f"{home}/no-credentials",
    }
    if "LLVM_PROFILE_FILE" in os.environ:
        environment["LLVM_PROFILE_FILE"] = os.environ["LLVM_PROFILE_FILE"]
    environment.update(extra or {})
    return environment


class Outcrop:
    """A running `outcrop`; use it as a context manager."""

    def __init__(
        self,
        arguments: list[str],
        *,
        environment: dict[str, str] | None = None,
        ready_path: str | None = "/readyz",
        files: dict[str, str] | None = None,
        binary: str = BINARY,
    ) -> None:
        assert binary and Path(binary).exists(), (
            "OUTCROP_BINARY names no binary: start the suites through ./tests/run"
        )
        self.binary = binary
        self.arguments = arguments
        self.ready_path = ready_path
        self.folder = tempfile.TemporaryDirectory(prefix="outcrop-test-")
        self.log_path = Path(self.folder.name, "log")
        for name, text in (files or {}).items():
            Path(self.folder.name, name).write_text(text)
        self.environment = clean_environment(self.folder.name, environment)
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> "Outcrop":
        self.launch()
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on."""
        parts = urlsplit(self.url)
        assert parts.hostname and parts.port, f"no address in {self.url!r}"
        return parts.hostname, parts.port

    def log(self) -> str:
        """Its output so far, from both streams."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def launch(self) -> None:
        """Starts the process without waiting for anything."""
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [self.binary, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.folder.name,
            )

    def wait_until_ready(self) -> None:
        """Polls the log for an address, then the address for an answer."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode} at start:\n{self.log()}")
            # The demo's emulator logs its address as well; the gateway's line is the one that says
            # "ready".
            for url in reversed(LISTENING.findall(self.log())):
                if self.ready_path is None or answers(url, self.ready_path):
                    self.url = url
                    return
            time.sleep(0.02)
        raise AssertionError(f"not ready within {PATIENCE} s:\n{self.log()}")

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process is not None and self.process.poll() is None

    def log_with(self, *wanted: str) -> str:
        """Waits until the log has each text: access lines are written after the answer, by another thread."""
        deadline = time.monotonic() + PATIENCE
        while missing := [text for text in wanted if text not in self.log()]:
            assert time.monotonic() < deadline, f"{missing} are not in the log:\n{self.log()}"
            time.sleep(0.02)
        return self.log()

    def terminate(self) -> None:
        """Sends SIGTERM and returns at once."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Waits for the end and returns the exit code."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s:\n{self.log()}") from None

    def stop(self) -> None:
        """Kills the process and removes its folder."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(PATIENCE)
        self.folder.cleanup()


def answers(url: str, path: str) -> bool:
    """Whether a GET on `path` is answered with 200."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def run_to_end(
    arguments: list[str],
    *,
    environment: dict[str, str] | None = None,
    files: dict[str, str] | None = None,
    seconds: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """Runs `outcrop` with arguments that make it exit; fails if it does not."""
    with tempfile.TemporaryDirectory(prefix="outcrop-test-") as folder:
        for name, text in (files or {}).items():
            Path(folder, name).write_text(text)
        return subprocess.run(
            [BINARY, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=clean_environment(folder, environment),
            cwd=folder,
            timeout=seconds,
            check=False,
        )
