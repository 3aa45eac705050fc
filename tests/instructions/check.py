#!/usr/bin/env python3
"""Counts the instructions of translations and of whole requests with valgrind, and compares them with baseline.json.

    tests/instructions/check.py            fails where a count is more than 5 % above its baseline
    tests/instructions/check.py --write    writes the baseline

OUTCROP_BINARY is the gateway of the whole requests.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import whole_requests

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BASELINE = HERE / "baseline.json"
TOLERANCE = 0.05
# Two counts of so many repetitions; their difference has neither the start nor the making of the bodies.
TIMES = {"request": (20, 120), "long-request": (2, 6), "image-request": (1, 3), "response": (50, 450), "event": (200, 2200)}


def built() -> Path:
    """The program, built as a benchmark is."""
    command = ["cargo", "bench", "--locked", "-p", "translate", "--bench", "instructions", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    messages = [json.loads(line) for line in lines if line.startswith("{")]
    (program,) = [one["executable"] for one in messages if one.get("executable") and one["target"]["name"] == "instructions"]
    return Path(program)


def counted(program: Path, case: str, times: int) -> int:
    """Instructions of a run."""
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        run = subprocess.run([*tool, str(program), case, str(times)], capture_output=True, text=True, timeout=300)
    if run.returncode:
        raise SystemExit(f"{case}: {run.stderr}")
    return int(re.findall(r"Collected : (\d+)", run.stderr)[0])


def main() -> None:
    program = built()
    found = {}
    for case, (few, many) in TIMES.items():
        found[case] = round((counted(program, case, many) - counted(program, case, few)) / (many - few))
    found |= whole_requests.counted()
    if sys.argv[1:] == ["--write"]:
        BASELINE.write_text(json.dumps(found, indent=2) + "\n")
    baseline = json.loads(BASELINE.read_text())
    worse = []
    for case, count in found.items():
        change = count / baseline[case] - 1
        print(f"{case:15} {count:12,} instructions, {change:+.1%}")
        if change > TOLERANCE:
            worse.append(case)
    if worse:
        raise SystemExit(f"more instructions than the baseline allows: {', '.join(worse)}; `--write` accepts them")


if __name__ == "__main__":
    main()
