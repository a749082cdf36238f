"""An MCP server whose effects can be counted: each call adds a line to a file. On the server side of the `mcp` SDK.

python -m tests.servers.mcp_journal /path/of/journal
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from mcp.server import MCPServer

app = MCPServer("journal", version="1")


@app.tool()
async def write(line: str, seconds: float = 0.0) -> str:
    """Writes a line, which is an effect, and then takes a while."""
    with Path(sys.argv[1]).open("a", encoding="utf-8") as journal:
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
    app.run()
