"""DSPy on chat completions and on Responses: the language model itself, a signature, and tools over turns."""

from __future__ import annotations

import json
import random
from typing import Any

import dspy
import pytest

from invented import request_for, tools, words
from outcrop_process import Outcrop
from page import set_up

BLOCKS = pytest.mark.parametrize("block", ["dspy", "dspy-responses", "dspy-messages"])


@BLOCKS
def test_text_and_signature(gateway: Outcrop, rng: random.Random, block: str) -> None:
    [name] = words(rng, 1)
    lm = set_up(block, gateway.url)["lm"]
    [said] = lm(f"Who is {name}?")
    assert name in (said["text"] if isinstance(said, dict) else said)
    with dspy.context(lm=lm, cache=False):
        assert dspy.Predict("question -> answer")(question=f"Who is {name}?").answer


@BLOCKS
def test_tools_over_turns(gateway: Outcrop, rng: random.Random, block: str) -> None:
    wanted, results = tools(rng, joints="_"), words(rng, 2)
    lm = set_up(block, gateway.url)["lm"]
    offered = [tool.definition for tool in wanted]
    messages: list[Any] = [{"role": "system", "content": "Be brief."}]
    for _ in range(2):
        messages.append({"role": "user", "content": request_for(wanted)})
        [called] = lm(messages=messages, tools=offered)
        calls = [call["function"] for call in called["tool_calls"]]
        assert [(call["name"], json.loads(call["arguments"])) for call in calls] == [
            (tool.name, tool.arguments) for tool in wanted
        ]
        messages.append({"role": "assistant", "content": called["text"], "tool_calls": called["tool_calls"]})
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": result}
            for call, result in zip(called["tool_calls"], results, strict=True)
        ]
        [said] = lm(messages=messages, tools=offered)
        text = said["text"] if isinstance(said, dict) else said
        assert all(result in text for result in results), text
        messages.append({"role": "assistant", "content": text})
