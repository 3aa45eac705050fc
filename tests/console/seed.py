"""Invented calls in the database of a gateway, many at once: rows of the ledger, and the sums by hour that belong to them.

    python seed.py sqlite:/tmp/seeded/outcrop.db 1000000
    python seed.py postgres://outcrop@127.0.0.1:5432/outcrop 10000000

The tables must be there: start a gateway on the database once.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass

HOUR = 3_600_000
DAY = 24 * HOUR

LEDGER = """
INSERT INTO ledger (id, began_at, lease_until, key_id, token, team_id, user_id, organization_id, customer, tags, call_type,
  model_asked, session_id, ip, meta, estimate, priced, charges, opened, state, ended_at, model, model_group, region, reach, tier,
  input, output, cache_read, cache_write_5m, cache_write_1h, units, cost, price_id, price_source, status, error_code, ttft_ms,
  total_ms, attempts)
SELECT {prefix} || {number}, {at}, 0, 'k-' || key, 'token-' || key, 't-' || (key % 20), 'u-' || (key % 300), NULL,
  'c-' || (h % 200), '[]', 'acompletion', 'm' || (h % 12), NULL, NULL, NULL, 0, 1, '[]', 0,
  CASE WHEN h % 97 = 0 THEN 'voided' WHEN h % 89 = 0 THEN 'estimated' ELSE 'settled' END, {at} + 900,
  'made.model-' || (h % 12), NULL, CASE h % 3 WHEN 0 THEN 'us-east-1' WHEN 1 THEN 'eu-west-1' ELSE 'us-west-2' END, 'us', 'standard',
  h % 9000, h % 700, 0, 0, 0, NULL, CASE WHEN h % 97 = 0 THEN NULL ELSE 1000 + h % 9999991 END, 'p', 'listed',
  CASE WHEN h % 97 = 0 THEN 429 ELSE 200 END, CASE WHEN h % 97 = 0 THEN 'throttled' END, 100 + h % 900, 400 + h % 9000, 1
FROM ({numbers}) AS made
"""
HOURLY = """
INSERT INTO hourly (hour, key_id, team_id, user_id, customer, model, region, status, succeeded, failed, input, output, cache_read,
  cache_write, cost, unpriced, estimated)
SELECT (began_at / 3600000) * 3600000, key_id, COALESCE(team_id, ''), COALESCE(user_id, ''), COALESCE(customer, ''), model,
  COALESCE(region, ''), CASE WHEN state <> 'voided' AND error_code IS NULL THEN 'success' ELSE 'failure' END,
  SUM(CASE WHEN state <> 'voided' AND error_code IS NULL THEN 1 ELSE 0 END),
  SUM(CASE WHEN state <> 'voided' AND error_code IS NULL THEN 0 ELSE 1 END), SUM(input), SUM(output), SUM(cache_read),
  SUM(cache_write_5m + cache_write_1h), SUM(CASE state WHEN 'voided' THEN 0 ELSE COALESCE(cost, 0) END),
  SUM(CASE WHEN state <> 'voided' AND cost IS NULL THEN 1 ELSE 0 END), SUM(CASE state WHEN 'estimated' THEN 1 ELSE 0 END)
FROM ledger WHERE id LIKE {prefix} || '%' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""

# Hours and days whose rollups are to be made, as settlements mark them.
DUE = """
INSERT INTO rollups_due (span, starts_at, version) SELECT DISTINCT '{span}', hour - hour % {length}, 'seed' FROM hourly
WHERE TRUE ON CONFLICT (span, starts_at) DO UPDATE SET version = rollups_due.version || '+'
"""


@dataclass(frozen=True)
class Plan:
    """The calls to invent: their number, the time they are spread over, and the number of keys."""

    count: int
    first: int
    span: int
    keys: int = 1000
    prefix: str = "seed-"


def statements(plan: Plan, numbers: str) -> list[str]:
    """The statements. Half of the calls are of a tenth of the keys, as those of people are."""
    # A multiplication modulo a prime spreads numbers as well as chance does.
    mixed = "(n * 48271) % 2147483647"
    key = f"CASE WHEN n % 2 = 0 THEN {mixed} % {max(1, plan.keys // 10)} ELSE {mixed} % {plan.keys} END"
    source = f"SELECT n, {mixed} AS h, {key} AS key FROM ({numbers}) AS counted"
    at = f"{plan.first} + (n * {plan.span}) / {plan.count}"
    ledger = LEDGER.format(prefix=f"'{plan.prefix}'", number="(1000000000 + n)", at=at, numbers=source)
    return [ledger, HOURLY.format(prefix=f"'{plan.prefix}'"), *marks()]


def marks() -> list[str]:
    """The statements after which all rollups are made anew."""
    return [DUE.format(span=span, length=length) for span, length in (("hour", HOUR), ("day", DAY))]


def sqlite(path: str, plan: Plan) -> None:
    """Fills a database of SQLite, which a gateway may have open."""
    numbers = f"WITH RECURSIVE some(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM some WHERE n < {plan.count - 1}) SELECT n FROM some"
    with sqlite3.connect(path, timeout=60) as connection:
        for statement in statements(plan, numbers):
            connection.execute(statement)
    connection.close()


def postgres(url: str, plan: Plan) -> None:
    """Fills a database of PostgreSQL by its own client."""
    numbers = f"SELECT CAST(n AS BIGINT) AS n FROM generate_series(0, {plan.count - 1}) AS n"
    for statement in [*statements(plan, numbers), "ANALYZE"]:
        subprocess.run(["psql", "--quiet", "--set=ON_ERROR_STOP=1", url, "--command", statement], check=True)


def main() -> None:
    """Fills the database of the first argument with as many calls as the second says, over the last 30 days."""
    url, count = sys.argv[1], int(sys.argv[2])
    now = int(time.time() * 1000)
    plan = Plan(count=count, first=now - 30 * DAY, span=30 * DAY)
    began = time.monotonic()
    if url.startswith("sqlite:"):
        sqlite(url.removeprefix("sqlite:"), plan)
    else:
        postgres(url, plan)
    print(f"{count} calls in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
