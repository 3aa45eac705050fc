"""Expressions of the dashboard and the alert rules, and the programs that judge them."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator

import pytest
import yaml

from manifests import DEPLOY

MONITORING = DEPLOY / "monitoring"
NAME = re.compile(r"\b((?:outcrop|process|gen_ai)_[a-z_]+)\b")
SUFFIXES = re.compile(r"_(bucket|sum|count)$")


def panels() -> Iterator[tuple[str, str]]:
    """Title and expression of every query of the dashboard, with its variables set to all."""
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "1m")
            yield panel["title"], re.sub(r"\$(job|instance|model|region)\b", ".*", expression)


def alerts() -> Iterator[tuple[str, str]]:
    (group,) = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    for rule in group["rules"]:
        yield rule["alert"], rule["expr"]


EXPRESSIONS = [*panels(), *alerts()]


def metrics(expression: str) -> set[str]:
    return {SUFFIXES.sub("", name) for name in NAME.findall(expression)}


def program(name: str) -> str:
    """A program of Debian's package prometheus; without it the test is skipped, in CI it fails."""
    found = shutil.which(name)
    if found is None:
        assert os.environ.get("CI") != "true", f"{name} is not installed"
        pytest.skip(f"{name} is not installed (apt-get install prometheus)")
    return found
