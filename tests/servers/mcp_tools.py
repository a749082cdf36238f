"""An MCP server with well-behaved tools, on the server side of the `mcp` SDK: over standard input and output, or with
`--port` over streamable HTTP (revision 2026-07-28 and older ones)."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import (
    AcceptedElicitation,
    Context,
    Elicit,
    ElicitationResult,
    RequestStateSecurity,
    Resolve,
)
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from pydantic import BaseModel

from tests.services.pdfs import pdf

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()

# A key of its own, so that a state is accepted by a process that is started later.
app = MCPServer(
    "tools", version="1.2.3", request_state_security=RequestStateSecurity(keys=[b"k" * 32], ttl=3600)
)


class Confirmation(BaseModel):
    really: bool


class Reason(BaseModel):
    why: str


async def confirmation(path: str) -> Elicit[Confirmation]:
    return Elicit(f"Delete {path}?", Confirmation)


async def reason(path: str) -> Elicit[Reason]:
    return Elicit(f"Why {path}?", Reason)


@app.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@app.tool(annotations=ToolAnnotations(read_only_hint=True))
def variables(names: list[str]) -> str:
    """Returns variables of the environment, as JSON."""
    return json.dumps({name: os.environ.get(name) for name in names} | {"cwd": str(Path.cwd())})


@app.tool()
def fail(message: str) -> str:
    """Fails."""
    raise ValueError(message)


@app.tool()
async def delete(path: str, answer: Annotated[ElicitationResult[Confirmation], Resolve(confirmation)]) -> str:
    """Deletes a file, if the user confirms it."""
    if isinstance(answer, AcceptedElicitation) and answer.data.really:
        return f"deleted {path}"
    return f"kept {path}: {answer.action}"


@app.tool()
async def explain(
    path: str,
    answer: Annotated[Confirmation, Resolve(confirmation)],
    why: Annotated[Reason, Resolve(reason)],
) -> str:
    """Asks two questions."""
    return f"{path}: {answer.really}, {why.why}"


@app.tool()
async def slow(seconds: float) -> str:
    """Waits."""
    await asyncio.sleep(seconds)
    return "done"


@app.tool()
async def key(context: Context[Any]) -> str:
    """Returns the metadata of the request."""
    meta = context.request_context.meta
    return json.dumps(dict(meta or {}), default=str)


@app.tool()
def parts() -> CallToolResult:
    """Returns content of every kind."""
    return CallToolResult(
        content=[
            TextContent(type="text", text="words"),
            ImageContent(type="image", data=PNG, mime_type="image/png"),
            AudioContent(type="audio", data="AAAA", mime_type="audio/wav"),
            EmbeddedResource(
                type="resource",
                resource=TextResourceContents(uri="memo://1", text="note", mime_type="text/plain"),
            ),
            EmbeddedResource(type="resource", resource=BlobResourceContents(uri="memo://2", blob="AAAA")),
            ResourceLink(type="resource_link", uri="memo://3", name="third"),
        ],
        structured_content={"n": 1},
    )


@app.tool()
def large(size: int) -> str:
    """Returns much text."""
    return "x" * size


@app.resource("memo://note")
def note() -> str:
    """A note."""
    return "remember"


@app.resource("memo://ferry.pdf", mime_type="application/pdf")
def ferry() -> bytes:
    """A PDF."""
    return pdf("The ferry leaves at noon.")


@app.resource("memo://scan.pdf", mime_type="application/pdf")
def scan() -> bytes:
    """A PDF without text."""
    return pdf("")


@app.resource("memo://tides.html", mime_type="text/html")
def tides() -> str:
    """A page."""
    return "<title>No</title><p>High tide<br>is at <b>six</b>.</p>"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port: int | None = parser.parse_args().port
    if port is None:
        app.run()
        return
    import socket

    import uvicorn

    listener = socket.create_server(("127.0.0.1", port))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app.streamable_http_app(), log_level="error", timeout_graceful_shutdown=0)
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
