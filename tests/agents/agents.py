"""Starts coding agents as docs/clients/ says, each in a home folder of its own.

The block of an agent ends in its bare command. A script of the same name, first in PATH, runs the pinned
program with that command's arguments and those that make it answer one question and end.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from forward_proxy import ForwardProxy
from outcrop_process import Outcrop, clean_environment
from readme_blocks import client_block

MODULES = Path(os.environ.get("OUTCROP_AGENTS_MODULES", ""))
NODE = os.environ.get("OUTCROP_NODE", "node")
SECONDS = 120
# Turns off updates, statistics and downloads of model lists.
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CONTINUE_TELEMETRY_ENABLED": "0",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "PI_OFFLINE": "1",
    "PI_TELEMETRY": "0",
}


@dataclass(frozen=True)
class Agent:
    """A program of docs/clients/, and how it is made to answer once."""

    # Its block on the page.
    name: str
    command: str
    # Paths below node_modules, one for each platform; the first that is there is run.
    programs: tuple[str, ...]
    # The tool that runs a shell command.
    shell: str
    once: tuple[str, ...]
    resumed: tuple[str, ...]
    # Model calls of one tool loop with one call, those for a session's title included.
    most_calls: int = 2
    # Hosts that it calls with every setting that turns calls off, and does not need.
    asks_for: tuple[str, ...] = ()
    interpreted: bool = False

    @property
    def program(self) -> Path | None:
        """The installed program."""
        return next((MODULES / path for path in self.programs if (MODULES / path).exists()), None)


PLATFORMS = ("linux-x64", "linux-arm64", "darwin-arm64")
CODEX_PLATFORMS = ("x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "aarch64-apple-darwin")
CODEX = ("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")


def claude_code(name: str) -> Agent:
    """Claude Code by one of its blocks."""
    return Agent(
        name=name,
        command="claude",
        programs=tuple(f"@anthropic-ai/claude-code-{platform}/claude" for platform in PLATFORMS),
        shell="Bash",
        once=("-p", "--allowedTools", "Bash", "--"),
        resumed=("-c", "-p", "--allowedTools", "Bash", "--"),
    )


def codex(name: str, most_calls: int) -> Agent:
    """Codex by one of its blocks."""
    return Agent(
        name=name,
        command="codex",
        programs=tuple(
            f"@openai/codex-{platform}/vendor/{target}/bin/codex"
            for platform, target in zip(PLATFORMS, CODEX_PLATFORMS, strict=True)
        ),
        shell="exec_command",
        once=CODEX,
        resumed=(*CODEX, "resume", "--last"),
        most_calls=most_calls,
        asks_for=("ab.chatgpt.com", "api.github.com", "chatgpt.com", "github.com"),
    )


def opencode(name: str) -> Agent:
    """opencode by one of its blocks; it asks for a title of the session too."""
    return Agent(
        name=name,
        command="opencode",
        programs=tuple(
            f"opencode-{platform}/bin/opencode" for platform in ("linux-x64-baseline", "linux-arm64", "darwin-arm64")
        ),
        shell="bash",
        once=("run",),
        resumed=("run", "-c"),
        most_calls=3,
        asks_for=("registry.npmjs.org",),
    )


def pi(name: str) -> Agent:
    """pi by one of its blocks."""
    return Agent(
        name=name,
        command="pi",
        programs=(".bin/pi",),
        shell="bash",
        once=("-p",),
        resumed=("-c", "-p"),
        interpreted=True,
    )


AGENTS = {
    agent.name: agent
    for agent in [
        claude_code("claude-code"),
        claude_code("claude-code-bedrock"),
        codex("codex", most_calls=2),
        # Over a WebSocket it prepares each session with requests that call no model.
        codex("codex-models", most_calls=4),
        opencode("opencode"),
        opencode("opencode-responses"),
        opencode("opencode-messages"),
        pi("pi"),
        pi("pi-responses"),
        pi("pi-messages"),
        Agent(
            name="continue",
            command="cn",
            programs=(".bin/cn",),
            shell="Bash",
            once=("--auto", "-p"),
            resumed=("--auto", "--resume", "-p"),
            interpreted=True,
        ),
    ]
}


@dataclass
class Session:
    """One agent in one home and working folder, so that a session can be resumed."""

    agent: Agent
    gateway: Outcrop
    proxy: ForwardProxy
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    # A setting of the page that this session does without.
    without: str = ""

    def ask(self, question: str, flags: tuple[str, ...]) -> str:
        """Asks one question; returns the output."""
        for name in ("home", "work", "bin"):
            (self.folder / name).mkdir(exist_ok=True)
        self.write_shim((*flags, question))
        host, port = self.gateway.address
        script = client_block(self.agent.name, f"{host}:{port}").text
        assert self.without in script, f"{self.without} is not on the page"
        script = script.replace(self.without, "")
        return run(script, self.folder / "work", self.variables())

    def variables(self) -> dict[str, str]:
        """Environment with the programs and a closed internet, without the developer's settings."""
        closed = {name: self.proxy.url for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
        variables = clean_environment(
            str(self.folder / "home"), {**QUIET, **closed, "NO_PROXY": "127.0.0.1", **self.environment}
        )
        folders = [str(self.folder / "bin"), str(Path(NODE).parent), variables["PATH"]]
        return {**variables, "PATH": ":".join(folders)}

    def write_shim(self, flags: tuple[str, ...]) -> None:
        """Puts the pinned program under the command's name, with the flags behind its arguments."""
        program = self.agent.program
        assert program, f"{self.agent.name} is not installed below {MODULES}"
        words = [*([NODE] if self.agent.interpreted else []), str(program)]
        shim = self.folder / "bin" / self.agent.command
        shim.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@" {shlex.join(flags)}\n')
        shim.chmod(0o755)


def run(script: str, folder: Path, environment: dict[str, str]) -> str:
    """Runs a shell script and all that it starts under one deadline; returns the output."""
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise AssertionError(f"no end within {SECONDS} s:\n{output}") from None
    assert process.returncode == 0, f"exit code {process.returncode}:\n{output}"
    return output
