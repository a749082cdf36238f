"""The ports on which senders of telemetry expect a collector: 4318 for HTTP, 4317 for gRPC.

A collector often has them already, so a port that is taken is a warning: the same is taken on the API's own port.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from litestar.types import ASGIApp

from stack.errors import NotFound
from stack.http.access import Access
from stack.http.error import error_response_parts
from stack.http.otlp import PATHS
from stack.http.otlp_grpc import OtlpGrpc
from stack.settings import Settings
from telemetry.intake import Intake

logger = logging.getLogger("replaystack.server")

GRPC_AFTER_S = 0.5
"""Loading its library takes 0.2 s of the interpreter, and the first requests come now."""


def receiving_only(app: ASGIApp) -> ASGIApp:
    """`app` without anything but the receiver."""

    async def receiver(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] in PATHS:
            await app(scope, receive, send)
            return
        refusal = NotFound(f"This port takes telemetry only: POST to {', '.join(sorted(PATHS))}.")
        status, headers, body = error_response_parts(refusal)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return receiver


class OtlpPorts:
    """Opened once the server serves; `close` once."""

    def __init__(self, settings: Settings, intake: Intake, admin_token: str) -> None:
        self._settings = settings
        access = Access(settings, admin_token)
        self._grpc = OtlpGrpc(
            intake,
            lambda authorization: access.actor(authorization, "/v1/traces"),
            settings.body_timeout_s,
        )
        self._http: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None

    async def open(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Listens where the settings say so; gRPC a moment later, since its library takes a while to load. `protocol`
        makes the HTTP connections."""
        host, port = self._settings.host, self._settings.otlp_http_port
        if port:
            try:
                self._http = await asyncio.get_running_loop().create_server(protocol, host, port)
                logger.info("taking OTLP over HTTP on %s port %d", host, port)
            except OSError as error:
                _warn("otlp_http_port", port, error)
        if self._settings.otlp_grpc_port:
            self._opening = asyncio.create_task(self._open_grpc(host, self._settings.otlp_grpc_port))

    async def _open_grpc(self, host: str, port: int) -> None:
        await asyncio.sleep(GRPC_AFTER_S)
        try:
            await asyncio.to_thread(self._grpc.start, host, port)
            logger.info("taking OTLP over gRPC on %s port %d", host, port)
        except OSError as error:
            _warn("otlp_grpc_port", port, error)

    async def close(self) -> None:
        """Takes no more."""
        if self._http is not None:
            self._http.close()
        if self._opening is not None:
            with suppress(Exception):
                await self._opening
        await asyncio.to_thread(self._grpc.stop)


def _warn(setting: str, port: int, error: OSError) -> None:
    logger.warning(
        "port %d is not opened for OTLP: %s. Choose another with %s, or 0 for none.", port, error, setting
    )
