"""The processes of a measurement: each on a free port, owned by this run and ended by its id."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

PATIENCE = 120.0
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


@dataclass
class Process:
    """A running process and the port it serves."""

    popen: subprocess.Popen
    port: int
    # Seconds from its start to its first answer.
    ready: float = 0.0

    def tree(self) -> list[int]:
        """Its id and those of its descendants."""
        parents: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        found, todo = [], [self.popen.pid]
        while todo:
            found.append(todo.pop())
            todo += parents.get(found[-1], [])
        return found

    def cpu(self) -> float:
        """Seconds of CPU of all threads of the tree so far."""
        total = 0
        for pid in self.tree():
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    total += int(task.read_text().split()[0])
                except OSError:
                    continue
        return total / 1e9

    def rss(self) -> int:
        """Resident bytes of the tree."""
        total = 0
        for pid in self.tree():
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:
                continue
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
        return total


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def running(arguments: list[str], port: int, folder: Path, **environment: str) -> Iterator[Process]:
    """A process in a group of its own; the group is ended with it."""
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "AWS_EC2_METADATA_DISABLED": "true"}
    # The place of a process's profile, in builds that count.
    own |= {name: text for name, text in os.environ.items() if name == "LLVM_PROFILE_FILE"}
    with (folder / "log").open("ab") as log:
        popen = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                                 env={**own, **environment}, start_new_session=True)
    try:
        yield Process(popen, port)
    finally:
        for sign, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 15)):
            try:
                os.killpg(popen.pid, sign)
                popen.wait(seconds)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
            break


def wait_until_it_answers(process: Process, path: str) -> float:
    """Seconds until `path` is answered with 200."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        if process.popen.poll() is not None:
            raise SystemExit(f"{process.popen.args[0]} ended at start with {process.popen.returncode}")
        connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status < 500:
                return time.monotonic() - began
        except OSError:
            time.sleep(0.002)
        finally:
            connection.close()
    raise SystemExit(f"{process.popen.args[0]} does not answer {path}")


@contextmanager
def upstream(harness: Path, folder: Path, pace: int) -> Iterator[Process]:
    """The canned Bedrock; `pace` is the milliseconds between the events of a stream."""
    popen = subprocess.Popen([harness, "upstream", "--pace", str(pace)], stdout=subprocess.PIPE, cwd=folder)
    try:
        assert popen.stdout is not None
        yield Process(popen, int(popen.stdout.readline()))
    finally:
        popen.kill()
        popen.wait()


NGINX = """daemon off; worker_processes 2; pid nginx.pid; error_log error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u;
  scgi_temp_path s; client_max_body_size 32m; client_body_buffer_size 8m; keepalive_requests 1000000;
  upstream bedrock {{ server 127.0.0.1:{to}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://bedrock; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, to: int) -> Iterator[Process]:
    """nginx that passes everything on, without buffering, with as many workers as the gateway."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(port=port, to=to))
    arguments = [program, "-e", "error.log", "-p", str(folder), "-c", "nginx.conf"]
    with running(arguments, port, folder) as process:
        wait_until_it_answers(process, "/")
        yield process


@contextmanager
def outcrop(
    binary: Path, folder: Path, to: int, yaml: str = "", more: dict[str, str] | None = None
) -> Iterator[Process]:
    """The gateway with two workers, with `yaml` after its own configuration and `more` environment."""
    port = free_port()
    (folder / "outcrop.yaml").write_text(f"listen: 127.0.0.1:{port}\nworkers: 2\n{yaml}")
    environment = {**KEYS, **(more or {}), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{to}"}
    with running([str(binary), "--config", "outcrop.yaml"], port, folder, **environment) as process:
        process.ready = wait_until_it_answers(process, "/readyz")
        yield process


def drive(
    harness: Path, process: Process, path: str, body: Path, requests: int, connections: int, key: str = "any"
) -> dict:
    """Sends requests and returns what the client measured."""
    arguments = [harness, "drive", "--port", str(process.port), "--path", path, "--body", str(body),
                 "--requests", str(requests), "--connections", str(connections),
                 "--header", f"authorization: Bearer {key}"]
    printed = subprocess.run(arguments, check=True, capture_output=True, timeout=600).stdout
    return json.loads(printed)
