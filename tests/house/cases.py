"""tests/cases.toml against the tree: every case has a test that exists, or says which part it waits for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tree import Finding, Tree

FILE = "tests/cases.toml"
MEMBERS = {"number", "threads", "what", "tests", "later"}
# What is not built yet; a part that is built is taken out here, and its cases need tests.
LATER = {
    "other surfaces of Bedrock", "Messages API", "keys, budgets and spend", "hours under load",
    "agents as models",
}


def cases_have_tests(tree: Tree) -> Iterator[Finding]:
    """What hurt users elsewhere is tested here."""
    content = tree.manifest(FILE)
    if content is None:
        yield Finding(FILE, 1, "the table of cases is missing", "restore it")
        return
    cases = content.get("case", [])
    for place, case in enumerate(cases, 1):
        line = tree.line_of(FILE, f"number = {case.get('number')}")
        if case.get("number") != place:
            yield Finding(FILE, line, f"case {case.get('number')} stands where {place} should", "count without gaps")
        for what in wrong(tree, case):
            yield Finding(FILE, line, f"case {case.get('number')}: {what}", "name a test that exists, or what it waits for")


def wrong(tree: Tree, case: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one case."""
    if surplus := sorted(set(case) - MEMBERS):
        yield f"unknown members {surplus}"
    if not case.get("what"):
        yield "it does not say what it is"
    if not case.get("tests") and "later" not in case:
        yield "no test"
    if "later" in case and case["later"] not in LATER:
        yield f"{case['later']!r} is nothing that is still to come"
    for test in case.get("tests", []):
        if not exists(tree, test):
            yield f"there is no {test}"


def exists(tree: Tree, test: str) -> bool:
    """Whether a test is there: `file::name`, or a golden fixture."""
    file, _, name = test.partition("::")
    text = tree.text(file) if file in tree.files else None
    if text is None:
        return False
    if not name:
        return "/tests/fixtures/" in file
    word = re.escape(name)
    if file.endswith(".rs"):
        return re.search(rf"#\[(\w+::)*test(\(.*\))?\]\s+(#\[.*\]\s+)*(async\s+)?fn {word}\b", text) is not None
    return re.search(rf"^(async )?def {word}\(", text, re.MULTILINE) is not None and name.startswith("test_")
