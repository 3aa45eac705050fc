"""What settings of the gateway cost: the same chat with the log off or as JSON, and with keys, limits and the ledger."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import report
from cases import Case, encoded
from processes import drive, outcrop, upstream

MASTER = "sk-a-master-key-of-the-measurement-0123456789"


@dataclass(frozen=True)
class Setting:
    """One way to run the gateway; `yaml` is added to its configuration."""

    title: str
    yaml: str = ""
    key: str = "any"
    environment: dict[str, str] = field(default_factory=dict)


SETTINGS = (
    Setting("access log as text, metrics, no keys"),
    Setting("no access log", environment={"RUST_LOG": "warn"}),
    Setting("access log as JSON", environment={"OUTCROP_LOG_FORMAT": "json"}),
    Setting("keys, limits and the ledger in SQLite",
            f"master_key: {MASTER}\ndatabase_url: sqlite:accounts.db\nadmin: {{ listen: 127.0.0.1:0 }}\n", MASTER),
)


def measure(harness: Path, binary: Path, folder: Path, case: Case, rounds: int) -> str:
    """A table of the CPU of each setting, in rounds in which they take turns."""
    body = folder / "settings.json"
    body.write_bytes(encoded(case.body))
    costs: dict[str, list[float]] = {}
    with ExitStack() as stack:
        canned = stack.enter_context(upstream(harness, folder, 0))
        running = []
        for number, setting in enumerate(SETTINGS):
            place = folder / f"setting-{number}"
            place.mkdir()
            gateway = outcrop(binary, place, canned.port, setting.yaml, setting.environment)
            running.append((setting, stack.enter_context(gateway)))
        for number in range(rounds + 1):
            for setting, process in running:
                before = process.cpu()
                told = drive(harness, process, case.path, body, case.requests, case.connections, setting.key)
                if told["failed"]:
                    raise SystemExit(f"{setting.title}: {told['failed']} requests failed")
                if number:
                    costs.setdefault(setting.title, []).append((process.cpu() - before) / told["answered"])
    plain = costs[SETTINGS[0].title]
    rows = [[title, f"{report.median(own) * 1e6:,.0f} us", f"x{report.ratio(own, plain):.2f}"] for title, own in costs.items()]
    return report.table(["chat with", "CPU a request", ""], rows)
