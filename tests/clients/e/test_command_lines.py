"""AWS CLI and llm, started as docs/clients/ says."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from invented import words
from outcrop_process import Outcrop
from page import shell


def test_aws_cli(gateway: Outcrop, tmp_path: Path) -> None:
    answer = json.loads(shell("aws-cli", gateway.url, tmp_path, "awscli"))
    assert answer["stopReason"] == "end_turn" and answer["output"]["message"]["content"][0]["text"]


def test_aws_cli_lists_models(gateway: Outcrop, tmp_path: Path) -> None:
    output = shell("aws-cli", gateway.url, tmp_path, "awscli", "aws bedrock list-foundation-models\n")
    listed = json.JSONDecoder().raw_decode(output[output.index('{\n    "modelSummaries"') :])[0]
    assert len(listed["modelSummaries"]) > 10


TOOL = "def find_rock(place: str) -> str:\n    \"Finds a rock.\"\n    return '%s in ' + place\n"


@pytest.mark.parametrize(("block", "flags"), [("llm", ""), ("llm", "--no-stream"), ("llm-responses", "")])
def test_llm(gateway: Outcrop, tmp_path: Path, rng: random.Random, block: str, flags: str) -> None:
    name, place, result = words(rng, 3)
    (tmp_path / "tools.py").write_text(TOOL % result)
    more = (
        f"llm -m outcrop {flags} 'Who is {name}?'\n"
        f"llm -c {flags} 'And again?'\n"
        f"llm -m outcrop {flags} --functions tools.py 'Call find_rock with place {place}.'\n"
        f"llm -m outcrop {flags} --schema 'title str, weight int' 'title \"{name}\", weight 417'\n"
    )
    output = shell(block, gateway.url, tmp_path, "llm", more)
    assert name in output and f"{result} in {place}" in output
    assert json.loads(output.strip().splitlines()[-1]) == {"title": name, "weight": 417}
