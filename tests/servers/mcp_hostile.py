"""An MCP server over standard input and output that misbehaves: each tool in another way.

Without the SDK, which would prevent most of it. Speaks revision 2025-06-18, or 2026-07-28 with `--modern`. `--list` says
what is wrong with its list of tools.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

TOOLS = [
    "answer",
    "hang",
    "die",
    "flood",
    "pings",
    "rubbish",
    "broken",
    "wrong",
    "huge",
    "longline",
    "endless",
    "ask",
    "ask_twice",
    "change",
    "again",
    "sample",
    "tampered",
    "deaf",
    "cancelled",
    "calls",
]

called: list[str] = []
cancelled: list[int] = []
deliver: dict[int, Any] = {}


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def raw(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def listed(kind: str, cursor: str | None) -> dict[str, Any]:
    if kind == "many":
        return {"tools": [tool(f"tool_{n}", description="d" * 100) for n in range(10_000)]}
    if kind == "pages":
        return {"tools": [tool(f"page_{cursor or 0}")], "nextCursor": str(int(cursor or 0) + 1)}
    if kind == "hang":
        time.sleep(3600)
    if kind == "bad":
        deep: dict[str, Any] = {}
        for _ in range(40):
            deep = {"type": "object", "properties": {"a": deep}}
        return {
            "tools": [
                tool("good"),
                tool("good", description="the second one"),
                tool(""),
                tool("a b\n"),
                tool("n" * 1000),
                tool("remote", inputSchema={"type": "object", "$ref": "http://127.0.0.1:9/schema.json"}),
                tool("no_schema", inputSchema={"type": 3}),
                tool("array", inputSchema={"type": "array"}),
                tool("pattern", inputSchema={"type": "object", "properties": {"a": {"pattern": "("}}}),
                tool("large", inputSchema={"type": "object", "description": "x" * 200_000}),
                tool("output", outputSchema={"type": "object", "properties": 7}),
                tool("long", description="x" * 100_000),
                tool("task", execution={"taskSupport": "required"}),
                tool("deep", inputSchema=deep),
                "text",
                {"name": 7},
                tool("odd", title=3, description=["x"], annotations={"readOnlyHint": "yes"}, icons=1),
                tool("hinted", annotations={"readOnlyHint": True}),
            ]
        }
    return {"tools": [tool(name) for name in [*TOOLS, *(["new"] if "change" in called else [])]]}


def call(id: int, name: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the result; None if there is none yet."""
    called.append(name)
    if name == "hang":
        return None
    if name == "deaf":
        time.sleep(3600)
    if name == "die":
        print("out of cheese", file=sys.stderr, flush=True)
        os._exit(3)
    if name == "flood":
        line = json.dumps(
            {
                "jsonrpc": "2.0",
                "method": "notifications/progress",
                "params": {"progressToken": id, "progress": 1},
            }
        )
        for _ in range(20):
            raw((line + "\n").encode() * 5_000)
            sys.stderr.write("noise\n" * 5_000)
        sys.stderr.flush()
    if name == "pings":
        for number in range(5_000):
            send({"id": f"p{number}", "method": "ping"})
    if name == "rubbish":
        raw(b"\xff\xfe\x00 not JSON\n[1,2\n\n" + b'"text"\n' * 300)
    if name == "broken":
        raw(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[\n' % id)
        return None
    if name == "wrong":
        return {"content": "no list"}
    if name == "huge":
        return text("x" * 3_000_000)
    if name == "longline":
        raw(b'{"jsonrpc":"2.0","id":%d,"result":{"a":"' % id)
        for _ in range(200):
            raw(b"y" * 100_000)
        raw(b'"}}\n')
        return None
    if name == "endless":
        while True:
            raw(b"no message\n" * 1_000)
    if name in ("ask", "ask_twice"):
        answers = [ask(f"{name} {n}") for n in range(1 if name == "ask" else 2)]
        return None if None in answers else text(json.dumps([*answers, len(called)]))
    if name == "change":
        send({"method": "notifications/tools/list_changed"})
    if name == "again":
        return {"resultType": "input_required", "requestState": str(len(called))}
    if name == "sample":
        request = {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}
        return {"resultType": "input_required", "inputRequests": {"s": request}}
    if name == "tampered":
        return {
            "resultType": "input_required",
            "requestState": "s" * 300_000,
            "inputRequests": {"q": question("x")},
        }
    if name == "cancelled":
        return text(json.dumps(cancelled))
    if name == "calls":
        return text(json.dumps(called))
    return text(json.dumps(params.get("arguments")))


def question(message: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"v": {"type": "string"}}}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def ask(message: str) -> Any:
    """Sends a question and waits for its answer, as older servers do. Returns None if the call was cancelled."""
    send({"id": 900, **question(message)})
    for line in sys.stdin:
        got = json.loads(line)
        if got.get("id") == 900:
            return got.get("result", got.get("error"))
        if got.get("method") == "notifications/cancelled":
            cancelled.append(got["params"]["requestId"])
    return None


def text(said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--modern", action="store_true")
    parser.add_argument("--list", default="")
    options = parser.parse_args()
    about = {"capabilities": {"tools": {"listChanged": True}}, "serverInfo": {"name": "h", "version": "1"}}
    for line in sys.stdin:
        got = json.loads(line)
        method, id, params = got.get("method"), got.get("id"), got.get("params") or {}
        result: dict[str, Any] | None = None
        if method == "notifications/cancelled":
            cancelled.append(params["requestId"])
        elif method == "server/discover" and options.modern:
            result = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
        elif method == "initialize":
            result = {"protocolVersion": "2025-06-18", **about}
        elif method == "tools/list":
            result = listed(options.list, params.get("cursor"))
        elif method == "tools/call":
            result = call(id, params["name"], params)
        elif id is not None and method is not None:
            send({"id": id, "error": {"code": -32601, "message": "no such method"}})
        if result is not None:
            modern = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"} if options.modern else {}
            if "inputRequests" in result or "requestState" in result:
                modern = {}
            send({"id": id, "result": modern | result})


if __name__ == "__main__":
    main()
