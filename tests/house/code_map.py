"""Reads the map of ARCHITECTURE.md: a fenced tree, one entry a line, indented by what holds it."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEADING = re.compile(r"^#+\s.*\b(the map|code map|map of the code)\b", re.IGNORECASE)
DRAWING = re.compile(r"[│├└─┬|`]")
NAME = re.compile(r"[\w.{},/*-]*[\w}*/]")


@dataclass(frozen=True)
class Entry:
    """One path the map claims to exist, and the line that says so."""

    path: str
    line: int


def entries(text: str) -> list[Entry]:
    """All paths of the fenced block below the map's heading."""
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if HEADING.match(line)), None)
    if start is None:
        return []
    fences = [n for n in range(start + 1, len(lines)) if lines[n].startswith("```")]
    if len(fences) < 2:
        return []
    found: list[Entry] = []
    parents: list[tuple[int, str]] = []
    for number in range(fences[0] + 1, fences[1]):
        line = DRAWING.sub(" ", lines[number])
        indent = len(line) - len(line.lstrip())
        match = NAME.match(line.strip())
        if not match:
            continue
        parents = [(depth, path) for depth, path in parents if depth < indent]
        base = parents[-1][1] if parents else ""
        for name in expand(match[0]):
            found.append(Entry(f"{base}{name}", number + 1))
        if match[0].endswith("/") and "{" not in match[0]:
            parents.append((indent, f"{base}{match[0]}"))
    return found


def expand(name: str) -> list[str]:
    """`a/{b,c}` as `a/b` and `a/c`."""
    match = re.search(r"\{([^{}]*)\}", name)
    if not match:
        return [name]
    return [
        whole
        for piece in match[1].split(",")
        for whole in expand(f"{name[: match.start()]}{piece.strip()}{name[match.end() :]}")
    ]
