"""How the cost of a chat grows with its prompt, its messages and its tools: a table and a plot, which are straight."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import report
from cases import MODEL, chat, words
from processes import drive, outcrop, upstream

CONNECTIONS = 4
# Each step with the requests of a round.
STEPS = ((1, 400), (4, 300), (16, 200), (64, 100))


def bodies(unit: str, count: int) -> dict:
    """A chat with so many units of one kind."""
    if unit == "1,000 words":
        return chat(words(1000 * count))
    if unit == "10 messages":
        turns = [{"role": role, "content": "Granite, basalt and gneiss."} for _ in range(5 * count) for role in ("user", "assistant")]
        return {"model": MODEL, "messages": [*turns, {"role": "user", "content": "Go on."}], "max_tokens": 512}
    schema = {"type": "object", "properties": {"place": {"type": "string"}, "depth": {"type": "integer"}}, "required": ["place"]}
    tools = [{"type": "function", "function": {"name": f"drill_{at}", "description": "Drills a hole.", "parameters": schema}}
             for at in range(2 * count)]
    return chat("Drill.", tools=tools)


UNITS = ("1,000 words", "10 messages", "2 tools")


def measure(harness: Path, binary: Path, folder: Path, rounds: int) -> tuple[str, dict[str, list[tuple[int, float]]]]:
    """A table, and CPU in microseconds by unit and count."""
    found: dict[str, list[tuple[int, float]]] = {}
    with ExitStack() as stack:
        canned = stack.enter_context(upstream(harness, folder, 0))
        place = folder / "growth"
        place.mkdir()
        gateway = stack.enter_context(outcrop(binary, place, canned.port))
        for unit in UNITS:
            for count, requests in STEPS:
                body = place / "body.json"
                body.write_bytes(json.dumps(bodies(unit, count)).encode())
                costs = []
                for number in range(rounds + 1):
                    before = gateway.cpu()
                    told = drive(harness, gateway, "/v1/chat/completions", body, requests, CONNECTIONS)
                    if told["failed"]:
                        raise SystemExit(f"{count} x {unit}: {told['failed']} requests failed")
                    if number:
                        costs.append((gateway.cpu() - before) / told["answered"])
                found.setdefault(unit, []).append((count, report.median(costs) * 1e6))
    rows = [[unit, *[f"{cost:,.0f} us" for _, cost in steps]] for unit, steps in found.items()]
    return report.table(["CPU of a chat with", *[f"x {count}" for count, _ in STEPS]], rows), found
