"""Checks of prose: doc comments state facts, and the papers stay short."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tree import Finding, Tree

QUESTION = re.compile(r"(What|Who|Whose|Whom|How|Where|Why|Which|When)\b")
VAGUE = re.compile(r"\b(nobody|nothing|whoever)\b", re.IGNORECASE)
# Ceilings only fall. Percent of doc comments that open with a question word, and vague subjects a thousand
# lines of comment.
MOST_QUESTIONS = 3.0
MOST_VAGUE = 5.0
MAX_LINES = {"README.md": 150, "ARCHITECTURE.md": 200, "CONTRIBUTING.md": 120}


def plain_prose(tree: Tree) -> Iterator[Finding]:
    """Doc comments open with a subject or a verb, and name their subjects."""
    docs = lines = 0
    questions: list[tuple[str, int]] = []
    vague: list[tuple[str, int]] = []
    for name in tree.rust("crates/"):
        before = False
        for number, line in enumerate((tree.text(name) or "").splitlines(), 1):
            text = line.strip()
            is_doc = text.startswith(("///", "//!"))
            if text.startswith("//"):
                lines += 1
                vague += [(name, number)] * len(VAGUE.findall(text))
            if is_doc and not before:
                docs += 1
                if QUESTION.match(text[3:].lstrip()):
                    questions.append((name, number))
            before = is_doc
    if docs and 100 * len(questions) / docs > MOST_QUESTIONS:
        name, line = questions[0]
        share = 100 * len(questions) / docs
        yield Finding(name, line, f"{share:.1f} % of doc comments open with a question word", f"state the fact, subject or verb first; {MOST_QUESTIONS} % is the ceiling")
    if lines and 1000 * len(vague) / lines > MOST_VAGUE:
        name, line = vague[0]
        share = 1000 * len(vague) / lines
        yield Finding(name, line, f"nobody, nothing or whoever {share:.1f} times in 1,000 lines of comment", f"name the subject; {MOST_VAGUE} is the ceiling")


def short_papers(tree: Tree) -> Iterator[Finding]:
    """README, ARCHITECTURE and CONTRIBUTING can be read in one go."""
    for name, most in MAX_LINES.items():
        text = tree.text(name)
        if text is None:
            yield Finding(name, 1, "it is missing", "write it")
        elif text.count("\n") > most:
            yield Finding(name, most, f"{text.count(chr(10))} lines", f"move what is reference into docs/: {most} is the ceiling")
