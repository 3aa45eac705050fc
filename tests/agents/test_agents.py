"""Coding agents, the real programs, against the demo: a tool loop, and another one in the resumed session.

Each is set up by its lines of docs/clients.md alone.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from agents import AGENTS, Agent, Session
from forward_proxy import ForwardProxy
from outcrop_process import Outcrop

CLAUDE_CODE = AGENTS["claude-code"]
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MODEL_CALL = re.compile(r'outcrop::access\] \S+ (chat|native) model="(?P<model>[^"]+)" status=(?P<status>\d+)')


def tool_loop(session: Session, rng: random.Random, flags: tuple[str, ...]) -> list[str]:
    """Has the agent run a command and read its result; returns the models it called.

    Only the shell knows the sum, so an answer that has it rests on a tool call that was made.
    """
    first, second = rng.randrange(1000, 5000), rng.randrange(1000, 5000)
    before = len(session.gateway.log())
    question = f"Use {session.agent.shell} to run the command `expr {first} + {second}`"
    output = session.ask(question, flags)
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


@pytest.mark.parametrize(
    "credentials",
    [
        {"AWS_ACCESS_KEY_ID": "unused", "AWS_SECRET_ACCESS_KEY": "unused"},
        {"AWS_BEARER_TOKEN_BEDROCK": "unused"},
    ],
    ids=["keys", "bearer key"],
)
def test_claude_code_with_credentials_and_a_model_that_thinks_by_budget(
    credentials: dict[str, str],
    gateway: Outcrop,
    closed_internet: ForwardProxy,
    tmp_path: Path,
    rng: random.Random,
) -> None:
    environment = {**credentials, "ANTHROPIC_MODEL": SONNET}
    own = "CLAUDE_CODE_SKIP_BEDROCK_AUTH=1 "
    session = Session(CLAUDE_CODE, gateway, closed_internet, tmp_path, environment, without=own)
    calls = tool_loop(session, rng, CLAUDE_CODE.once)
    # With credentials of its own it first asks which models may be called.
    assert calls.count(SONNET) == 2 and len(calls) <= 5, calls
