"""The configuration files of deploy/ can be used, each with the variables and secrets that its deployment gives."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import manifests
from manifests import CHART, DEPLOY, KUBERNETES

BINARY = os.environ["OUTCROP_BINARY"]
SECRETS = {
    "master-key": "sk-a-master-key-of-the-tests-0123456789",
    "key-pepper": "a pepper of the tests, long enough",
    "seal": "a secret of the tests, long enough too",
    "database-url": "postgres://outcrop:password@postgres:5432/outcrop",
    "redis-url": "redis://valkey:6379/0",
}
COMPOSE = {
    "LITELLM_MASTER_KEY": SECRETS["master-key"],
    "OUTCROP_KEY_PEPPER": SECRETS["key-pepper"],
    "SEAL": SECRETS["seal"],
    "DATABASE_URL": SECRETS["database-url"],
    "REDIS_URL": SECRETS["redis-url"],
}
FILES = {
    "deployment": (KUBERNETES / "overlays/deployment/outcrop.yaml", {}),
    "sidecar": (KUBERNETES / "components/sidecar/outcrop.yaml", {}),
    "socket": (KUBERNETES / "components/socket/outcrop.yaml", {}),
    "compose": (DEPLOY / "compose/outcrop.yaml", COMPOSE),
}


def check(text: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What `outcrop check` says of a file, with the secrets in a folder of the test's."""
    secrets = folder / "secrets"
    secrets.mkdir()
    for name, value in SECRETS.items():
        (secrets / name).write_text(value)
    file = folder / "outcrop.yaml"
    file.write_text(text.replace("/etc/outcrop/secrets", str(secrets)))
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "AWS_REGION": "us-east-1", **variables}
    command = [BINARY, "check", "--strict", "--file-only", file]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=manifests.PATIENCE)


@pytest.mark.parametrize("name", FILES)
def test_a_configuration_can_be_used(name: str, tmp_path: Path) -> None:
    file, variables = FILES[name]
    said = check(file.read_text(), tmp_path, variables)
    assert said.returncode == 0, said.stderr + said.stdout


def test_the_chart_s_configuration_can_be_used(tmp_path: Path) -> None:
    text = yaml.safe_dump(yaml.safe_load((CHART / "values.yaml").read_text())["config"])
    said = check(text, tmp_path, {})
    assert said.returncode == 0, said.stderr + said.stdout


def test_compose_gives_these_variables() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(COMPOSE) <= compose["services"]["gateway"]["environment"].keys()
    example = (DEPLOY / "compose/env.example").read_text()
    for name in re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()):
        assert re.search(rf"^{name}=", example, re.M), name


def test_the_secret_of_the_documentation_has_every_file() -> None:
    page = (manifests.ROOT / "docs/kubernetes.md").read_text()
    for name in SECRETS:
        assert f"--from-literal={name}=" in page
