#!/usr/bin/env python3
"""Lists the crates of the production binary with their licences: licenses.py writes licenses.txt beside this file,
licenses.py --check says whether it is current.

The crates are those that cargo builds for the image (no default features, Linux). Where an author offers the Apache
licence 2.0 among others, it is the one taken; its text is this repository's LICENSE. Every other text, and every notice, is
printed once, with the names of the crates that carry it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIST = HERE / "licenses.txt"
PACKAGE = "outcrop"
TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]
FILES = re.compile(r"^(licen[cs]e|copying|notice|unlicense|copyright)", re.IGNORECASE)
NOTICES = re.compile(r"^notice", re.IGNORECASE)
APACHE = "Apache-2.0"
RULE = "-" * 100


def cargo(*arguments: str) -> str:
    """The output of a cargo command that resolves what the lock file holds."""
    shown = subprocess.run(["cargo", *arguments, "--locked"], cwd=ROOT, check=True, capture_output=True, text=True)
    return shown.stdout


def linked(target: str) -> set[tuple[str, str]]:
    """Name and version of what ends up in the binary: without what only builds, macros or tests need."""
    features = ["--no-default-features", "--features", "console,otlp"]
    wanted = ["--package", PACKAGE, *features, "--edges", "normal,no-proc-macro", "--target", target]
    shown = cargo("tree", *wanted, "--prefix", "none", "--format", "{p}")
    return {(name, version) for name, version in re.findall(r"^(\S+) v(\S+)(?: \(\*\))?$", shown, re.M)}


def crates() -> list[dict[str, Any]]:
    """All of them, over the targets; the workspace's own have a path and are left out."""
    packages = json.loads(cargo("metadata", "--format-version=1"))["packages"]
    known = {(each["name"], each["version"]): each for each in packages if each["source"]}
    found = set[tuple[str, str]]().union(*(linked(target) for target in TARGETS))
    return [known[key] for key in sorted(found)]


def is_apache(crate: dict[str, Any]) -> bool:
    """Whether the Apache licence alone may be taken."""
    expression = crate["license"] or ""
    return any(part.strip(" ()") == APACHE for part in re.split(r" OR |/", expression) if " AND " not in expression)


def texts(crate: dict[str, Any]) -> list[str]:
    """The texts of a crate that must go with it."""
    folder = Path(crate["manifest_path"]).parent
    wanted = NOTICES if is_apache(crate) else FILES
    files = sorted(path for path in folder.iterdir() if path.is_file() and wanted.match(path.name))
    return [normal(path.read_text(errors="replace")) for path in files]


def normal(text: str) -> str:
    """A text without differences that say nothing."""
    lines = (line.rstrip() for line in text.replace("\r\n", "\n").split("\n"))
    return "\n".join(lines).strip("\n")


def rendered() -> str:
    """The whole list."""
    found = crates()
    carriers: defaultdict[str, list[str]] = defaultdict(list)
    lines = ["Crates in Outcrop's binary, with the licences under which their authors offer them.", ""]
    for crate in found:
        name = f"{crate['name']} {crate['version']}"
        taken = f" (taken: {APACHE})" if is_apache(crate) and crate["license"] != APACHE else ""
        lines.append(f"{name}: {crate['license'] or 'see its text'}{taken}")
        found_texts = texts(crate)
        if not found_texts and not is_apache(crate):
            lines[-1] += f" (its package has no text; authors: {', '.join(crate['authors']) or crate['repository']})"
        for text in found_texts:
            carriers[text].append(name)
    for text, names in sorted(carriers.items(), key=lambda item: (-len(item[1]), item[1])):
        lines += ["", RULE, ", ".join(names), RULE, "", text]
    return "\n".join(lines) + "\n"


def main() -> int:
    wanted = rendered()
    if sys.argv[1:] == ["--check"]:
        if LIST.read_text() == wanted:
            return 0
        print("licenses.txt is not current: run deploy/supply-chain/licenses.py")
        return 1
    LIST.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
