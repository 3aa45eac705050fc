"""Times of the console's data over many invented calls, and the memory that the gateway takes while they are asked for.

    OUTCROP_BINARY=target/release/outcrop python figures.py sqlite 1000000
    OUTCROP_BINARY=target/release/outcrop python figures.py postgres 10000000 postgres://outcrop@127.0.0.1:5432/outcrop

Each question of a screen is asked `ROUNDS` times, in the zone of Paris, whose days are none of UTC.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

import seed  # noqa: E402
from console_pages import CONFIG, Gateway  # noqa: E402
from outcrop_process import Outcrop  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "20"))
ZONE = "Europe/Paris"


def questions() -> dict[str, str]:
    """What the screens ask, by a name."""
    today = datetime.now(ZoneInfo(ZONE)).date()
    day = lambda ago: (today - timedelta(days=ago)).isoformat()  # noqa: E731
    month, week = f"tz={ZONE}&from={day(29)}&to={day(0)}", f"tz={ZONE}&from={day(6)}&to={day(0)}"
    since = (datetime.now(ZoneInfo("UTC")) - timedelta(hours=24)).strftime("%Y-%m-%dT%H:%M:%SZ")
    hours = f"tz={ZONE}&from={since}&bucket=hour"
    return {
        "overview, 24 hours": f"/outcrop/overview?{hours}",
        "overview, 7 days": f"/outcrop/overview?{week}&bucket=day",
        "overview, 30 days": f"/outcrop/overview?{month}&bucket=day",
        "overview, 30 days by key": f"/outcrop/overview?{month}&bucket=day&group=key",
        "overview, 30 days by end user": f"/outcrop/overview?{month}&bucket=day&group=end_user",
        "overview, 30 days of a key": f"/outcrop/overview?{month}&bucket=day&key=KEY",
        "overview, 30 days of a team": f"/outcrop/overview?{month}&bucket=day&team=t-3",
        "overview, 30 days of a model": f"/outcrop/overview?{month}&bucket=day&model=made.model-3",
        "overview, 30 days of an end user": f"/outcrop/overview?{month}&bucket=day&end_user=c-3",
        "keys": "/key/list?return_full_object=true&size=50&page=1",
        "models": "/outcrop/models",
        "requests, 24 hours": f"/outcrop/requests?{hours}&facets=true",
        "requests, 30 days": f"/outcrop/requests?{month}&facets=true",
        "requests, 30 days, failed": f"/outcrop/requests?{month}&facets=true&status=failure",
        "requests, 30 days of a team": f"/outcrop/requests?{month}&facets=true&team=t-3",
        "requests, 30 days of a model": f"/outcrop/requests?{month}&facets=true&model=made.model-3",
    }


def resident(pid: int) -> float:
    """Resident memory of a process in MiB."""
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def rolled_up(running: Outcrop) -> None:
    """Waits until the log says that all rollups are made."""
    began = time.monotonic()
    while "made of all aggregates" not in running.log():
        assert time.monotonic() - began < 3600, "rollups are not made within an hour"
        time.sleep(1)
    print(f"rollups made {time.monotonic() - began:.0f} s after the start", flush=True)


def ask_all(gateway: Gateway) -> None:
    """Asks everything, and prints a row of a table each."""
    key = gateway.get("/outcrop/overview?bucket=day")["top"]["keys"]
    first = key[0]["id"] if key else ""
    before = resident(gateway.process.process.pid)
    print("| screen | p50 | p95 |\n|---|---|---|")
    for name, path in questions().items():
        taken = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            gateway.get(path.replace("KEY", first))
            taken.append((time.perf_counter() - began) * 1000)
        taken.sort()
        print(f"| {name} | {taken[len(taken) // 2]:.0f} ms | {taken[-(-len(taken) * 95 // 100) - 1]:.0f} ms |", flush=True)
    print(f"memory: {before:.1f} MiB before, {resident(gateway.process.process.pid):.1f} MiB after")


def main() -> None:
    """Fills a database, and asks a gateway on it."""
    engine, count = sys.argv[1], int(sys.argv[2])
    arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"]
    environment = {"DATABASE_URL": sys.argv[3]} if engine == "postgres" else {}
    files = {"outcrop.yaml": CONFIG}
    now = int(time.time() * 1000)
    plan = seed.Plan(count=count, first=now - 30 * seed.DAY, span=30 * seed.DAY)
    with Outcrop(arguments, files=files, environment=environment) as running:
        # The first start makes the tables; the second finds the calls, as after an upgrade.
        began = time.monotonic()
        path = Path(running.folder.name, "outcrop.db")
        if engine == "postgres":
            seed.postgres(sys.argv[3], plan)
        else:
            seed.sqlite(str(path), plan)
        print(f"{count} calls seeded in {time.monotonic() - began:.0f} s", flush=True)
        running.process.terminate()
        running.process.wait()
        if engine != "postgres":
            environment = {"DATABASE_URL": f"sqlite:{path}"}
        with Outcrop(arguments, files=files, environment=environment) as again:
            rolled_up(again)
            ask_all(Gateway(again))


if __name__ == "__main__":
    main()
