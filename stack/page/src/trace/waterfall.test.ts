import assert from "node:assert/strict";
import { test } from "node:test";
import type { Waterfall } from "../wire.ts";
import { matching, pieces, placeOf, rows, timeAt, tree } from "./waterfall.ts";

/** Spans as [parent, start, duration, name]. */
function made(...spans: Array<[number, number, number, string?]>): Waterfall {
  const names = spans.map(([, , , name], place) => name ?? `s${place}`);
  const zero = spans.map(() => 0);
  return {
    trace_id: "t",
    start_time: "2026-01-01T00:00:00Z",
    texts: ["", ...names],
    span_ids: spans.map((_, place) => String(place)),
    parents: spans.map(([parent]) => parent),
    names: spans.map((_, place) => place + 1),
    services: zero,
    operations: zero,
    subjects: zero,
    kinds: zero,
    is_error: spans.map(() => false),
    start_us: spans.map(([, start]) => start),
    duration_us: spans.map(([, , duration]) => duration),
    tokens: spans.map(() => -1),
  };
}

test("children follow their parents, in the order of time", () => {
  const trace = made([-1, 0, 100], [0, 1, 10], [0, 20, 10], [1, 2, 3]);
  assert.deepEqual(rows(tree(trace), new Set()), [0, 1, 3, 2]);
  assert.deepEqual(tree(trace).depth, [0, 1, 1, 2]);
  assert.deepEqual(rows(tree(trace), new Set([1])), [0, 1, 2]);
});

test("cycles, own parents and missing parents end", () => {
  const trace = made([1, 0, 1], [0, 0, 1], [2, 0, 1], [-1, 0, 1], [0, 0, 1]);
  const found = rows(tree(trace), new Set());
  assert.deepEqual([...found].sort(), [0, 1, 2, 3, 4]);
  assert.ok(tree(trace).depth.every((one) => one >= 0));
});

test("the critical path goes to what ends last", () => {
  const trace = made([-1, 0, 100], [0, 1, 10], [0, 20, 70], [2, 30, 5], [2, 40, 50]);
  assert.deepEqual([...tree(trace).critical], [0, 2, 4]);
});

test("a filter keeps what its matches are in", () => {
  const trace = made([-1, 0, 100, "root"], [0, 1, 10, "chat"], [0, 20, 10, "tool"], [1, 2, 3, "Tool x"]);
  const { matches, kept } = matching(trace, tree(trace), "tool");
  assert.deepEqual(matches, [2, 3]);
  assert.deepEqual([...kept].sort(), [0, 1, 2, 3]);
  assert.deepEqual(matching(trace, tree(trace), "nothing").matches, []);
});

test("a long pause gets little width, and every time has a place", () => {
  const hour = 3_600_000_000;
  const trace = made([-1, 0, hour], [0, 0, 1000], [0, hour - 1000, 1000]);
  const scale = pieces(trace, tree(trace));
  assert.ok(scale.some((one) => one.isFolded));
  let before = -1;
  for (let at = 0; at <= hour; at += hour / 1000) {
    const place = placeOf(scale, at);
    assert.ok(place >= before && place >= 0 && place <= 1);
    before = place;
    assert.ok(Math.abs(timeAt(scale, place) - at) <= hour / 1e6);
  }
  assert.equal(placeOf(scale, 0), 0);
  assert.ok(placeOf(scale, hour) > 0.999);
});

test("without a pause the scale is even", () => {
  const trace = made([-1, 0, 1000], [0, 0, 1000]);
  assert.deepEqual(pieces(trace, tree(trace)), [{ from: 0, to: 1000, left: 0, right: 1, isFolded: false }]);
  assert.equal(placeOf(pieces(made([-1, 0, 0]), tree(made([-1, 0, 0]))), 0), 0);
});

test("100,000 spans in one chain do not exhaust the stack", () => {
  const trace = made(...Array.from({ length: 100_000 }, (_, place): [number, number, number] => [place - 1, place, 1]));
  assert.equal(rows(tree(trace), new Set()).length, 100_000);
});
