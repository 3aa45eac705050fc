"""DSPy: the language model itself, and a signature."""

from __future__ import annotations

import random

import dspy

from invented import words
from outcrop_process import Outcrop
from page import set_up


def test_text_and_signature(gateway: Outcrop, rng: random.Random) -> None:
    [name] = words(rng, 1)
    lm = set_up("dspy", gateway.url)["lm"]
    assert name in lm(f"Who is {name}?")[0]
    with dspy.context(lm=lm, cache=False):
        assert dspy.Predict("question -> answer")(question=f"Who is {name}?").answer
