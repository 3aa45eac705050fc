"""tests/reliability.toml against the tree: every promise has tests that exist, or says what is lacking and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cases import exists
from tree import Finding, Tree

FILE = "tests/reliability.toml"
MEMBERS = {"id", "what", "tests", "scaled", "lacks"}
IDS = [f"R{number:02}" for number in range(1, 37)] + [f"S{number:02}" for number in range(1, 45)]
NOT_COMPILED = "compile_fail"


def promises_have_tests(tree: Tree) -> Iterator[Finding]:
    """What is promised of reliability and security is tested here."""
    content = tree.manifest(FILE)
    if content is None:
        yield Finding(FILE, 1, "the table of promises is missing", "restore it")
        return
    promises = content.get("promise", [])
    found = [promise.get("id") for promise in promises]
    if found != IDS:
        odd = next((one for one, wanted in zip(found, IDS) if one != wanted), "the last one")
        yield Finding(FILE, 1, f"the ids are not {IDS[0]} to {IDS[-1]}, from {odd} on", "list each once, in order")
    for promise in promises:
        line = tree.line_of(FILE, f'id = "{promise.get("id")}"')
        for what in wrong(tree, promise):
            yield Finding(FILE, line, f"{promise.get('id')}: {what}", "name a test that exists, or what is lacking")


def wrong(tree: Tree, promise: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one promise."""
    if surplus := sorted(set(promise) - MEMBERS):
        yield f"unknown members {surplus}"
    if not promise.get("what"):
        yield "it does not say what it is"
    if not promise.get("tests") and not promise.get("lacks"):
        yield "no test"
    for test in promise.get("tests", []):
        if not shown(tree, test):
            yield f"there is no {test}"


def shown(tree: Tree, test: str) -> bool:
    """Whether a test is there: as in the table of cases, a method of the house's own, or a documentation test."""
    file, _, name = test.partition("::")
    text = tree.text(file) if file in tree.files else None
    if text is None:
        return False
    if name == NOT_COMPILED:
        return f"```{NOT_COMPILED}" in text
    if file.startswith("tests/house/"):
        return f"    def {name}(self)" in text and name.startswith("test_")
    return exists(tree, test)
