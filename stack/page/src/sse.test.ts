import assert from "node:assert/strict";
import { test } from "node:test";
import { Events } from "./sse.ts";

test("events are whole, wherever the stream is cut", () => {
  const sent = 'id: 1\ndata: {"a":1}\n\n: \nid: 2\r\ndata: b\r\ndata: c\r\n\r\n';
  for (let cut = 0; cut <= sent.length; cut += 1) {
    const events = new Events();
    const found = [...events.take(sent.slice(0, cut)), ...events.take(sent.slice(cut))];
    assert.deepEqual(found, [{ id: "1", data: '{"a":1}' }, { id: "2", data: "b\nc" }]);
  }
});
