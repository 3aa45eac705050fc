"""Enough of Rust's grammar to look at code without its comments and literals.

The checks search text; a name in a comment or a string must not count as code, and the other way
round. Positions stay what they were, so a finding still names its line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

TOKEN = re.compile(
    r"""
    (?P<line>//[^\n]*)
  | (?P<block>/\*)
  | (?P<raw>\b(?:b|c)?r(?P<hashes>\#*)")
  | (?P<text>\b[bc]"|")
  | (?P<char>(?<!\w)b?'(?:\\(?:u\{[0-9a-fA-F_]+\}|x[0-9a-fA-F]{2}|.)|[^\\'\n])')
    """,
    re.VERBOSE,
)
FUNCTION = re.compile(r"\bfn\s+(\w+)")
TEST_ITEM = re.compile(r"#\s*\[\s*cfg\s*\(\s*test\s*\)\s*\]")


@dataclass(frozen=True)
class Literal:
    """A string literal: its text between the quotes and where it begins."""

    text: str
    offset: int


@dataclass(frozen=True)
class Function:
    """A function with a body: its name, its first and last line, its parameters without the receiver."""

    name: str
    first: int
    last: int
    parameters: int = 0

    @property
    def lines(self) -> int:
        """How many lines it takes, signature and closing brace included."""
        return self.last - self.first + 1


class RustSource:
    """One Rust file, read once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.code, self.literals = split(text)

    def line(self, offset: int) -> int:
        """The line, from 1, of a position."""
        return self.text.count("\n", 0, offset) + 1

    @cached_property
    def test_ranges(self) -> list[range]:
        """Positions of the items under `#[cfg(test)]`."""
        found = []
        for match in TEST_ITEM.finditer(self.code):
            brace = self.code.find("{", match.end())
            semicolon = self.code.find(";", match.end())
            if brace < 0 or 0 <= semicolon < brace:
                end = semicolon if semicolon >= 0 else len(self.code)
            else:
                end = closing(self.code, brace)
            found.append(range(match.start(), end + 1))
        return found

    def in_tests(self, offset: int) -> bool:
        """Whether a position lies in test code."""
        return any(offset in span for span in self.test_ranges)

    def functions(self) -> list[Function]:
        """Every function that has a body."""
        found = []
        for match in FUNCTION.finditer(self.code):
            brace = body_start(self.code, match.end())
            if brace is not None:
                last = self.line(closing(self.code, brace))
                found.append(Function(match[1], self.line(match.start()), last, parameter_count(self.code, match.end())))
        return found


def parameter_count(code: str, start: int) -> int:
    """How many parameters the function has whose name ends at `start`, `self` aside."""
    position, depth = start, 0
    # Past the generics: an arrow within them is no bracket.
    while position < len(code) and not (code[position] == "(" and depth == 0):
        if code[position] == "<":
            depth += 1
        elif code[position] == ">" and code[position - 1] != "-":
            depth -= 1
        position += 1
    parts, depth = [""], 0
    for index in range(position + 1, len(code)):
        char = code[index]
        if char == ")" and depth == 0:
            break
        if char in "([{<":
            depth += 1
        elif char in ")]}" or char == ">" and code[index - 1] not in "-=":
            depth -= 1
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    written = [part.strip() for part in parts if part.strip()]
    return sum(not re.fullmatch(r"(&\s*('\w+\s+)?)?(mut\s+)?self(\s*:.*)?", part, re.DOTALL) for part in written)


def split(text: str) -> tuple[str, list[Literal]]:
    """The text with comments and literals blanked, and the string literals."""
    out = list(text)
    literals: list[Literal] = []
    position = 0
    while match := TOKEN.search(text, position):
        start = match.start()
        if match.lastgroup == "line" or match["line"]:
            end = match.end()
        elif match["block"]:
            end = block_end(text, start)
        elif match["raw"]:
            close = text.find('"' + match["hashes"], match.end())
            close = len(text) if close < 0 else close
            literals.append(Literal(text[match.end() : close], start))
            end = close + 1 + len(match["hashes"])
        elif match["text"]:
            close = string_end(text, match.end())
            literals.append(Literal(text[match.end() : close], start))
            end = close + 1
        else:
            end = match.end()
        for index in range(start, min(end, len(text))):
            if out[index] != "\n":
                out[index] = " "
        position = max(end, start + 1)
    return "".join(out), literals


def block_end(text: str, start: int) -> int:
    """Where a block comment ends; they nest."""
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def string_end(text: str, start: int) -> int:
    """The position of the closing quote of an ordinary string."""
    position = start
    while position < len(text) and text[position] != '"':
        position += 2 if text[position] == "\\" else 1
    return position


def closing(code: str, brace: int) -> int:
    """The position of the brace that closes the one at `brace`."""
    depth = 0
    for match in re.compile(r"[{}]").finditer(code, brace):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.start()
    return len(code) - 1


def body_start(code: str, position: int) -> int | None:
    """The brace a function's body begins with; `None` for a declaration without body."""
    depth = 0
    while position < len(code):
        character = code[position]
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif depth == 0 and character == ";":
            return None
        elif depth == 0 and character == "{":
            return position
        position += 1
    return None
