"""Sets clients up by their blocks of docs/clients.md, for the gateway of the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from outcrop_process import clean_environment
from readme_blocks import CLIENTS_PAGE, Block, blocks

PRINTED_ADDRESS = "127.0.0.1:4000"
SECONDS = 60


def block(name: str, url: str) -> Block:
    """The block of this name, with the address of the gateway at `url`."""
    [found] = [block for block in blocks(CLIENTS_PAGE.read_text()) if block.name == name]
    text = found.text.replace(PRINTED_ADDRESS, url.removeprefix("http://"))
    return Block(found.name, found.language, text, found.line)


def set_up(name: str, url: str) -> dict[str, Any]:
    """Runs a Python block; returns the names that it defines."""
    found = block(name, url)
    defined: dict[str, Any] = {}
    exec(compile(found.text, f"docs/clients.md:{found.line} ({name})", "exec"), defined)
    return defined


def shell(name: str, url: str, folder: Path, module: str, more: str = "") -> str:
    """Runs a shell block, and `more` behind it, with this environment's `module` as a command of its name.

    Scripts that pip wrote name the folder in which the environment was built, which has moved since.
    """
    commands = folder / "commands"
    commands.mkdir()
    command = commands / {"awscli": "aws"}.get(module, module)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
    command.chmod(0o755)
    environment = clean_environment(str(folder), {"PATH": f"{commands}:{os.environ['PATH']}"})
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block(name, url).text + more],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
