"""`outcrop keys`, `outcrop spend` and `outcrop import-litellm`, beside a gateway that runs."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outcrop_process import PATIENCE, Outcrop, run_to_end
from postgres import Postgres, installed
from samples import NOVA

MASTER = "sk-master-of-the-tests-0123456789abcdef"
FIXTURES = Path(__file__).resolve().parents[2] / "crates/access/tests/accounts/fixtures"


class Desk:
    """The commands on one store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"LITELLM_MASTER_KEY": MASTER, "OUTCROP_DATA_DIR": str(folder)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_to_end(list(arguments), environment=self.environment)

    def text(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.text(*arguments, "--json"))


@pytest.fixture()
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres(installed()) as server:
        yield server


def status(gateway: Outcrop, key: str, labels: dict[str, str] | None = None) -> int:
    """The status of a chat request with a key."""
    body = json.dumps({"model": NOVA, "messages": [{"role": "user", "content": "Hi."}]})
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", **(labels or {})}
    connection = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
    try:
        connection.request("POST", "/v1/chat/completions", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def until(gateway: Outcrop, key: str, expected: int) -> float:
    """The seconds until requests with a key have a status."""
    began = time.monotonic()
    while (found := status(gateway, key)) != expected:
        assert time.monotonic() < began + PATIENCE, f"still {found}"
        time.sleep(0.05)
    return time.monotonic() - began


def test_keys_are_made_blocked_and_revoked_beside_a_running_gateway(desk: Desk) -> None:
    arguments = ["--demo", "--listen", "127.0.0.1:0"]
    with Outcrop(arguments, environment=desk.environment) as gateway:
        made = desk.run("keys", "create", "--alias", "batch", "--max-budget", "10", "--budget-duration", "30d")
        key = made.stdout.strip()
        assert re.fullmatch(r"sk-oc-[A-Za-z0-9]{12}-[A-Za-z0-9_-]{43}", key)
        assert "shown this once" in made.stderr and "AWS_ACCESS_KEY_ID=OC" in made.stderr
        until(gateway, key, 200)
        assert desk.text("keys", "block", "batch").startswith("batch (token ")
        # The contract is 5 seconds on all replicas; a slow machine is no failure of it.
        until(gateway, key, 401)
        desk.text("keys", "unblock", key)
        until(gateway, key, 200)
        (listed,) = desk.json("keys", "list")
        assert desk.text("keys", "revoke", listed["token"][:12]).startswith("batch (token ")
        until(gateway, key, 401)
        assert key not in gateway.log()
    gone = desk.run("keys", "revoke", key)
    assert gone.returncode == 1
    assert "keys list" in gone.stderr and key not in gone.stderr
    assert desk.text("keys", "list").startswith("no keys in ")


def test_keys_are_listed_for_people_and_for_programs(desk: Desk) -> None:
    options = ["--models", "nova-*,sonnet", "--rpm", "60", "--tpm", "90000", "--duration", "90d"]
    made = desk.json("keys", "create", "--alias", "ana", "--user", "u-1", "--max-budget", "0.5", *options)
    assert made["key"].startswith("sk-oc-") and made["outcrop"]["aws_secret_access_key"]
    desk.text("keys", "create")
    second, first = desk.json("keys", "list")
    assert {name: first[name] for name in ("key_alias", "user_id", "models", "max_budget", "rpm_limit", "tpm_limit", "status", "spend")} == {
        "key_alias": "ana",
        "user_id": "u-1",
        "models": ["nova-*", "sonnet"],
        "max_budget": 0.5,
        "rpm_limit": 60,
        "tpm_limit": 90000,
        "status": "active",
        "spend": 0.0,
    }
    assert first["token"] == made["token"] and "key" not in first
    assert (second["user_id"], second["key_alias"], second["expires"]) == ("default_user_id", None, None)
    heading, *rows = desk.text("keys", "list").splitlines()
    assert heading.split() == ["ALIAS", "NAME", "TOKEN", "TEAM", "SPEND", "MAX", "BUDGET", "WINDOW", "EXPIRES", "STATUS"]
    assert [row.split()[0] for row in rows] == ["-", "ana"]
    assert [key["key_alias"] for key in desk.json("keys", "list", "--user", "u-1")] == ["ana"]
    # The key is in no file of the store.
    kept = b"".join(path.read_bytes() for path in desk.folder.iterdir())
    assert made["key"].encode() not in kept


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["keys", "create", "--team", "t-none"], 2, "/team/new"),
        (["keys", "create", "--alias", "taken"], 1, "choose another"),
        (["keys", "create", "--max-budget", "-1"], 2, "cannot be negative"),
        (["keys", "create", "--max-budget", "ten"], 2, "is no number"),
        (["keys", "create", "--max-budget", "1", "--budget-duration", "month"], 2, "'30d'"),
        (["keys", "block", "sk-canary-canary-canary"], 1, "sk-...nary"),
        (["spend", "--from", "2026-13-01"], 2, "is no day"),
        (["spend", "--from", "2026-11-02", "--to", "2026-11-01"], 2, "--to is before --from"),
        (["import-litellm", "mysql://u:canary@h/d"], 2, "postgresql://"),
        (["import-litellm", "postgresql://u:canary@127.0.0.1:1/d"], 1, "cannot be reached"),
    ],
)
def test_refusals_say_what_to_do(desk: Desk, arguments: list[str], code: int, told: str) -> None:
    desk.text("keys", "create", "--alias", "taken")
    done = desk.run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert "canary" not in done.stderr.replace(" '--", "")


def test_a_command_without_accounts_names_the_settings() -> None:
    done = run_to_end(["keys", "list"])
    assert done.returncode == 2
    assert "LITELLM_MASTER_KEY" in done.stderr and "DATABASE_URL" in done.stderr


def test_spend_is_summed_by_each_column(desk: Desk) -> None:
    batch = desk.json("keys", "create", "--alias", "batch", "--user", "u-1")
    other = desk.json("keys", "create", "--alias", "other", "--tags", "c")
    arguments = ["--demo", "--listen", "127.0.0.1:0"]
    labels = {"x-litellm-tags": "a,b", "x-litellm-end-user-id": "tenant"}
    with Outcrop(arguments, environment=desk.environment) as gateway:
        until(gateway, other["key"], 200)
        for _ in range(2):
            assert status(gateway, batch["key"], labels) == 200
        assert status(gateway, MASTER) == 200
        deadline = time.monotonic() + PATIENCE
        while desk.json("spend")["total"]["api_requests"] < 4:
            assert time.monotonic() < deadline, "calls are not in the aggregates"
    report = desk.json("spend")
    names = [(row["key_alias"], row["token"], row["api_requests"]) for row in report["rows"]]
    assert names == [("batch", batch["token"], 2), ("master", None, 1), ("other", other["token"], 1)]
    one = report["rows"][1]
    assert one["spend"] > 0 and one["prompt_tokens"] > 0 and one["completion_tokens"] > 0
    total = report["total"]
    assert total["spend"] == pytest.approx(4 * one["spend"])
    assert (total["failed_requests"], total["unpriced_requests"], total["estimated_requests"]) == (0, 0, 0)
    for column, member, expected in [
        ("team", "team_id", {"": 4}),
        ("user", "user_id", {"u-1": 2, "default_user_id": 1, "": 1}),
        ("customer", "end_user", {"tenant": 2, "": 2}),
        ("tag", "tag", {"a": 2, "b": 2, "c": 1}),
    ]:
        rows = desk.json("spend", "--by", column)["rows"]
        assert {row[member]: row["api_requests"] for row in rows} == expected, column
    (model,) = desk.json("spend", "--by", "model")["rows"]
    assert model["spend"] == total["spend"] and NOVA.endswith(model["model"].split(".", 1)[1])
    days = desk.json("spend", "--by", "day")
    assert days["rows"][-1]["day"] == days["to"] and days["total"] == total
    lines = [line.split() for line in desk.text("spend").splitlines()]
    assert lines[1] == ["KEY", "REQUESTS", "FAILED", "INPUT", "OUTPUT", "CACHE", "READ", "CACHE", "WRITE", "SPEND", "USD"]
    assert [line[:3] for line in lines[2:]] == [
        ["batch", "2", "0"], ["master", "1", "0"], ["other", "1", "0"], ["total", "4", "0"],
    ]
    assert "a call with several tags counts for each" in desk.text("spend", "--by", "tag")
    assert desk.text("spend", "--to", "2020-01-31").startswith("no calls from 2020-01-01")
    # Spend keeps the name of a key that is gone; the listing of keys shows the same sums.
    spent = {key["key_alias"]: key["spend"] for key in desk.json("keys", "list")}
    assert spent == {"batch": report["rows"][0]["spend"], "other": report["rows"][2]["spend"]}
    desk.text("keys", "revoke", "batch")
    assert desk.json("spend")["rows"][0]["key_alias"] == "batch"


def litellm(postgres: Postgres, name: str) -> str:
    """The URL of a LiteLLM database with the accounts of the fixture."""
    url = postgres.database(name)
    place = ["-h", "127.0.0.1", "-p", str(postgres.port), "-U", "outcrop", "-v", "ON_ERROR_STOP=1"]
    for script in ("litellm-schema.sql", "litellm-accounts.sql"):
        postgres.run("psql", *place, "-c", (FIXTURES / script).read_text(), name)
    return url


def test_litellms_keys_work_on(desk: Desk, postgres: Postgres) -> None:
    url = litellm(postgres, "litellm")
    counts = {
        "budgets": {"new": 4, "present": 0, "skipped": 0},
        "teams": {"new": 2, "present": 0, "skipped": 0},
        "users": {"new": 5, "present": 0, "skipped": 1},
        "memberships": {"new": 2, "present": 0, "skipped": 0},
        "tags": {"new": 1, "present": 0, "skipped": 0},
        "customers": {"new": 2, "present": 0, "skipped": 0},
        "keys": {"new": 23, "present": 0, "skipped": 3},
    }
    dry = desk.json("import-litellm", url, "--dry-run")
    assert (dry["counts"], dry["dry_run"]) == (counts, True)
    assert desk.json("keys", "list") == []
    arguments = ["--demo", "--listen", "127.0.0.1:0"]
    with Outcrop(arguments, environment=desk.environment) as gateway:
        text = desk.text("import-litellm", f"{url}&schema=public&connection_limit=5")
        assert re.search(r"^keys +23 +0 +3$", text, re.MULTILINE)
        for told in ("NOT TAKEN OVER", "NOT ENFORCED HERE", "key bound", "enforced_params", "no SHA-256"):
            assert told in text
        assert "sk-canary" not in text
        until(gateway, "sk-plain-0000000000000001", 200)
        until(gateway, "sk-my-own-password", 200)
        until(gateway, "sk-before-000000000000028", 401)
        until(gateway, "sk-blocked-00000000000004", 401)
        until(gateway, "sk-expired-00000000000005", 401)
    again = desk.json("import-litellm", url)
    taken = {kind: {"new": 0, "present": n["new"], "skipped": n["skipped"]} for kind, n in counts.items()}
    assert again["counts"] == taken
    keys = {key["key_alias"]: key for key in desk.json("keys", "list")}
    assert (keys["spent"]["spend"], keys["overdue"]["total_spend"]) == (2.0, 7.0)
    assert desk.run("import-litellm", postgres.database("empty")).returncode == 1


def test_the_database_may_stay_that_of_litellm(desk: Desk, postgres: Postgres) -> None:
    url = litellm(postgres, "shared")
    desk.environment["DATABASE_URL"] = url
    desk.text("keys", "create", "--alias", "ours")
    assert desk.json("import-litellm", url)["counts"]["keys"] == {"new": 23, "present": 0, "skipped": 3}
    assert len(desk.json("keys", "list")) == 24
    assert not (desk.folder / "outcrop.db").exists()
    assert desk.text("spend").startswith("no calls from ")
