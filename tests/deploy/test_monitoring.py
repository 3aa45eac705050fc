"""The dashboard and the alert rules: they are current, their names are documented, and each alert fires on the series that
it is for and on no others."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import yaml

import manifests
from expressions import EXPRESSIONS, MONITORING, NAME, alerts, metrics, program
from manifests import DEPLOY, ROOT


def test_both_files_are_current() -> None:
    manifests.run(sys.executable, MONITORING / "generate.py", "--check")


def test_every_name_is_documented() -> None:
    documented = set(NAME.findall((ROOT / "docs/telemetry.md").read_text()))
    used = set[str]().union(*(metrics(expression) for _, expression in EXPRESSIONS))
    assert len(used) > 30 and used <= documented, used - documented


def test_rules_and_configuration_are_prometheus_s() -> None:
    manifests.run(program("promtool"), "check", "rules", MONITORING / "rules.yml")
    text = (DEPLOY / "compose" / "prometheus.yml").read_text()
    assert "/etc/prometheus/rules.yml" in text
    scrape = yaml.safe_load(text)["scrape_configs"][0]["static_configs"][0]["targets"]
    configuration = yaml.safe_load((DEPLOY / "compose" / "outcrop.yaml").read_text())
    assert scrape == [f"gateway:{configuration['telemetry']['listen'].rpartition(':')[2]}"]


def test_alerts_fire_on_what_they_are_for_and_on_nothing_else(tmp_path: Path) -> None:
    shutil.copy(MONITORING / "rules.yml", tmp_path / "rules.yml")
    shutil.copy(Path(__file__).parent / "alerts.yml", tmp_path / "alerts.yml")
    manifests.run(program("promtool"), "test", "rules", tmp_path / "alerts.yml")
    cases = yaml.safe_load((tmp_path / "alerts.yml").read_text())["tests"]
    fired = {each["alertname"] for case in cases for each in case["alert_rule_test"] if each.get("exp_alerts")}
    assert fired == {name for name, _ in alerts()}, "every alert fires in some test"


def test_the_dashboard_is_complete() -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    drawn = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert dashboard["uid"] == "outcrop" and dashboard["schemaVersion"] >= 36
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(panel["description"] and panel["targets"] for panel in drawn)
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)), "no panel covers another"
    assert max(x for x, _ in cells) < 24
