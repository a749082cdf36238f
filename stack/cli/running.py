"""Requests to the server that uses a data folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stack.cli.connection import Connection
from stack.data_folder import RunningServer, running_server
from stack.errors import Unavailable

# Rebuilding a long log takes minutes, and the response arrives at the end.
REBUILD_TIMEOUT_S = 3600.0


def server_state(data: Path) -> dict[str, Any] | None:
    """Returns the state of this folder's server; None if there is none. Raises Unavailable if there is one
    that does not respond."""
    server = running_server(data)
    return None if server is None else _asked(server, "GET", "/admin/state", 10.0)


def rebuild(data: Path) -> dict[str, Any] | None:
    """Makes this folder's server rebuild its read models; returns None if there is no server."""
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
