// The time of a screen, and its state in the address.
import assert from "node:assert/strict";
import test from "node:test";

import { filtersOf, hashOf, kept, readHash, times } from "../../../crates/console/assets/js/range.js";

test("a state survives its address", () => {
  const params = { range: "7d", key: "a b&c=#?", tz: "Europe/Paris" };
  const hash = hashOf("requests", { ...params, none: null, empty: "" });
  assert.deepEqual(readHash(hash), { page: "requests", params });
  assert.deepEqual(readHash(""), { page: "overview", params: {} });
  assert.equal(hashOf("keys", {}), "#/keys");
});

test("days are those of the reader", () => {
  const now = new Date("2026-11-01T07:30:00Z"); // half past midnight in Los Angeles, hours before its clocks change
  assert.deepEqual(times({ range: "7d", tz: "America/Los_Angeles" }, now), { from: "2026-10-26", to: "2026-11-01", bucket: "day", tz: "America/Los_Angeles" });
  assert.equal(times({ range: "7d", tz: "UTC" }, now).to, "2026-11-01");
  assert.equal(times({ range: "30d", tz: "Asia/Kathmandu" }, new Date("2026-03-01T18:30:00Z")).from, "2026-02-01");
  const day = times({ tz: "UTC" }, now);
  assert.deepEqual([day.from, day.to, day.bucket], ["2026-10-31T07:30:00.000Z", "2026-11-01T07:30:00.000Z", "hour"]);
  assert.equal(times({ range: "custom", from: "2026-10-25", to: "2026-10-25" }, now).bucket, "hour");
  assert.equal(times({ range: "custom", from: "2026-10-01", to: "2026-10-25" }, now).bucket, "day");
});

test("links keep the time, filters are the known ones", () => {
  assert.deepEqual(kept({ range: "1h", key: "k", tz: "UTC" }), { range: "1h", from: undefined, to: undefined, tz: "UTC", refresh: undefined });
  assert.deepEqual(filtersOf({ key: "k", other: "x", model: "" }), { key: "k" });
});
