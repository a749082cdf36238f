"""Ports in addition to that of the API: the default ports of a telemetry collector, 4318 for HTTP and 4317 for gRPC, and that of
Arrow Flight SQL.

A collector often occupies the first two already, so an occupied port only causes a warning: the API's own port accepts
the same requests.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from litestar.types import ASGIApp
from msgspec import Struct

from stack.errors import NotFound
from stack.http.access import Access
from stack.http.error import error_response_parts
from stack.http.flight.port import FlightPort
from stack.http.grpc_server import GrpcLoop
from stack.http.otlp import PATHS
from stack.http.otlp_grpc import OtlpGrpc
from stack.services.requests.rates import RateLimits
from stack.services.sql.sql import SqlService
from stack.settings import Settings
from telemetry.store.intake import Intake

logger = logging.getLogger("replaystack.server")

OPEN_AFTER_S = 0.5
"""Delay in seconds: loading gRPC blocks the interpreter for 0.2 s, and the first requests arrive at
startup."""
RETRY_MAX_S = 60.0
_FOR_GOOD = frozenset((errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES))
"""Errors after which the port is not tried again: a collector that uses it must find it free after its
restart."""


def receiving_only(app: ASGIApp) -> ASGIApp:
    """Wraps `app` so that only the receiver of telemetry is served."""

    async def receiver(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] in PATHS:
            await app(scope, receive, send)
            return
        refusal = NotFound(f"This port takes telemetry only: POST to {', '.join(sorted(PATHS))}.")
        status, headers, body = error_response_parts(refusal)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return receiver


class Port(Struct):
    """`serves` is what it offers over the protocol `over`. `problem` is the reason if it is not open."""

    serves: str
    over: str
    setting: str
    number: int
    is_open: bool = False
    problem: str = ""


class ExtraPorts:
    """The ports, opened once the server serves; call `close` once."""

    def __init__(
        self, settings: Settings, intake: Intake, sql: SqlService, admin_token: str, rates: RateLimits
    ) -> None:
        self._host = settings.host
        self._http_port = Port("OTLP", "HTTP", "otlp_http_port", settings.otlp_http_port)
        self._grpc_port = Port("OTLP", "gRPC", "otlp_grpc_port", settings.otlp_grpc_port)
        self._flight_port = Port("Arrow Flight SQL", "gRPC", "flight_port", settings.flight_port)
        access = Access(settings, admin_token, rates)
        loop = GrpcLoop()
        self._grpc = OtlpGrpc(
            loop,
            intake,
            lambda authorization, address: access.actor(authorization, "/v1/traces", address),
            rates,
            settings.body_timeout_s,
        )
        self._flight = FlightPort(
            loop,
            sql,
            lambda authorization, address: access.actor(authorization, "/v1alpha/sql", address),
            rates,
            settings.body_timeout_s,
        )
        self._http: asyncio.Server | None = None
        self._opening: list[asyncio.Task[None]] = []
        self._closing = asyncio.Event()

    def state(self) -> list[Port]:
        """The ports that are configured."""
        return [port for port in (self._http_port, self._grpc_port, self._flight_port) if port.number]

    async def open(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Listens on the configured ports; gRPC a moment later, because its library takes time to load.
        `protocol` creates the HTTP connections. If there are no free descriptors, opening a port is
        retried."""
        if self._http_port.number and not await self._opened(self._http_port, self._open_http, protocol):
            self._opening.append(asyncio.create_task(self._retry(self._http_port, self._open_http, protocol)))
        for port, start in (
            (self._grpc_port, self._grpc.start),
            (self._flight_port, self._flight.start),
        ):
            if port.number:
                self._opening.append(asyncio.create_task(self._retry(port, self._open_grpc, start, port)))

    async def _open_http(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        self._http = await loop.create_server(protocol, self._host, self._http_port.number)

    async def _open_grpc(self, start: Callable[[str, int], int], port: Port) -> None:
        await asyncio.to_thread(start, self._host, port.number)

    async def _opened(self, port: Port, start: Callable[..., Awaitable[None]], *args: Any) -> bool:
        """Tries once. Returns True if no retry is needed: the port is open, or in use by another process."""
        try:
            await start(*args)
        except OSError as error:
            port.problem = str(error)
            if error.errno in _FOR_GOOD:
                logger.warning(
                    "port %d is not opened for %s: %s. Choose another with %s, or 0 for none.",
                    port.number,
                    port.serves,
                    error,
                    port.setting,
                )
                return True
            logger.warning(
                "port %d cannot be opened for %s yet: %s. Trying again.", port.number, port.serves, error
            )
            return False
        port.is_open, port.problem = True, ""
        logger.info("taking %s over %s on %s port %d", port.serves, port.over, self._host, port.number)
        return True

    async def _retry(self, port: Port, start: Callable[..., Awaitable[None]], *args: Any) -> None:
        pause_s = OPEN_AFTER_S
        while not await self._closed_within(pause_s) and not await self._opened(port, start, *args):
            pause_s = min(max(2 * pause_s, 1.0), RETRY_MAX_S)

    async def _closed_within(self, pause_s: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), pause_s)
        return self._closing.is_set()

    async def close(self) -> None:
        """Stops receiving."""
        self._closing.set()
        if self._http is not None:
            self._http.close()
        await asyncio.gather(*self._opening, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(one.stop) for one in (self._grpc, self._flight)))
