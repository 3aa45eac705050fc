#!/usr/bin/env python3
"""Runs the tests that tests/reliability.toml names, several times in a row, and prints how long each round took.

    OUTCROP_BINARY=target/debug/outcrop python tests/promises.py [TIMES]

Python is that of an environment with tests/python/requirements.txt; the Rust tests are built first, by cargo-nextest.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROMISES = tomllib.loads((ROOT / "tests/reliability.toml").read_text())["promise"]


def named(folder: str, suffix: str) -> list[str]:
    """Tests in files of a folder, as FILE::NAME."""
    tests = {test for promise in PROMISES for test in promise["tests"]}
    return sorted(test for test in tests if re.fullmatch(rf"{folder}.*\.{suffix}::\w+", test))


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    names = sorted({re.escape(test.split("::")[1]) for test in named("crates/", "rs")} - {"compile_fail"})
    expression = f"test(/(^|::)({'|'.join(names)})($|::)/)"
    rust = ["cargo", "nextest", "run", "--locked", "--workspace", "--config-file", "tests/nextest.toml", "-E", expression]
    nodes = [test.removeprefix("tests/python/") for test in named("tests/python/", "py")]
    python = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", *nodes]
    house = [sys.executable, "-m", "unittest", "-q", "test_check"]
    subprocess.run([*rust, "--no-run"], cwd=ROOT, check=True)
    for number in range(times):
        began = time.monotonic()
        for command, folder in ((rust, ROOT), (python, ROOT / "tests/python"), (house, ROOT / "tests/house")):
            subprocess.run(command, cwd=folder, check=True)
        print(f"round {number + 1} of {times}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
