import assert from "node:assert/strict";
import { test } from "node:test";
import { words } from "./words.ts";

test("words that were removed and added", () => {
  assert.deepEqual(words("the harbour opens at ten", "the harbour opens at nine"), [
    { kind: "same", text: "the harbour opens at " },
    { kind: "removed", text: "ten" },
    { kind: "added", text: "nine" },
  ]);
  assert.deepEqual(words("", "a"), [{ kind: "added", text: "a" }]);
  assert.deepEqual(words("a", "a"), [{ kind: "same", text: "a" }]);
});

test("long and different texts take a bounded time", () => {
  const one = Array.from({ length: 20_000 }, (_, place) => `a${place}`).join(" ");
  const other = Array.from({ length: 20_000 }, (_, place) => `b${place}`).join(" ");
  assert.ok(words(one, other).length > 0);
});
