"""An MCP server over standard input and output with one tool, which returns its arguments. It takes as little time as
Python can, so that a client's own cost shows."""

from __future__ import annotations

import json
import sys
from typing import Any

_ABOUT = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "b", "version": "1"},
}


def result_of(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Returns None for a method that this server does not have."""
    if method == "initialize":
        return _ABOUT
    if method == "tools/list":
        return {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": json.dumps(params.get("arguments"))}]}
    return None


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        result = result_of(message["method"], message.get("params", {}))
        failure = {"error": {"code": -32601, "message": "no such method"}}
        sys.stdout.write(json.dumps(answer | (failure if result is None else {"result": result})) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
