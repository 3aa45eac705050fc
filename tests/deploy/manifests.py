"""Renders the manifests and reads them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
CHART = DEPLOY / "helm" / "outcrop"
OVERLAYS = sorted(path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))
# The oldest with native sidecars, and the newest that the validator knows.
VERSIONS = ["1.29", "1.37"]
# Longer than anything takes on a busy machine, where cargo waits for other cargos.
PATIENCE = 600

Manifest = dict[str, Any]


def run(*command: str | Path, **options: Any) -> str:
    """The output of a command that has to succeed."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **options)
    if ended.returncode:
        raise AssertionError(f"{command} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def tool(name: str) -> Path:
    """A program of this environment's packages. Scripts of Python name the folder in which they were installed, so they are
    given to the interpreter."""
    return Path(sys.executable).parent / name


def read(text: str) -> list[Manifest]:
    """The objects of a stream of documents."""
    return [found for found in yaml.safe_load_all(text) if found]


@cache
def overlay(name: str) -> str:
    """An overlay, rendered."""
    return run(tool("kubectl"), "kustomize", KUBERNETES / "overlays" / name)


@cache
def chart(release: str, *arguments: str) -> str:
    """The chart, rendered."""
    return run(os.environ["OUTCROP_HELM"], "template", release, CHART, "--namespace", "outcrop", *arguments)


def of_kind(objects: list[Manifest], kind: str) -> list[Manifest]:
    """The objects of a kind."""
    return [found for found in objects if found["kind"] == kind]


def pods(objects: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every pod's specification, with the name of the object that makes it."""
    for found in objects:
        template = found.get("spec", {}).get("template")
        if isinstance(template, dict) and "spec" in template:
            yield f"{found['kind']}/{found['metadata']['name']}", template["spec"]


def containers(pod: Manifest) -> list[Manifest]:
    """All containers of a pod."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def gateway(objects: list[Manifest]) -> tuple[Manifest, Manifest]:
    """The pod with the gateway, and its container."""
    found = [(pod, each) for _, pod in pods(objects) for each in containers(pod) if each["name"] == "outcrop"]
    assert len(found) == 1, found
    return found[0]
