"""An MCP server over HTTP that misbehaves: each tool in another way. Speaks revision 2025-06-18, with sessions.

`--port 0` prints the port that was chosen.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

TOOLS = """answer status hang huge bomb rubbish page cut event_flood event_endless event_cut event_ask redirect forget
old_id cancelled""".split()  # noqa: SIM905

sessions: set[str] = set()
numbers = count(1)
cancelled: list[Any] = []


def noise(id: Any, text: str = "") -> str:
    progress = {"progressToken": id, "progress": 1, "message": text}
    return json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send(405, b"")

    def do_DELETE(self) -> None:
        self.send(200, b"")

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        method, id, params = message.get("method"), message.get("id"), message.get("params") or {}
        session = self.headers.get("mcp-session-id")
        if method == "notifications/cancelled":
            cancelled.append(params["requestId"])
        if id is None or method is None:
            return self.send(202, b"")
        if method == "initialize":
            session = f"s{next(numbers)}"
            sessions.add(session)
            about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "h", "version": "1"}}
            return self.result(id, {"protocolVersion": "2025-06-18", **about}, {"mcp-session-id": session})
        if method == "server/discover":
            return self.send(
                200, json.dumps({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "x"}})
            )
        if session not in sessions:
            return self.send(404, b"")
        if method == "tools/list":
            return self.result(
                id, {"tools": [{"name": one, "inputSchema": {"type": "object"}} for one in TOOLS]}
            )
        return self.call(id, params["name"], params.get("arguments") or {})

    def call(self, id: Any, name: str, arguments: dict[str, Any]) -> None:
        done = {"content": [{"type": "text", "text": json.dumps(arguments)}]}
        answer = json.dumps({"jsonrpc": "2.0", "id": id, "result": done})
        match name:
            case "status":
                self.send(arguments["code"], b"<html>no</html>", {"content-type": "text/html"})
            case "hang":
                time.sleep(3600)
            case "huge":
                self.send(200, json.dumps({"jsonrpc": "2.0", "id": id, "result": {"x": "y" * 20_000_000}}))
            case "bomb":
                self.send(200, gzip.compress(b" " * 50_000_000), {"content-encoding": "gzip"})
            case "rubbish":
                self.send(200, b"\xff\x00{")
            case "page":
                self.send(200, b"<html>log in</html>", {"content-type": "text/html"})
            case "cut":
                self.send(200, b'{"jsonrpc"', {"content-length": "1000"})
                self.close_connection = True
            case "event_flood":
                self.events(*([noise(id)] * 5_000), answer)
            case "event_endless":
                self.events(*([noise(id, "x" * 10_000)] * 100_000))
            case "event_cut":
                self.events()
            case "event_ask":
                asking = {"message": "m", "requestedSchema": {"type": "object", "properties": {}}}
                asks = {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": asking}
                self.events(*([json.dumps(asks)] * 5_000), answer)
            case "redirect":
                self.send(307, b"", {"location": "http://127.0.0.2:1/mcp"})
            case "forget":
                sessions.clear()
                self.send(200, answer)
            case "old_id":
                self.send(200, json.dumps({"jsonrpc": "2.0", "id": 10**9, "result": done}))
            case "cancelled":
                self.result(id, {"content": [{"type": "text", "text": json.dumps(len(cancelled))}]})
            case _:
                self.send(200, answer)

    def result(self, id: Any, result: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.send(200, json.dumps({"jsonrpc": "2.0", "id": id, "result": result}), headers)

    def send(self, status: int, body: bytes | str, headers: dict[str, str] | None = None) -> None:
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        own = {"content-type": "application/json", "content-length": str(len(body))}
        for name, value in (own | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def events(self, *messages: str) -> None:
        """Sends the messages, in parts."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        try:
            for start in range(0, len(messages), 500):
                part = "".join(f"event: message\ndata: {one}\n\n" for one in messages[start : start + 500])
                self.wfile.write(part.encode())
        except OSError:
            """The client has left."""
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
