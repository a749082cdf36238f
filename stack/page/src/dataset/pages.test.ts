import assert from "node:assert/strict";
import { test } from "node:test";
import { Pages } from "./pages.ts";

const settled = () => new Promise((done) => setTimeout(done, 0));

test("a page is asked for once and kept", async () => {
  const asked: number[] = [];
  let changes = 0;
  const pages = new Pages<number>(
    10,
    async (start, limit) => {
      asked.push(start);
      return Array.from({ length: limit }, (_, place) => start + place);
    },
    () => {
      changes += 1;
    },
  );
  assert.equal(pages.at(25), undefined);
  assert.equal(pages.at(20), undefined);
  await settled();
  assert.deepEqual([pages.at(25), pages.at(20), pages.at(29)], [25, 20, 29]);
  assert.deepEqual([asked, changes], [[20], 1]);
});

test("a page that failed is asked for again", async () => {
  let fails = true;
  const problems: unknown[] = [];
  const pages = new Pages<string>(
    10,
    async () => {
      if (fails) throw new Error("busy");
      return ["a"];
    },
    (problem) => problems.push(problem),
  );
  pages.at(0);
  await settled();
  fails = false;
  pages.at(0);
  await settled();
  assert.equal(pages.at(0), "a");
  assert.equal(problems.length, 2);
});
