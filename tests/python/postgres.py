"""A PostgreSQL server of the tests' own: Debian's package, in a temporary folder, on a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

# The account that runs it where the tests run as root, which PostgreSQL refuses.
ACCOUNT = "postgres"


def binaries() -> Path | None:
    """The newest installed version's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class Postgres:
    """A running server; use it as a context manager."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = tempfile.TemporaryDirectory(prefix="outcrop-postgres-")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]

    def __enter__(self) -> "Postgres":
        folder = self.folder.name
        if os.geteuid() == 0:
            subprocess.run(["chown", ACCOUNT, folder], check=True)
        wanted = ["--auth=trust", "--username=outcrop", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self.run("initdb", "-D", f"{folder}/data", *wanted)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run("pg_ctl", "-D", f"{self.folder.name}/data", "-m", "immediate", "stop", check=False)
        self.folder.cleanup()

    def start(self) -> None:
        folder = self.folder.name
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={self.port} "
            f"-c unix_socket_directories={folder} -c fsync=off"
        )
        self.run("pg_ctl", "-D", f"{folder}/data", "-l", f"{folder}/log", "-w", "-o", options, "start")

    def database(self, name: str) -> str:
        """Makes a database and returns its URL."""
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "outcrop", name)
        return f"postgres://outcrop@127.0.0.1:{self.port}/{name}?sslmode=disable"

    def stop(self) -> None:
        """Stops the server at once, as a crash does."""
        self.run("pg_ctl", "-D", f"{self.folder.name}/data", "-m", "immediate", "-w", "stop")

    def rows(self, database: str, query: str) -> list[list[str]]:
        """The rows of a query, as texts."""
        wanted = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "outcrop", "-d", database, "-At", "-c", query]
        shown = subprocess.run(
            [str(self.programs / "psql"), *wanted], check=True, capture_output=True, text=True
        )
        return [line.split("|") for line in shown.stdout.splitlines()]

    def run(self, name: str, *arguments: str, check: bool = True) -> None:
        own = ["runuser", "-u", ACCOUNT, "--"] if os.geteuid() == 0 else []
        subprocess.run(
            [*own, str(self.programs / name), *arguments],
            check=check,
            cwd=self.folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def installed() -> Path:
    """The programs; without them the test is skipped, in CI it fails."""
    programs = binaries()
    if programs is None:
        assert os.environ.get("CI") != "true", "PostgreSQL is not installed"
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    return programs
