// Money, shares and times as texts: no floating-point number adds money.
import assert from "node:assert/strict";
import test from "node:test";

import { change, count, exactMoney, exactTime, isoDay, millis, money, ofDollars, percent, share, sharePercent, short, until } from "../../../crates/console/assets/js/format.js";

test("money has the digits that matter", () => {
  for (const [nano, text] of [
    ["0", "$0.00"], ["35", "$0.000000035"], ["1234567", "$0.001235"], ["9999999", "$0.01"], ["12345678", "$0.0123"],
    ["123456789", "$0.1235"], ["1000000000", "$1.00"], ["1995000000", "$2.00"], ["1234567890123", "$1,234.57"],
    ["-1500000000", "-$1.50"], ["9223372036854775807", "$9,223,372,036.85"], [null, "–"],
  ]) assert.equal(money(nano), text, String(nano));
  assert.equal(exactMoney("9223372036854775807"), "$9,223,372,036.854775807 US dollars");
  assert.equal(exactMoney("1250000000"), "$1.25 US dollars");
  assert.equal(exactMoney(null), "unknown");
});

test("sums of text amounts are exact", () => {
  let seed = 42n;
  const random = () => (seed = (seed * 6364136223846793005n + 1442695040888963407n) % 2n ** 64n);
  for (let round = 0; round < 200; round += 1) {
    const parts = Array.from({ length: 50 }, () => random() % 10n ** 15n);
    const sum = parts.reduce((all, one) => all + one, 0n);
    const shown = parts.reduce((all, one) => all + BigInt(one.toString()), 0n);
    assert.equal(exactMoney(sum), exactMoney(shown));
  }
  assert.equal(ofDollars(1.250000035), 1250000035n);
  assert.equal(ofDollars(null), null);
});

test("shares of budgets are of spent and reserved money", () => {
  assert.equal(sharePercent(share(400_000_000n, 15_000_000_000n)), "2.7 %");
  assert.equal(sharePercent(share(5n, 5n)), "100 %");
  assert.equal(sharePercent(share(0n, 0n)), "100 %");
  assert.equal(sharePercent(share(0n, 7n)), "0 %");
});

test("numbers are short and honest", () => {
  assert.deepEqual([count(1234567), short(999), short(12_345), short(1_234_567), short(250e9)], ["1,234,567", "999", "12.3 k", "1.2 M", "250 G"]);
  assert.deepEqual([percent(1, 3), percent(0, 3), percent(1, 5000), percent(1, 0)], ["33 %", "0 %", "< 0.1 %", "–"]);
  assert.deepEqual([change(110, 100), change(90, 100), change(5, 0), change(0, 0), change(100, 100)], ["+10 %", "−10 %", "new", "no change", "no change"]);
  assert.deepEqual([millis(null), millis(12.4), millis(1234), millis(65_000)], ["–", "12 ms", "1.23 s", "1 min 5 s"]);
});

test("times have their zone", () => {
  assert.equal(exactTime("2026-10-25T00:30:00Z", "Europe/Paris"), "2026-10-25T02:30:00+02:00 (Europe/Paris)");
  assert.equal(exactTime("2026-10-25T01:30:00Z", "Europe/Paris"), "2026-10-25T02:30:00+01:00 (Europe/Paris)");
  assert.equal(isoDay(new Date("2026-11-26T18:20:00Z"), "Asia/Kathmandu"), "2026-11-27");
  assert.equal(until("2026-01-01T02:00:00Z", Date.parse("2026-01-01T00:00:00Z")), "in 2 h");
  assert.equal(until("2026-01-01T00:00:00Z", Date.parse("2026-01-03T00:00:00Z")), "2 d ago");
});
