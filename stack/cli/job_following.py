"""Follows a job over restarts of its server."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from contextlib import suppress

from stack.cli.connection import Connection

RETRY_S = 0.5
RECONNECT_S = 60.0
"""How long to wait for a server that went away, in seconds: its jobs continue after its restart."""


def follow_job(connect: Callable[[], Connection], followed: Callable[[Connection], bool]) -> None:
    """Calls `followed`, which reads the job's stream from its beginning, until it returns that the job has ended. Raises
    ConnectionError if the server does not come back in time."""
    from stack.errors import NotFound, Unavailable

    connection, lost_at = connect(), 0.0
    while True:
        try:
            if followed(connection):
                return
            lost_at = 0.0
        except (OSError, http.client.HTTPException) as error:
            lost_at = lost_at or time.monotonic()
            if time.monotonic() - lost_at > RECONNECT_S:
                raise ConnectionError(f"{error}; the job continues when the server is back") from error
        time.sleep(RETRY_S)
        # A restarted server has another port; it is starting (Unavailable) until it responds.
        with suppress(NotFound, Unavailable):
            connection = connect()
