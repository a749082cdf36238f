import assert from "node:assert/strict";
import { test } from "node:test";
import { type Frame, type FrameData, clock, fold, frameAt, indexOf, textOf } from "./playback.ts";

const frame = (id: string, payload: object, turn = 1, at = 0): Frame =>
  [turn, at, id, { event: { payload } } as FrameData];
const text = (id: string, piece: string) => frame(id, { event_type: "step_progress", delta: { type: "text", text: piece } });
const call = (id: string, tool_call: unknown) => frame(id, { event_type: "step_progress", delta: { type: "tool_call", tool_call } });
const start = (id: string) => frame(id, { event_type: "step_start", step_type: "inference" });
const whole = { call_id: "c", tool_name: "search", arguments: '{"q":1}' };
const complete = (id: string, model_response: object) =>
  frame(id, { event_type: "step_complete", step_details: { step_type: "inference", step_id: "s", model_response } });

test("pieces of text become one answer, which the recorded step replaces", () => {
  const frames = [start("1.0"), text("1.1", "Hel"), text("1.2", "lo")];
  assert.deepEqual(fold(frames).map(({ kind, text, isOpen }) => [kind, text, isOpen]), [["answer", "Hello", true]]);
  const done = fold([...frames, complete("2.0", { content: "Hello!" })]);
  assert.deepEqual(done.map(({ text, isOpen }) => [text, isOpen]), [["Hello!", false]]);
});

test("steps before stay when a later one completes", () => {
  const frames = [start("1.0"), complete("2.0", { content: "a" }), start("3.0"), text("3.1", "x"), complete("4.0", { content: "b" })];
  assert.deepEqual(fold(frames).map((one) => one.text), ["a", "b"]);
});

test("pieces of a call are replaced by the call", () => {
  const frames = [start("1.0"), call("1.1", '{"q"'), call("1.2", ":1}"), call("1.3", whole)];
  assert.deepEqual(fold(frames.slice(0, 3)).map((one) => [one.kind, one.name, one.text]), [["call", "", '{"q":1}']]);
  assert.deepEqual(fold(frames).map((one) => [one.kind, one.name, one.text]), [["call", "search", '{"q":1}']]);
});

test("an error is shown", () => {
  const failed: Frame = [1, 5, "3.0", { error: { message: "short", detail: "The model failed." } }];
  assert.deepEqual(fold([failed]).map((one) => [one.kind, one.text]), [["error", "The model failed."]]);
});

test("a frame is found by its address", () => {
  const frames = [start("1.0"), text("1.1", "a"), frame("1.0", { event_type: "turn_start" }, 2)];
  assert.equal(indexOf(frames, "2.1.0"), 2);
  assert.equal(indexOf(frames, "9.1.0"), -1);
  assert.equal(indexOf(frames, ""), -1);
});

test("pauses between turns are folded, times never go back", () => {
  const at = (turn: number, ms: number): Frame => [turn, ms, "1.0", {}];
  const times = clock([at(1, 0), at(1, 100), at(1, 90), at(2, 0), at(2, 50)], 500);
  assert.deepEqual(times, [0, 100, 100, 600, 650]);
  assert.deepEqual([-1, 0, 99, 100, 650, 9999].map((one) => frameAt(times, one)), [-1, 0, 0, 2, 4, 4]);
  assert.deepEqual(clock([], 500), []);
});

test("content in all its forms is text", () => {
  assert.equal(textOf("a"), "a");
  assert.equal(textOf([{ type: "text", text: "a" }, { type: "image", image: {} }, "b"]), "a[image]b");
  assert.equal(textOf(undefined), "");
});
