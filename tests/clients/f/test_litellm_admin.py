"""LiteLLM's own client of its proxy's admin API, and its command, against the gateway's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from litellm.proxy.client import Client
from litellm.proxy.client.exceptions import UnauthorizedError
from litellm.proxy.client.users import UsersManagementClient

from outcrop_process import PATIENCE, Outcrop
from postgres import Postgres, installed

MASTER = "sk-1234"


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with Postgres(installed()) as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def keyed(request: pytest.FixtureRequest) -> Iterator[Outcrop]:
    """A demo gateway with LiteLLM's variables, on each store."""
    environment = {"LITELLM_MASTER_KEY": MASTER}
    if request.param == "postgres":
        environment["DATABASE_URL"] = request.getfixturevalue("database").database("admin")
    with Outcrop(["--demo", "--listen", "127.0.0.1:0"], environment=environment) as running:
        yield running
        assert running.alive(), running.log()


@pytest.fixture()
def admin(keyed: Outcrop) -> Client:
    return Client(base_url=keyed.url, api_key=MASTER)


def test_keys_are_made_listed_changed_and_deleted(admin: Client, keyed: Outcrop) -> None:
    made: dict[str, Any] = admin.keys.generate(
        models=["nova-lite"], key_alias="of-the-client", duration="24h", spend=0.5
    )
    assert made["key"].startswith("sk-") and made["models"] == ["nova-lite"]
    listed = admin.keys.list(key_alias="of-the-client", return_full_object=True)
    assert [key["token"] for key in listed["keys"]] == [made["token"]]
    info = admin.keys.info(made["key"])["info"]
    assert (info["key_alias"], info["spend"]) == ("of-the-client", 0.5)
    changed = admin.keys.update(made["key"], models=["nova-lite", "nova-pro"], spend=0.25)
    assert (changed["models"], changed["spend"]) == (["nova-lite", "nova-pro"], 0.25)
    own = Client(base_url=keyed.url, api_key=made["key"])
    assert "nova-lite" in {model["id"] for model in own.models.list()}
    chat = own.chat.completions(model="nova-lite", messages=[{"role": "user", "content": "Hi"}])
    assert chat["choices"][0]["message"]["content"]
    # A raw key is not repeated: its token stands for it.
    assert admin.keys.delete(keys=[made["key"]]) == {"deleted_keys": [made["token"]]}
    with pytest.raises(UnauthorizedError):
        own.models.list()
    with pytest.raises(requests.exceptions.HTTPError) as gone:
        admin.keys.info(made["key"])
    assert gone.value.response.status_code == 404


def test_users_teams_and_models_are_read(admin: Client, keyed: Outcrop) -> None:
    people = UsersManagementClient(base_url=keyed.url, api_key=MASTER)
    created = people.create_user({"user_id": "u-of-the-client", "user_email": "ana@example.org"})
    assert created["key"].startswith("sk-")
    assert people.get_user("u-of-the-client")["user_info"]["user_email"] == "ana@example.org"
    assert "u-of-the-client" in {user["user_id"] for user in people.list_users()}
    people.delete_user(["u-of-the-client"])
    assert admin.teams.list() == []
    assert admin.teams.list_v2()["teams"] == []
    names = {model["model_name"] for model in admin.models.info()}
    assert "nova-lite" in names
    groups = {group["model_group"] for group in admin.model_groups.info()}
    assert "nova-lite" in groups


def command(gateway: Outcrop, *arguments: str) -> str:
    program = Path(sys.executable).with_name("litellm-proxy")
    environment = {**os.environ, "LITELLM_PROXY_URL": gateway.url, "LITELLM_PROXY_API_KEY": MASTER}
    ended = subprocess.run(
        # By the interpreter: the script's first line names the folder the environment was built in.
        [sys.executable, program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_command_makes_lists_and_deletes_keys(keyed: Outcrop) -> None:
    made = json.loads(command(keyed, "keys", "generate", "--key-alias", "of-the-command", "--models", "nova-lite"))
    assert made["key_alias"] == "of-the-command"
    listed = json.loads(command(keyed, "keys", "list", "--format", "json", "--return-full-object"))
    assert made["token"] in json.dumps(listed)
    command(keyed, "keys", "delete", "--keys", made["key"])
    listed = json.loads(command(keyed, "keys", "list", "--format", "json", "--return-full-object"))
    assert made["token"] not in json.dumps(listed)
