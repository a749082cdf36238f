"""An MCP server whose effects can be counted: each call adds a line to a file. On the server side of the `mcp` SDK,
over streamable HTTP.

    python -m tests.servers.mcp_journal --port 0 --journal /path/of/journal
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
from pathlib import Path

import uvicorn
from mcp.server import MCPServer

app = MCPServer("journal", version="1")
PARSER = argparse.ArgumentParser()
PARSER.add_argument("--port", type=int)
PARSER.add_argument("--journal", type=Path)
OPTIONS = PARSER.parse_args()


@app.tool()
async def write(line: str, seconds: float = 0.0) -> str:
    """Writes a line, which is an effect, and then takes a while."""
    with OPTIONS.journal.open("a", encoding="utf-8") as journal:
        journal.write(f"{line}\n")
        journal.flush()
        os.fsync(journal.fileno())
    await asyncio.sleep(seconds)
    return f"wrote {line}"


@app.tool()
async def sign(line: str) -> str:
    """Writes a line. The tests ask for an approval first."""
    return await write(line)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", OPTIONS.port))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app.streamable_http_app(), log_level="error", timeout_graceful_shutdown=0)
    uvicorn.Server(config).run([listener])
