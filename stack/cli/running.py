"""The server that works on a data folder, as its commands reach it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stack.cli.connection import Connection
from stack.data_folder import RunningServer, running_server
from stack.errors import Unavailable

# Rebuilding a long log takes minutes, and its answer comes at the end.
REBUILD_TIMEOUT_S = 3600.0


def server_state(data: Path) -> dict[str, Any] | None:
    """What the server of this folder says of itself; None when there is none. Raises Unavailable when there
    is one and it does not answer."""
    server = running_server(data)
    return None if server is None else _asked(server, "GET", "/admin/state", 10.0)


def rebuild(data: Path) -> dict[str, Any] | None:
    """Has the server of this folder rebuild its read models; None when there is no server."""
    server = running_server(data)
    return None if server is None else _asked(server, "POST", "/admin/rebuild", REBUILD_TIMEOUT_S)


def _asked(server: RunningServer, method: str, path: str, timeout_s: float) -> dict[str, Any]:
    try:
        state: dict[str, Any] = Connection(server.url, server.token, timeout_s).ask(method, path)
    except OSError as error:
        raise Unavailable(
            f"The server (process {server.pid}, {server.url}) does not answer: {error or type(error).__name__}. "
            "Look at its log, or stop it and start it again."
        ) from error
    return state
