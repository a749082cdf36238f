import assert from "node:assert/strict";
import { test } from "node:test";
import { href, parse } from "./address.ts";

test("an address has a place, an id and a query", () => {
  const found = parse("/ui/datasets/a%20b/c", "?from=1");
  assert.deepEqual([found.place, found.id, found.query.get("from")], ["datasets", "a b/c", "1"]);
  assert.deepEqual([parse("/ui/", "").place, parse("/ui", "").place, parse("/ui/x/%E0%A4", "").id], ["", "", "%E0%A4"]);
});

test("what was made can be parsed", () => {
  for (const id of ["a", "a/b", "ü ?&#%"]) {
    const [path = "", search = ""] = href("evals", id, { q: "a&b", empty: "" }).split(/(?=\?)/);
    const found = parse(path, search);
    assert.deepEqual([found.place, found.id, found.query.get("q"), found.query.has("empty")], ["evals", id, "a&b", false]);
  }
});
