"""What goes into a release: the list of licences is current, versions of tools are pinned, and no workflow holds more
rights than reading."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import manifests
from manifests import DEPLOY, ROOT

SUPPLY_CHAIN = DEPLOY / "supply-chain"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
COMMANDS = [DEPLOY / "Dockerfile", *WORKFLOWS]
# Installs of the newest version are meant: it runs on the nightly compiler.
UNPINNED = {"cargo-fuzz"}


def test_the_list_of_licences_is_current() -> None:
    manifests.run(sys.executable, SUPPLY_CHAIN / "licenses.py", "--check")


def test_the_list_holds_the_binary_s_crates_and_no_refused_ones() -> None:
    listed = set(re.findall(r"^([\w-]+) \d\S*: ", (SUPPLY_CHAIN / "licenses.txt").read_text(), re.M))
    assert {"actix-web", "rustls", "aws-lc-rs", "sqlx-postgres", "hyper"} <= listed
    refused = {entry["crate"].partition("@")[0] for entry in tomllib.loads((ROOT / "deny.toml").read_text())["bans"]["deny"]}
    assert not listed & (refused - {"rustls", "hyper", "h2"})
    assert not listed & {"emulator", "criterion", "proptest"}, "neither emulator nor tests are in the image"


def is_allowed(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression is met by allowed licences; a slash is an old way to write OR."""
    words = re.findall(r"[()]|/|[\w.+-]+(?: WITH [\w.-]+)?", expression)
    operators = {"AND": "and", "OR": "or", "/": "or", "(": "(", ")": ")"}
    return bool(eval(" ".join(operators.get(word) or str(word in allowed) for word in words)))


def test_licences_are_allowed_by_the_policy() -> None:
    allowed = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
    head = (SUPPLY_CHAIN / "licenses.txt").read_text().split("\n-----", 1)[0]
    listed = re.findall(r"^[\w-]+ \d\S*: (.+?)(?: \((?:taken|its package).*\))?$", head, re.M)
    assert len(listed) > 200
    assert not [expression for expression in listed if not is_allowed(expression, allowed)]


def test_expressions_are_understood() -> None:
    allowed = {"MIT", "Apache-2.0 WITH LLVM-exception"}
    assert is_allowed("GPL-3.0 OR MIT", allowed) and is_allowed("GPL-3.0/MIT", allowed)
    assert is_allowed("Apache-2.0 WITH LLVM-exception AND MIT", allowed)
    assert not is_allowed("(MIT OR Zlib) AND GPL-3.0", allowed) and not is_allowed("Apache-2.0", allowed)


@pytest.mark.parametrize("file", COMMANDS, ids=lambda path: path.name)
def test_tools_are_installed_with_their_version_and_lock_file(file: Path) -> None:
    for line in re.findall(r"cargo install (.+)", file.read_text()):
        words = line.split()
        assert words[0] == "--locked", line
        for word in words[1:]:
            assert re.fullmatch(r"[\w-]+@\d+\.\d+\.\d+", word) or word in UNPINNED, line


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_only_read(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in file.read_text(), "no job holds a secret"
    for name, job in workflow["jobs"].items():
        assert "timeout-minutes" in job and "permissions" not in job, name


def test_images_are_pinned() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d+\.\d+", tag), (name, service["image"])
