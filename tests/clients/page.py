"""Sets clients up by their blocks of docs/clients/, for the gateway of the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from outcrop_process import clean_environment
from readme_blocks import client_block

SECONDS = 60


def set_up(name: str, url: str) -> dict[str, Any]:
    """Runs a Python block for the gateway at `url`; returns the names that it defines."""
    block = client_block(name, url.removeprefix("http://"))
    defined: dict[str, Any] = {}
    exec(compile(block.text, block.name, "exec"), defined)
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
        ["bash", "-euo", "pipefail", "-c", client_block(name, url.removeprefix("http://")).text + more],
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
