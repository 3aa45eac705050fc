"""A PostgreSQL server of a test's own: Debian's package, in a temporary folder, on a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

# The account that runs it where the tests run as root, which PostgreSQL refuses.
ACCOUNT = "postgres"


def binaries() -> Path | None:
    """The newest installed version's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class PostgresServer:
    """A running server; use it as a context manager."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="outcrop-postgres-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def __enter__(self) -> "PostgresServer":
        if os.geteuid() == 0:
            shutil.chown(self.folder, ACCOUNT)
        data = str(self.folder / "data")
        self.run("initdb", "-D", data, "--auth=trust", "--username=outcrop", "--encoding=UTF8", "--locale=C", "--no-sync")
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={self.port} "
            f"-c unix_socket_directories={self.folder} -c fsync=off"
        )
        self.run("pg_ctl", "-D", data, "-l", str(self.folder / "log"), "-w", "-o", options, "start")
        return self

    def __exit__(self, *_: object) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self, name: str, *scripts: Path) -> str:
        """Makes a database, runs scripts in it, and returns its URL."""
        place = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "outcrop")
        self.run("createdb", *place, name)
        for script in scripts:
            self.run("psql", *place, "-q", "-v", "ON_ERROR_STOP=1", name, text=script.read_text())
        return f"postgresql://outcrop@127.0.0.1:{self.port}/{name}"

    def run(self, program: str, *arguments: str, text: str = "") -> None:
        """Runs one of its programs; a failure shows what it said."""
        account = ["runuser", "-u", ACCOUNT, "--"] if os.geteuid() == 0 else []
        # The server inherits the descriptors of the program that starts it: pipes would stay open.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                [*account, str(self.programs / program), *arguments],
                input=text,
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=tempfile.gettempdir(),
                check=False,
            )
            said.seek(0)
            assert done.returncode == 0, f"{program}: {said.read()}"
