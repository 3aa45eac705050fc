"""Inputs from public reports and from an attack, played against the binary if their folder is present."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import shared_attack_checks
from outcrop_process import Outcrop
from scripted import Answer, Scripted
from shared_cases import Case, Play, cases, needed
from shared_chat_checks import CHECKS


@pytest.fixture(scope="module")
def play() -> Iterator[Play]:
    """One gateway for all chat cases. The reasoning store is keyed by call id and caller, so each case
    has its own key."""
    upstream = Scripted(lambda handler, asked: playing[0].answer(handler, asked) if playing else Answer(500))
    playing: list[Play] = []
    with upstream, Outcrop(["--listen", "127.0.0.1:0"], environment=upstream.environment) as gateway:
        playing.append(Play(gateway, upstream))
        yield playing[0]


@pytest.mark.parametrize("case", cases("chat"))
def test_chat(play: Play, case: Case | None) -> None:
    case = needed(case)
    assert case["kind"] in CHECKS, f"no check for {case['kind']}: {case['expected']}"
    play.replies.clear()
    play.caller = case["id"]
    CHECKS[case["kind"]](case, play.turns(case))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", cases("attack"))
def test_attack(case: Case | None) -> None:
    case = needed(case)
    assert case["finding"] in shared_attack_checks.CHECKS, f"no check for {case['finding']}: {case['expect']}"
    shared_attack_checks.CHECKS[case["finding"]](case)
