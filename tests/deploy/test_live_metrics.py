"""Every name of the dashboard and the alert rules is a metric of a running gateway, and Prometheus evaluates every expression
on what it scraped."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from expressions import EXPRESSIONS, MONITORING, alerts, metrics, panels, program

BINARY = os.environ["OUTCROP_BINARY"]
PATIENCE = 300
MASTER = "sk-a-master-key-of-the-tests-0123456789"
# Series that come only with what this test does not have or do: Redis, temporary credentials, failures.
ABSENT = {
    "outcrop_redis_up",
    "outcrop_credentials_expiry_seconds",
    "outcrop_retries_total",
    "outcrop_fallbacks_total",
    "outcrop_unpriced_requests_total",
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def fetched(url: str, body: Any = None, key: str = MASTER) -> str:
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read().decode()


def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not in time: {what}")


@contextmanager
def process(command: list[str], folder: Path, **environment: str) -> Iterator[None]:
    with (folder / f"{Path(command[0]).name}-{command[1].strip('-')}.log").open("wb") as log:
        running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        )
        try:
            yield
        finally:
            running.terminate()
            running.wait(PATIENCE)


@dataclass
class Scraped:
    """A Prometheus that has scraped a gateway under load, and the gateway's last text."""

    url: str
    text: str

    def ask(self, expression: str) -> list[Any]:
        told = json.loads(fetched(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"))
        assert told["status"] == "success", told
        return told["data"]["result"]


def use(gateway: str) -> None:
    """Answers, streams, refusals and an unknown model, so that every counter moves."""
    chat = f"{gateway}/v1/chat/completions"
    question = {"model": "us.amazon.nova-lite-v1:0", "messages": [{"role": "user", "content": "Hello"}]}
    fetched(chat, question)
    fetched(chat, {**question, "stream": True})
    fetched(chat, {**question, "logit_bias": {"1": 1}})
    for refused in [{**question, "model": "no-such-model"}, {**question, "messages": "none"}]:
        with pytest.raises(urllib.error.HTTPError):
            fetched(chat, refused)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    folder = tmp_path_factory.mktemp("monitoring")
    upstream, models, telemetry, prometheus = (free_port() for _ in range(4))
    (folder / "outcrop.yaml").write_text(
        f"listen: 127.0.0.1:{models}\nworkers: 1\ntelemetry: {{ listen: 127.0.0.1:{telemetry} }}\n"
        f"data_dir: {folder}\n"
    )
    (folder / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(MONITORING / "rules.yml")],
                "scrape_configs": [{"job_name": "outcrop", "static_configs": [{"targets": [f"127.0.0.1:{telemetry}"]}]}],
            }
        )
    )
    url, gateway = f"http://127.0.0.1:{prometheus}", f"http://127.0.0.1:{models}"
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{upstream}",
        "AWS_ACCESS_KEY_ID": "AKIDTEST",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "LITELLM_MASTER_KEY": MASTER,
    }
    with ExitStack() as running:
        running.enter_context(process([BINARY, "emulate", "--listen", f"127.0.0.1:{upstream}"], folder))
        running.enter_context(process([BINARY, "serve", "--config", "outcrop.yaml"], folder, **environment))
        until(lambda: fetched(f"http://127.0.0.1:{telemetry}/readyz"), "a gateway that is ready")
        use(gateway)
        command = [program("prometheus"), "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{prometheus}"]
        running.enter_context(process([*command, f"--storage.tsdb.path={folder}/data"], folder))
        found = Scraped(url, "")
        until(lambda: len(found.ask("outcrop_ready")) == 1, "a first scrape")
        use(gateway)
        (folder / "outcrop.yaml").write_text((folder / "outcrop.yaml").read_text() + "# read again\n")
        until(lambda: found.ask("sum(outcrop_config_reloads_total) > 0"), "a reload that was scraped")
        until(lambda: found.ask("sum(rate(outcrop_requests_total[1m])) > 0"), "a rate")
        found.text = fetched(f"http://127.0.0.1:{telemetry}/metrics")
        yield found


def test_every_name_is_in_a_live_answer(scraped: Scraped) -> None:
    described = set(re.findall(r"^# TYPE (\S+) ", scraped.text, re.M))
    live = described | {f"{name}_total" for name in described} | {f"{name}_info" for name in described}
    for title, expression in EXPRESSIONS:
        missing = metrics(expression) - live - ABSENT
        assert not missing, f"{title}: {missing}"


def test_every_expression_is_evaluated(scraped: Scraped) -> None:
    empty = {title for title, expression in panels() if not scraped.ask(expression) and not metrics(expression) & ABSENT}
    assert not empty, empty
    # A histogram without an infinite bucket has no quantiles.
    unknown = {
        title
        for title, expression in panels()
        if "histogram_quantile" in expression and all(found["value"][1] == "NaN" for found in scraped.ask(expression))
    }
    assert not unknown, unknown
    for _, expression in alerts():
        scraped.ask(expression)


def test_no_alert_fires_at_a_healthy_gateway(scraped: Scraped) -> None:
    told = json.loads(fetched(f"{scraped.url}/api/v1/rules"))["data"]["groups"]
    rules = [rule for group in told for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == {name for name, _ in alerts()}
    assert not [rule["name"] for rule in rules if rule["state"] == "firing"]
    assert not [rule["name"] for rule in rules if rule.get("lastError")]
