"""A call of an MCP tool over standard input and output: through the toolgroup, by the bare `mcp` SDK, and by a client
that only writes and reads lines, which takes the server's own time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from mcp import Client, StdioServerParameters

from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds, percentile
from stack.providers.tools.mcp_group import McpToolGroup
from stack.providers.tools.mcp_loop import McpLoop
from stack.providers.tools.port import ToolRequest
from stack.providers.tools.settings import ToolGroupSettings

CALLS = 400
WARM_UP_CALLS = 50
BAR_MS = 2.0
SERVER = [sys.executable, str(Path(__file__).with_name("mcp_server.py"))]
ARGUMENTS = {"path": "/tmp/a", "lines": 10}

Call = Callable[[], Awaitable[object]]


def run(quick: bool) -> list[Result]:
    return uvloop.run(_run(CALLS // 4 if quick else CALLS, 3 if quick else 5))


async def _run(calls: int, rounds: int) -> list[Result]:
    """The clients take turns, so that noise of the machine meets all of them."""
    loop = McpLoop()
    group = McpToolGroup(ToolGroupSettings(id="mcp::bench", command=SERVER), loop, None)
    request = ToolRequest(tool="echo", arguments=ARGUMENTS, key="0" * 64)
    async with Client(StdioServerParameters(command=SERVER[0], args=SERVER[1:])) as client:
        with subprocess.Popen(SERVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            clients: dict[str, Call] = {
                "group": lambda: group.call(request),
                "sdk": lambda: client.call_tool("echo", dict(ARGUMENTS)),
                "lines": lambda: _line(process),
            }
            took: dict[str, list[float]] = {name: [] for name in clients}
            for call in clients.values():
                await _p50(call, WARM_UP_CALLS)
            for _ in range(rounds):
                for name, call in clients.items():
                    took[name].append(await _p50(call, calls))
            assert process.stdin is not None
            process.stdin.close()
    await group.aclose()
    await loop.aclose()
    added = [one - own for one, own in zip(took["group"], took["lines"], strict=True)]
    over_sdk = [one - own for one, own in zip(took["group"], took["sdk"], strict=True)]
    return [
        of_rounds("MCP call over stdio, added to the server's own time, p50", added, "ms", BAR_MS),
        of_rounds("MCP call over stdio, more than by the bare SDK, p50", over_sdk, "ms"),
        of_rounds("MCP call over stdio, p50", took["group"], "ms"),
        of_rounds("the same by the bare SDK, p50", took["sdk"], "ms"),
        of_rounds("the same by writing and reading lines, p50", took["lines"], "ms"),
    ]


async def _p50(call: Call, calls: int) -> float:
    took = []
    for _ in range(calls):
        began = time.perf_counter()
        await call()
        took.append((time.perf_counter() - began) * 1e3)
    return percentile(took, 0.5)


async def _line(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None and process.stdout is not None
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "echo", "arguments": ARGUMENTS},
    }
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()
    assert process.stdout.readline()


if __name__ == "__main__":
    standalone(run, "mcp", __doc__)
