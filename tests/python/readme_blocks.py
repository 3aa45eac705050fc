"""Finds the examples of README.md and docs/ that are to be run as printed.

An example is a fenced block right below the comment `<!-- run: NAME -->`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
# The blocks of these pages set clients up, and are run by the suites that have those clients.
CLIENTS = ROOT / "docs" / "clients"
PRINTED_ADDRESS = "127.0.0.1:4000"
MARK = re.compile(r"^\s*<!--\s*run:\s*(?P<name>[\w.-]+)\s*-->\s*$")
FENCE = re.compile(r"^\s*```(?P<language>\w+)\s*$")


@dataclass(frozen=True)
class Block:
    """One example: its name, language, text and line in the file."""

    name: str
    language: str
    text: str
    line: int


def pages() -> list[Path]:
    """README.md and every page of docs/, in a fixed order."""
    return [README, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> list[Block]:
    """All examples in a Markdown text; a mark without a block below it is an error."""
    lines = text.splitlines()
    found = []
    for number, line in enumerate(lines):
        if not (mark := MARK.match(line)):
            continue
        start = number + 1
        while start < len(lines) and not lines[start].strip():
            start += 1
        fence = FENCE.match(lines[start]) if start < len(lines) else None
        assert fence, f"line {number + 1}: no fenced block with a language below {line.strip()}"
        indent = len(lines[start]) - len(lines[start].lstrip())
        body: list[str] = []
        for inner in lines[start + 1 :]:
            if inner.strip() == "```":
                break
            body.append(inner[indent:])
        else:
            raise AssertionError(f"line {start + 1}: the block never ends")
        found.append(Block(mark["name"], fence["language"], "\n".join(body) + "\n", number + 1))
    return found


def client_blocks() -> dict[str, tuple[Path, Block]]:
    """The examples of the clients' pages by name, each with its page."""
    found: dict[str, tuple[Path, Block]] = {}
    for page in sorted(CLIENTS.glob("*.md")):
        for block in blocks(page.read_text()):
            assert block.name not in found, f"{page}: there are two examples called {block.name}"
            found[block.name] = (page, block)
    return found


def client_block(name: str, address: str) -> Block:
    """The example of this name, with `address`, host and port, in place of the printed one."""
    page, block = client_blocks()[name]
    text = block.text.replace(PRINTED_ADDRESS, address)
    return Block(f"{page.relative_to(ROOT)}:{block.line} ({name})", block.language, text, block.line)
