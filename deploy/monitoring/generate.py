#!/usr/bin/env python3
"""Writes Grafana's dashboard and Prometheus's alert rules: generate.py writes dashboard.json and rules.yml beside this file,
generate.py --check says whether they are current. A test evaluates every expression against a running gateway."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DASHBOARD = HERE / "dashboard.json"
RULES = HERE / "rules.yml"
PAGE = "docs/telemetry.md"

# Filters of the dashboard's variables: the place of the process, and the model.
PLACE = 'job=~"$job", instance=~"$instance"'
MODEL = f'{PLACE}, model=~"$model"'
INTERVAL = "[$__rate_interval]"
# Columns of Grafana's grid, and a panel's height.
WIDTH, HEIGHT = 24, 8


@dataclass(frozen=True)
class Panel:
    """A graph: a title, what it tells, its unit, and expressions with their legends."""

    title: str
    about: str
    unit: str
    queries: list[tuple[str, str]]
    width: int = 8
    is_stat: bool = False
    is_stacked: bool = False


@dataclass(frozen=True)
class Row:
    """A row of panels."""

    title: str
    panels: list[Panel] = field(default_factory=list)


def rate(metric: str, labels: str, by: str = "") -> str:
    """The rate of a counter, summed."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{{{labels}}}{INTERVAL}))"


def quantile(share: float, metric: str, labels: str, by: str = "") -> str:
    """A quantile of a histogram."""
    grouping = ", ".join(["le", *([by] if by else [])])
    return f"histogram_quantile({share}, sum by ({grouping}) (rate({metric}_bucket{{{labels}}}{INTERVAL})))"


def quantiles(metric: str, labels: str) -> list[tuple[str, str]]:
    """Median, 95th and 99th percentile."""
    return [(quantile(share, metric, labels), f"p{round(share * 100)}") for share in (0.5, 0.95, 0.99)]


ROWS = [
    Row(
        "Overview",
        [
            Panel("Requests", "Requests that ended.", "reqps", [(rate("outcrop_requests_total", MODEL), "")], 4, is_stat=True),
            Panel(
                "Errors of the server",
                "Share of requests that ended with a status of 500 and above, or broke off.",
                "percentunit",
                [
                    (
                        f"(sum(rate(outcrop_requests_total{{{MODEL}, status_class=\"5xx\"}}{INTERVAL})) or vector(0))"
                        f" / {rate('outcrop_requests_total', MODEL)}",
                        "",
                    )
                ],
                4,
                is_stat=True,
            ),
            Panel("First token, p95", "Time to the first event of a stream.", "s", [(quantile(0.95, "outcrop_time_to_first_token_seconds", MODEL), "")], 4, is_stat=True),
            Panel("Overhead, p99", "The gateway's own time.", "s", [(quantile(0.99, "outcrop_overhead_seconds", PLACE), "")], 4, is_stat=True),
            Panel("Spend an hour", "Cost of calls of models.", "currencyUSD", [(f"3600 * {rate('outcrop_spend_usd_total', MODEL)}", "")], 4, is_stat=True),
            Panel("Replicas", "Processes that want traffic.", "short", [(f"sum(outcrop_ready{{{PLACE}}})", "")], 4, is_stat=True),
            Panel("Requests by outcome", "What became of requests.", "reqps", [(rate("outcrop_requests_total", MODEL, "outcome"), "{{outcome}}")], is_stacked=True),
            Panel("Requests by route", "Which APIs are called.", "reqps", [(rate("outcrop_requests_total", MODEL, "route"), "{{route}}")], is_stacked=True),
            Panel("Errors by code", "Codes of docs/errors.md.", "reqps", [(rate("outcrop_errors_total", PLACE, "code"), "{{code}}")], is_stacked=True),
        ],
    ),
    Row(
        "Latency",
        [
            Panel("Duration", "From the head of a request to the end of its answer.", "s", quantiles("outcrop_request_duration_seconds", MODEL)),
            Panel("Time to first token", "Of streams.", "s", quantiles("outcrop_time_to_first_token_seconds", MODEL)),
            Panel("Overhead", "The gateway's own time, without waits for others.", "s", quantiles("outcrop_overhead_seconds", PLACE)),
            Panel("Refused by load", "Calls answered 503 because of overload, by reason.", "reqps", [(rate("outcrop_shed_total", PLACE, "reason"), "{{reason}}")], is_stacked=True),
            Panel("In flight", "Requests that have begun and not ended.", "short", [(f"sum by (instance) (outcrop_in_flight{{{PLACE}}})", "{{instance}}")]),
            Panel("Open streams", "Streams whose head was sent.", "short", [(f"sum by (instance) (outcrop_streams_active{{{PLACE}}})", "{{instance}}")]),
            Panel("First token by model, p95", "Which model is slow.", "s", [(quantile(0.95, "outcrop_time_to_first_token_seconds", MODEL, "model"), "{{model}}")]),
        ],
    ),
    Row(
        "Tokens and money",
        [
            Panel("Tokens", "By type.", "short", [(rate("outcrop_tokens_total", MODEL, "type"), "{{type}}")], is_stacked=True),
            Panel("Spend by model", "US dollars an hour.", "currencyUSD", [(f"3600 * {rate('outcrop_spend_usd_total', MODEL, 'model')}", "{{model}}")], is_stacked=True),
            Panel("Without a price", "Requests with usage whose cost is not known.", "reqps", [(rate("outcrop_unpriced_requests_total", MODEL, "model"), "{{model}}")]),
            Panel("Settlements", "Ends of reservations of budgets.", "reqps", [(rate("outcrop_settlements_total", PLACE, "outcome"), "{{outcome}}")], is_stacked=True),
            Panel("Ignored parameters", "Parameters of requests that had no effect.", "reqps", [(rate("outcrop_ignored_parameters_total", PLACE, "parameter"), "{{parameter}}")], is_stacked=True),
            Panel("Guardrails", "Separate calls of guardrails, and their text units.", "short", [(rate("outcrop_guardrail_calls_total", PLACE), "calls"), (rate("outcrop_guardrail_units_total", PLACE), "units")]),
        ],
    ),
    Row(
        "Bedrock",
        [
            Panel("Calls by code", "Attempts at targets.", "reqps", [(rate("outcrop_upstream_requests_total", f'{MODEL}, region=~"$region"', "code"), "{{code}}")], is_stacked=True),
            Panel("Calls by region", "Where calls run.", "reqps", [(rate("outcrop_upstream_requests_total", f'{MODEL}, region=~"$region"', "region"), "{{region}}")], is_stacked=True),
            Panel("Wait, p95", "Until the answer of a target begins.", "s", [(quantile(0.95, "outcrop_upstream_duration_seconds", f'{MODEL}, region=~"$region"', "region"), "{{region}}")]),
            Panel("Retries", "By reason.", "reqps", [(rate("outcrop_retries_total", PLACE, "reason"), "{{reason}}")], is_stacked=True),
            Panel("Fallbacks", "By reason.", "reqps", [(rate("outcrop_fallbacks_total", PLACE, "reason"), "{{reason}}")], is_stacked=True),
            Panel("Second calls", "Hedges, by their result.", "reqps", [(rate("outcrop_hedges_total", PLACE, "result"), "{{result}}")], is_stacked=True),
            Panel("Continued streams", "Streams that broke off, by what became of them.", "reqps", [(rate("outcrop_continuations_total", PLACE, "result"), "{{result}}")], is_stacked=True),
            Panel("State of targets", "0 healthy, 1 to be probed, 2 throttled, 3 open.", "short", [(f'max by (model, region) (outcrop_breaker_state{{{MODEL}, region=~"$region"}})', "{{model}} {{region}}")]),
            Panel("Calls in flight", "Of each target.", "short", [(f'sum by (model, region) (outcrop_target_in_flight{{{MODEL}, region=~"$region"}})', "{{model}} {{region}}")]),
            Panel("Credentials expire in", "Those in use.", "s", [(f"min by (region) (outcrop_credentials_expiry_seconds{{{PLACE}}})", "{{region}}")]),
        ],
    ),
    Row(
        "Stores",
        [
            Panel("Accounts and Redis", "1 while they can be reached.", "short", [(f"min(outcrop_store_up{{{PLACE}}})", "accounts"), (f"min(outcrop_redis_up{{{PLACE}}})", "Redis")]),
            Panel("Calls without a settlement", "Between reservation and written settlement.", "short", [(f"sum by (instance) (outcrop_ledger_calls_open{{{PLACE}}})", "{{instance}}")]),
            Panel("Reasoning store", "Bytes of its parts.", "bytes", [(f"sum by (part) (outcrop_reasoning_store_bytes{{{PLACE}}})", "{{part}}")], is_stacked=True),
            Panel("Kept answers", "Requests that looked for one.", "reqps", [(rate("outcrop_response_cache_total", PLACE, "result"), "{{result}}")], is_stacked=True),
            Panel("Size of kept answers", "In memory.", "bytes", [(f"sum by (instance) (outcrop_response_cache_bytes{{{PLACE}}})", "{{instance}}")], is_stacked=True),
            Panel("Lines of batches", "By their end.", "reqps", [(rate("outcrop_batch_lines_total", PLACE, "end"), "{{end}}")], is_stacked=True),
            Panel("Reasoning found", "Look-ups in the local store.", "reqps", [(rate("outcrop_reasoning_store_lookups_total", PLACE, "result"), "{{result}}")], is_stacked=True),
        ],
    ),
    Row(
        "Process",
        [
            Panel("CPU", "Cores in use.", "short", [(f"sum by (instance) (rate(process_cpu_seconds_total{{{PLACE}}}{INTERVAL}))", "{{instance}}")]),
            Panel("Memory", "Resident.", "bytes", [(f"sum by (instance) (process_resident_memory_bytes{{{PLACE}}})", "{{instance}}")]),
            Panel("Descriptors", "Open files and sockets.", "short", [(f"sum by (instance) (process_open_fds{{{PLACE}}})", "{{instance}}")]),
            Panel("Panics", "Faults of the gateway: report them.", "short", [(f"sum by (instance) (outcrop_panics_total{{{PLACE}}})", "{{instance}}")]),
            Panel("Lost records", "Lines and records that were not written, and traces that were not exported.", "short", [(rate("outcrop_access_log_lost_total", PLACE), "access log"), (rate("outcrop_request_log_total", f'{PLACE}, result="lost"'), "request log"), (rate("outcrop_traces_total", f'{PLACE}, result!="exported"'), "traces")]),
            Panel("Reloads", "Readings of the configuration.", "short", [(f"sum by (result) (outcrop_config_reloads_total{{{PLACE}}})", "{{result}}")]),
            Panel("Versions", "Processes by version.", "short", [(f"count by (version) (outcrop_build_info{{{PLACE}}})", "{{version}}")]),
        ],
    ),
]


@dataclass(frozen=True)
class Alert:
    """A rule: when it holds for how long, how bad that is, and what to do."""

    name: str
    expression: str
    lasting: str
    severity: str
    summary: str
    action: str


ALERTS = [
    Alert(
        "OutcropDown",
        'up{job=~".*outcrop.*"} == 0',
        "2m",
        "critical",
        "Prometheus cannot read the metrics of {{ $labels.instance }}.",
        "See whether the process runs and telemetry.listen is reachable.",
    ),
    Alert(
        "OutcropNotReady",
        "outcrop_ready == 0",
        "10m",
        "warning",
        "{{ $labels.instance }} has not been ready for 10 minutes.",
        "The answer of /readyz says why: credentials that were not found, or a drain that does not end.",
    ),
    Alert(
        "OutcropErrors",
        'sum by (job) (rate(outcrop_requests_total{status_class="5xx"}[5m])) / sum by (job) (rate(outcrop_requests_total[5m])) > 0.05',
        "5m",
        "critical",
        "{{ $value | humanizePercentage }} of requests fail with a status of 500 and above.",
        "outcrop_errors_total tells the codes, and the access log the requests.",
    ),
    Alert(
        "OutcropFirstTokenSlow",
        "histogram_quantile(0.95, sum by (le, job, model) (rate(outcrop_time_to_first_token_seconds_bucket[10m]))) > 20",
        "10m",
        "warning",
        "One of twenty streams of {{ $labels.model }} waits longer than 20 s for its first token.",
        "Compare outcrop_upstream_duration_seconds: if it is as slow, Bedrock is, and another region may help.",
    ),
    Alert(
        "OutcropOverheadHigh",
        "histogram_quantile(0.99, sum by (le, job) (rate(outcrop_overhead_seconds_bucket[10m]))) > 0.1",
        "10m",
        "warning",
        "One of a hundred requests spends more than 100 ms in the gateway.",
        "Look at its CPU: more replicas or cores are needed, or bodies are very large.",
    ),
    Alert(
        "OutcropTargetOpen",
        "max by (job, model, region) (outcrop_breaker_state) == 3",
        "5m",
        "warning",
        "The circuit breaker of {{ $labels.model }} in {{ $labels.region }} has been open for 5 minutes.",
        "outcrop_upstream_requests_total tells the codes of its calls.",
    ),
    Alert(
        "OutcropThrottled",
        'sum by (job, region) (rate(outcrop_upstream_requests_total{code="429"}[5m])) / sum by (job, region) (rate(outcrop_upstream_requests_total[5m])) > 0.1',
        "10m",
        "warning",
        "Bedrock throttles {{ $value | humanizePercentage }} of calls in {{ $labels.region }}.",
        "Raise the quota, or add targets in other regions.",
    ),
    Alert(
        "OutcropCredentialsExpire",
        "min by (job, instance, region) (outcrop_credentials_expiry_seconds) < 120",
        "1m",
        "critical",
        "The AWS credentials of {{ $labels.instance }} expire in {{ $value | humanizeDuration }} and were not renewed.",
        "They are renewed five minutes ahead: their source fails. The log names it.",
    ),
    Alert(
        "OutcropStoreAway",
        "outcrop_store_up == 0",
        "1m",
        "critical",
        "{{ $labels.instance }} cannot reach the store of accounts.",
        "Calls with keys are refused unless access.fail_mode is open.",
    ),
    Alert(
        "OutcropRedisAway",
        "outcrop_redis_up == 0",
        "5m",
        "warning",
        "{{ $labels.instance }} cannot reach Redis.",
        "Each replica counts rate limits for itself meanwhile.",
    ),
    Alert(
        "OutcropSettlementsGrow",
        "outcrop_ledger_calls_open > 2 * (outcrop_in_flight + 100)",
        "10m",
        "warning",
        "{{ $value }} calls of {{ $labels.instance }} wait for their settlement to be written.",
        "The store of accounts is slow or away.",
    ),
    Alert(
        "OutcropSheds",
        "sum by (job, reason) (rate(outcrop_shed_total[5m])) > 0.1",
        "5m",
        "warning",
        "Calls are refused because of overload: {{ $labels.reason }}.",
        "Add replicas, or raise the limit that the reason names where memory allows it.",
    ),
    Alert(
        "OutcropContinuationsFail",
        'sum by (job) (rate(outcrop_continuations_total{result!="continued"}[15m])) / sum by (job) (rate(outcrop_continuations_total[15m])) > 0.5',
        "15m",
        "warning",
        "{{ $value | humanizePercentage }} of streams that broke off did not go on.",
        "outcrop_continuations_total tells why; a name needs a second target that is well.",
    ),
    Alert(
        "OutcropRecordsLost",
        'sum by (job, instance) (increase(outcrop_access_log_lost_total[15m])) + sum by (job, instance) (increase(outcrop_request_log_total{result="lost"}[15m])) > 0',
        "0m",
        "warning",
        "{{ $labels.instance }} lost lines of its access log or records of its request log.",
        "Their reader does not keep up: a pipe that is full, a disk or a bucket that is slow.",
    ),
    Alert(
        "OutcropReloadRefused",
        'increase(outcrop_config_reloads_total{result="refused"}[15m]) > 0',
        "0m",
        "warning",
        "{{ $labels.instance }} refused a new configuration.",
        "The old one stays in force; outcrop check says what is wrong.",
    ),
    Alert(
        "OutcropPanicked",
        "increase(outcrop_panics_total[15m]) > 0",
        "0m",
        "warning",
        "{{ $labels.instance }} caught a panic.",
        "A fault of the gateway: report it with the position from the log.",
    ),
]


def target(number: int, query: tuple[str, str], panel: Panel) -> dict[str, Any]:
    expression, legend = query
    return {
        "refId": chr(ord("A") + number),
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "expr": expression,
        "legendFormat": legend or panel.title,
        "range": not panel.is_stat,
        "instant": panel.is_stat,
    }


def drawn(panel: Panel, identity: int, place: dict[str, int]) -> dict[str, Any]:
    """A panel in Grafana's words."""
    custom = {} if panel.is_stat else {"fillOpacity": 20 if panel.is_stacked else 0, "showPoints": "never"}
    if panel.is_stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    options: dict[str, Any] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.is_stat:
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value", "graphMode": "none"}
    return {
        "id": identity,
        "type": "stat" if panel.is_stat else "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": custom}, "overrides": []},
        "options": options,
        "targets": [target(number, query, panel) for number, query in enumerate(panel.queries)],
    }


def variable(name: str, label: str, query: str) -> dict[str, Any]:
    """A choice that the dashboard offers; all by default."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    panels, top = [], 0
    for row in ROWS:
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1}}
        )
        top, left, height = top + 1, 0, 0
        for panel in row.panels:
            own = HEIGHT // 2 if panel.is_stat else HEIGHT
            if left + panel.width > WIDTH:
                top, left, height = top + height, 0, 0
            panels.append(drawn(panel, len(panels) + 1, {"x": left, "y": top, "w": panel.width, "h": own}))
            left, height = left + panel.width, max(height, own)
        top += height
    return {
        "uid": "outcrop",
        "title": "Outcrop",
        "description": f"The gateway's metrics; {PAGE} describes them.",
        "tags": ["outcrop", "bedrock"],
        "schemaVersion": 41,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}, "refresh": 1},
                variable("job", "Job", "label_values(outcrop_ready, job)"),
                variable("instance", "Instance", 'label_values(outcrop_ready{job=~"$job"}, instance)'),
                variable("model", "Model", 'label_values(outcrop_requests_total{job=~"$job"}, model)'),
                variable("region", "Region", 'label_values(outcrop_upstream_requests_total{job=~"$job"}, region)'),
            ]
        },
        "panels": panels,
    }


def rules() -> str:
    """The rules as Prometheus reads them; JSON strings are YAML too."""
    lines = ["# Written by generate.py.", "groups:", "  - name: outcrop", "    rules:"]
    for alert in ALERTS:
        lines += [
            f"      - alert: {alert.name}",
            f"        expr: {json.dumps(alert.expression)}",
            f"        for: {alert.lasting}",
            "        labels:",
            f"          severity: {alert.severity}",
            "        annotations:",
            f"          summary: {json.dumps(alert.summary)}",
            f"          description: {json.dumps(alert.action)}",
        ]
    return "\n".join(lines) + "\n"


def main() -> int:
    wanted = {DASHBOARD: json.dumps(dashboard(), indent=1) + "\n", RULES: rules()}
    if sys.argv[1:] == ["--check"]:
        stale = [path.name for path, text in wanted.items() if not path.exists() or path.read_text() != text]
        if stale:
            print(f"{', '.join(stale)}: not current, run deploy/monitoring/generate.py")
        return int(bool(stale))
    for path, text in wanted.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
