import assert from "node:assert/strict";
import { test } from "node:test";
import { parsed } from "./filter.ts";

test("conditions", () => {
  assert.deepEqual(parsed('span.status=error, span.duration_ms>500 a.b != "x \\"y\\" z" k<-1.5').conditions, [
    { key: "span.status", op: "eq", value: "error" },
    { key: "span.duration_ms", op: "gt", value: 500 },
    { key: "a.b", op: "ne", value: 'x "y" z' },
    { key: "k", op: "lt", value: -1.5 },
  ]);
  assert.deepEqual(parsed("").conditions, []);
  assert.deepEqual(parsed('n="5"').conditions, [{ key: "n", op: "eq", value: "5" }]);
});

test("what is not a condition is said", () => {
  for (const text of ["word", "a=1 word", '"', "= x", 'a="open']) assert.notEqual(parsed(text).problem, "", text);
});
