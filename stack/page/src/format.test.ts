import assert from "node:assert/strict";
import { test } from "node:test";
import { between, bytes, count, duration, oneLine, time, visible } from "./format.ts";

test("durations", () => {
  const shown = [0, 0.011, 1.234, 12.3, 999.4, 1000, 59_990, 61_000, 3_840_000, -5, Number.NaN].map(duration);
  assert.deepEqual(shown, ["0 ms", "11 µs", "1.2 ms", "12 ms", "999 ms", "1.00 s", "59.99 s", "1 m 1 s", "1 h 4 m", "−5.0 ms", ""]);
});

test("times have microseconds", () => {
  assert.equal(Math.round(between("2026-01-01T00:00:00.999999Z", "2026-01-01T00:00:01.000001Z") * 1000), 2);
  assert.equal(between("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"), 60_000);
});

test("counts and sizes", () => {
  assert.equal(count(1, "turn"), "1 turn");
  assert.equal(count(12_345, "turn"), "12,345 turns");
  assert.deepEqual([0, 1023, 1024, 5 * 2 ** 30].map(bytes), ["0 B", "1023 B", "1.0 KiB", "5.0 GiB"]);
});

test("times", () => {
  const now = new Date(2026, 10, 30, 12, 0, 0);
  assert.equal(time(new Date(2026, 10, 30, 9, 5, 7).toISOString(), now), "09:05:07");
  assert.equal(time(new Date(2026, 0, 2, 9, 5, 7).toISOString(), now), "2026-01-02 09:05:07");
  assert.equal(time("not a time"), "");
  assert.equal(time(undefined), "");
});

test("what would hide or reorder text is shown as its code", () => {
  assert.equal(visible("a\u202eb\u0007c\nd"), "a⟨202e⟩b⟨0007⟩c\nd");
  assert.equal(oneLine("a\n\tb", 10), "a b");
  assert.equal(oneLine("x".repeat(20), 5), "xxxxx…");
});
