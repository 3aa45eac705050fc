"""Invented tools: names, arguments and values are new in every run.

A gateway or an emulator that special-cases the test's words would pass fixed ones; with invented ones
it must read the request. The seed is printed, and OUTCROP_TEST_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import Any

SEED = os.environ.get("OUTCROP_TEST_SEED") or str(random.SystemRandom().randrange(2**32))
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"
JSON_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True)
class InventedTool:
    """A function, and the arguments that the user's text gives for it."""

    name: str
    arguments: dict[str, Any]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments; all are required."""
        return {
            "type": "object",
            "properties": {
                name: {"type": JSON_NAMES[type(value)]} for name, value in self.arguments.items()
            },
            "required": list(self.arguments),
            "additionalProperties": False,
        }

    @property
    def definition(self) -> Any:
        """The tool as a request declares it; its description is uninformative."""
        return {
            "type": "function",
            "function": {"name": self.name, "description": "A tool.", "parameters": self.schema},
        }

    @property
    def asked(self) -> str:
        """The text that requests this call."""
        return f"call {self.name} with " + " and ".join(
            f'{name} "{value}"' if isinstance(value, str) else f"{name} {value}"
            for name, value in self.arguments.items()
        )


def seeded(name: str) -> random.Random:
    """A separate generator for each test, so that a failing test can be repeated alone."""
    return random.Random(f"{SEED} {name}")


def word(rng: random.Random, syllables: int = 3) -> str:
    """An invented word with a digit at its end."""
    spoken = "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(syllables))
    return f"{spoken}{rng.randrange(10)}"


def words(rng: random.Random, count: int) -> list[str]:
    """Different invented words."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[word(rng)] = None
    return list(found)


def tools(rng: random.Random, count: int = 2, joints: str = "_-") -> list[InventedTool]:
    """Tools without common names, arguments or values. If no gateway renames them, Nova accepts no
    hyphen among the `joints` of their names."""
    unused = iter(words(rng, count * 5))
    numbers = iter(rng.sample(range(100, 10_000), count))
    return [
        InventedTool(
            rng.choice(joints).join([next(unused), next(unused)]),
            {next(unused): next(unused), next(unused): next(numbers)},
        )
        for _ in range(count)
    ]


def request_for(wanted: list[InventedTool]) -> str:
    """A user's sentence that requests all of these calls."""
    text = ", and ".join(tool.asked for tool in wanted)
    return f"{text[0].upper()}{text[1:]}."
