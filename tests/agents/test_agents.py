"""Coding agents, the real programs, against the demo: a tool loop, and another one in the resumed session.

Each is set up by its lines of docs/clients/ alone.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agents import AGENTS, Agent, Session
from forward_proxy import ForwardProxy
from outcrop_process import Outcrop

THROUGH_BEDROCK = AGENTS["claude-code-bedrock"]
THROUGH_MESSAGES = AGENTS["claude-code"]
CODEX = AGENTS["codex"]
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MODEL_CALL = re.compile(
    r'outcrop::access\] \S+ (chat|native|responses|messages) .*?model="(?P<model>[^"]+)" status=(?P<status>\d+)'
)


# What an agent is asked, with the tool that runs a command, and two numbers.
COMMAND = "Use {shell} to run the command `expr {first} + {second}`"
# The same for Codex and models that it knows: they call its tools from a script.
SCRIPT = "Use exec to run the script `text(await tools.exec_command({{cmd: 'expr {first} + {second}'}}))`"


def tool_loop(
    session: Session, rng: random.Random, flags: tuple[str, ...], question: str = COMMAND
) -> list[str]:
    """Has the agent run a command and read its result; returns the models it called.

    Only the shell knows the sum, so an answer that has it rests on a tool call that was made.
    """
    first, second = rng.randrange(1000, 5000), rng.randrange(1000, 5000)
    before = len(session.gateway.log())
    asked = question.format(shell=session.agent.shell, first=first, second=second)
    output = session.ask(asked, flags)
    calls = list(MODEL_CALL.finditer(session.gateway.log()[before:]))
    assert "returned: " in output and str(first + second) in output, output
    assert {call["status"] for call in calls} == {"200"}, session.gateway.log()[before:]
    return [call["model"] for call in calls]


@pytest.mark.parametrize("agent", AGENTS.values(), ids=list(AGENTS))
def test_a_tool_loop_and_another_in_the_resumed_session(
    agent: Agent, gateway: Outcrop, closed_internet: ForwardProxy, tmp_path: Path, rng: random.Random
) -> None:
    session = Session(agent, gateway, closed_internet, tmp_path)
    for flags in (agent.once, agent.resumed):
        calls = tool_loop(session, rng, flags)
        assert 2 <= len(calls) <= agent.most_calls, calls
    known = {f"CONNECT {host}:443" for host in agent.asks_for}
    assert set(closed_internet.seen) <= known, "it asked for the internet"


@dataclass(frozen=True)
class Variant:
    """An agent with another model, or another way of authentication, than its block has."""

    name: str
    agent: Agent
    model: str
    environment: dict[str, str] = field(default_factory=dict)
    # Arguments after the first ones of the command.
    flags: tuple[str, ...] = ()
    # A setting of the block that it does without.
    without: str = ""
    question: str = COMMAND
    # Model calls of one tool loop; with credentials of its own Claude Code first asks which models may be called.
    most_calls: int = 2

    def __str__(self) -> str:
        return self.name


WITH_CREDENTIALS = {"without": "CLAUDE_CODE_SKIP_BEDROCK_AUTH=1 ", "most_calls": 5}
THINKING = ("-c", 'model_reasoning_effort="high"', "-c", 'model_reasoning_summary="detailed"')
VARIANTS = [
    Variant(
        "claude-code-bedrock with keys",
        THROUGH_BEDROCK,
        SONNET,
        {"ANTHROPIC_MODEL": SONNET, "AWS_ACCESS_KEY_ID": "unused", "AWS_SECRET_ACCESS_KEY": "unused"},
        **WITH_CREDENTIALS,
    ),
    Variant(
        "claude-code-bedrock with a bearer key",
        THROUGH_BEDROCK,
        SONNET,
        {"ANTHROPIC_MODEL": SONNET, "AWS_BEARER_TOKEN_BEDROCK": "unused"},
        **WITH_CREDENTIALS,
    ),
    Variant("claude-code that thinks by budget", THROUGH_MESSAGES, SONNET, {"ANTHROPIC_MODEL": SONNET}),
    Variant("claude-code with a model that is not Claude", THROUGH_MESSAGES, "nova-lite", {"ANTHROPIC_MODEL": "nova-lite"}),
    Variant("codex that thinks", CODEX, "claude-sonnet-4-5", flags=("-m", "claude-sonnet-4-5", *THINKING)),
    Variant("codex with a model that it knows", CODEX, "gpt-5.6-sol", flags=("-m", "gpt-5.6-sol"), question=SCRIPT),
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_another_model_or_credential(
    variant: Variant, gateway: Outcrop, closed_internet: ForwardProxy, tmp_path: Path, rng: random.Random
) -> None:
    session = Session(variant.agent, gateway, closed_internet, tmp_path, variant.environment, without=variant.without)
    first, *rest = variant.agent.once
    calls = tool_loop(session, rng, (first, *variant.flags, *rest), variant.question)
    assert calls.count(variant.model) == 2 and len(calls) <= variant.most_calls, calls


def test_codex_keeps_a_websocket_and_knows_the_models(
    gateway: Outcrop, closed_internet: ForwardProxy, tmp_path: Path, rng: random.Random
) -> None:
    agent = AGENTS["codex-models"]
    session, before = Session(agent, gateway, closed_internet, tmp_path), len(gateway.log())
    tool_loop(session, rng, agent.once)
    log = gateway.log()[before:]
    assert "] req_" in log and " responses.websocket " in log and " models " in log, log
    first, second = rng.randrange(1000, 5000), rng.randrange(1000, 5000)
    output = session.ask(COMMAND.format(shell=agent.shell, first=first, second=second), agent.once)
    assert "metadata" not in output.lower(), "it has the metadata of the model's name"
