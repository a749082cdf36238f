"""All HTTP connections of the process: their maximum number, and the closing of those that have waited too
long.

One task checks every connection once a second, instead of one timer per request: it takes about a millisecond
for 1,000 connections, and nothing per request.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from stack.settings import Settings

if TYPE_CHECKING:
    from stack.http.protocol import Protocol

LOOK_S = 1.0
FAREWELL_S = 2.0
"""How long a refused connection is read, in seconds, so that closing it does not reset it before the client
has read the response."""
FAREWELL_BYTES = 64 * 2**20
EVICTABLE_AFTER_S = 1.0
"""An idle connection without a request may be closed for a new one after this time, in seconds."""
_LEAST_CONNECTIONS = 8
_RESERVED = (24, 256)
"""Minimum and maximum number of descriptors reserved for files, worker processes and outgoing connections."""


class ConnectionLimits(Struct, frozen=True):
    """Limits of one connection. Times in seconds."""

    request_line_bytes: int
    header_bytes: int
    header_count: int
    header_timeout_s: float
    idle_timeout_s: float
    unread_timeout_s: float


def connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        request_line_bytes=settings.max_request_line_bytes,
        header_bytes=settings.max_header_bytes,
        header_count=settings.max_header_count,
        header_timeout_s=settings.header_timeout_s,
        idle_timeout_s=settings.idle_timeout_s,
        unread_timeout_s=settings.unread_timeout_s,
    )


class Connections:
    """The open connections. Used on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self.limits = connection_limits(settings)
        self.most = settings.max_connections
        # In the order of opening.
        self.open: dict[Protocol, None] = {}
        self.refused: set[Protocol] = set()
        self._refused_at_once = 16
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts to check. Call it after all listeners are open: the number of connections depends on the
        descriptors that remain."""
        allowed = _allow_descriptors(self.most)
        least, most = _RESERVED
        reserved = max(least, min(most, allowed // 4))
        self.most = min(self.most, max(_LEAST_CONNECTIONS, allowed - _used_descriptors() - reserved))
        self._refused_at_once = reserved // 3
        self._watching = asyncio.create_task(self._watch())

    def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    def admit(self, connection: Protocol) -> bool:
        """Returns whether one more connection is accepted; an idle one is closed for it if necessary."""
        if len(self.open) >= self.most and not self._evict():
            return False
        self.open[connection] = None
        return True

    def may_refuse_politely(self) -> bool:
        """Returns whether one more refused connection may stay open for a moment."""
        return len(self.refused) < self._refused_at_once

    def forget(self, connection: Protocol) -> None:
        self.open.pop(connection, None)
        self.refused.discard(connection)

    def _evict(self) -> bool:
        idle = [(since, one) for one in self.open if (since := one.idle_since())]
        if not idle:
            return False
        since, oldest = min(idle, key=itemgetter(0))
        if oldest.loop.time() - since < EVICTABLE_AFTER_S:
            return False
        self.open.pop(oldest)
        oldest.close_for_another()
        return True

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_S)
            now = loop.time()
            for connection in (*self.open, *self.refused):
                connection.check_timeouts(now)


def _allow_descriptors(connections: int) -> int:
    """Raises the soft limit of descriptors as far as `connections` require and the hard limit allows. Returns
    the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 1024
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return sys.maxsize if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _used_descriptors() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return sum(1 for _ in Path(folder).iterdir())
        except OSError:
            continue
    return 64
