"""`replaystack mcp`: tools for assistants, over MCP on standard input and output."""

from __future__ import annotations

from typing import Any

import click

from stack.cli.target import target_options


@click.command(name="mcp")
@target_options
def command(**options: Any) -> None:
    """Serve tools with which an assistant reads what a running server has recorded, over MCP (the Model Context Protocol)
    on standard input and output. Assistants start this command themselves; see docs/mcp.md.

    The server may be started, stopped and started again meanwhile. It serves the same tools over HTTP, at /mcp.
    """
    import asyncio

    from stack.cli.mcp_stdio import serve

    asyncio.run(serve(options))
