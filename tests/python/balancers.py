"""nginx and HAProxy of Debian in front of replicas, with the configurations of deploy/balancers."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from outcrop_process import PATIENCE, Outcrop

FOLDER = Path(__file__).parents[2] / "deploy" / "balancers"
NAMES = ["nginx", "haproxy"]


def program(name: str) -> str:
    """The program; without it the test is skipped, in CI it fails."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        assert os.environ.get("CI") != "true", f"{name} is not installed"
        pytest.skip(f"{name} is not installed (apt-get install {name})")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def configuration(name: str, port: int, replicas: list[int]) -> str:
    """The shipped configuration with these ports."""
    text = (FOLDER / f"{name}{'.conf' if name == 'nginx' else '.cfg'}").read_text()
    (line,) = [line for line in text.splitlines() if "127.0.0.1:4001" in line]
    servers = "\n".join(
        line.replace("4001", str(replica)).replace("server one", f"server replica{number}")
        for number, replica in enumerate(replicas)
    )
    text = text.replace(line, servers)
    text = re.sub(r".*127\.0\.0\.1:4002.*\n", "", text)
    assert "127.0.0.1:4000" in text
    return text.replace("127.0.0.1:4000", f"127.0.0.1:{port}")


class Balancer(Outcrop):
    """A running balancer; use it as a context manager."""

    def __init__(self, name: str, replicas: list[int]) -> None:
        self.name = name
        self.program = program(name)
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory(prefix=f"outcrop-{name}-")
        self.log_path = Path(self.folder.name, "log")
        self.file = Path(self.folder.name, "configuration")
        self.file.write_text(configuration(name, self.port, replicas))
        self.process = None
        self.url = f"http://127.0.0.1:{self.port}"

    def launch(self) -> None:
        folder = self.folder.name
        command = {
            "nginx": [self.program, "-p", folder, "-c", self.file, "-g", "daemon off;"],
            "haproxy": [self.program, "-W", "-db", "-f", self.file],
        }[self.name]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=folder
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.alive(), self.log()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"{self.name} does not listen:\n{self.log()}")
