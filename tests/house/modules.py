"""Checks of the module graph: the server's has no cycle, and a public type's name is defined once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from tree import Finding, Tree

SERVER = "crates/server/src/"
USED = re.compile(r"\bcrate::(?:\{([^;]*?)\}|(\w+))")
IN_BRACES = re.compile(r"(?:^|,)\s*(\w+)")
DEFINED = re.compile(r"^[ \t]*pub(?:\([^)]*\))?\s+(?:struct|enum|trait)\s+(\w+)", re.MULTILINE)
ONE_NAME = tuple(f"crates/{crate}/src/" for crate in ("server", "routing", "bedrock", "translate"))
# Names that two parts share on purpose, with the reason.
SHARED_NAMES: dict[str, str] = {}


def no_module_cycle(tree: Tree) -> Iterator[Finding]:
    """The server's modules form no cycle: each can be read with what stands below it."""
    uses: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
    for name in tree.rust(SERVER):
        if name.endswith("/tests.rs") or "/tests/" in name:
            continue
        source = tree.source(name)
        module = name[len(SERVER) :].split("/")[0].removesuffix(".rs")
        for match in USED.finditer(source.code):
            if source.in_tests(match.start()) or module in ("lib", "main", "fuzzing"):
                continue
            for used in IN_BRACES.findall(match[1]) if match[1] else [match[2]]:
                if used != module:
                    uses[module].setdefault(used, (name, source.line(match.start())))
    seen: set[str] = set()
    for module in sorted(uses):
        cycle = {used for used in reachable(uses, module) if module in reachable(uses, used)}
        # Each cycle is told once, where its first module closes it.
        if cycle & seen:
            continue
        seen |= cycle
        for used, (name, line) in sorted(uses[module].items()):
            if used in cycle:
                yield Finding(name, line, f"{module} uses {used}, which leads back to {module}", "move what both need below them")


def reachable(uses: dict[str, dict[str, tuple[str, int]]], start: str) -> set[str]:
    """All modules that `start` leads to."""
    seen: set[str] = set()
    left = [start]
    while left:
        for used in uses.get(left.pop(), {}):
            if used not in seen:
                seen.add(used)
                left.append(used)
    return seen


def one_public_definition(tree: Tree) -> Iterator[Finding]:
    """A type that other modules see has a name of its own."""
    places: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name in tree.rust(*ONE_NAME):
        if name.endswith("/tests.rs") or "/tests/" in name:
            continue
        source = tree.source(name)
        for match in DEFINED.finditer(source.code):
            if not source.in_tests(match.start()):
                places[match[1]].append((name, source.line(match.start(1))))
    for word, found in sorted(places.items()):
        if len(found) > 1 and word not in SHARED_NAMES:
            for name, line in found[1:]:
                yield Finding(name, line, f"{word} is defined in {found[0][0]} too", "name it after what it holds")
