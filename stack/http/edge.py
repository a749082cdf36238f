"""The outermost middleware: access control, size limits, rate limits, tracing.

One ASGI middleware in plain functions. A web page must not be able to call a local server, so `Host` and
`Origin` are checked first, then the key, then the size. Requests that are refused here get the same error
body and `x-trace-id` as all others.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Send
from msgspec import Struct

from stack.config import ADMIN
from stack.errors import Invalid, ReplaystackError, TooManyRequests, Unavailable
from stack.http.access import Access, cors_headers, is_open, preflight_headers
from stack.http.as_of import POSITION, POSITION_HEADER
from stack.http.body_limit import BodyLimits, BodyRefused, BytesInFlight, IncomingBody, drain
from stack.http.error import LEFT, Headers, error_response_parts
from stack.http.otlp import PATHS as OTLP_PATHS
from stack.http.otlp import refusal_body
from stack.services.requests.rates import Callers, RateLimits
from stack.settings import Settings
from telemetry.own import conventions
from telemetry.own.tracing import ActiveSpan, Tracing

TELEMETRY_IN_FLIGHT = 64 * 2**20
"""Maximum number of bytes of OTLP bodies being received; received ones are limited by
`telemetry/store/intake.py`."""

logger = logging.getLogger("replaystack.http")
access_logger = logging.getLogger("replaystack.access")


def edge(
    app: ASGIApp,
    settings: Settings,
    *,
    tracing: Tracing,
    admin_token: str = "",
    rates: RateLimits | None = None,
) -> ASGIApp:
    """Wraps `app`. `scope["state"]` is given `actor`, `trace_id`, `traceparent` and `tracestate`.

    `admin_token` is the key of commands on the server's own machine; `/admin/` accepts no other.
    """
    rates = rates or RateLimits(settings)
    gate = _Gate(
        access=Access(settings, admin_token, rates),
        rates=rates,
        body_limits=BodyLimits.of(settings),
        in_flight=BytesInFlight(settings.max_bytes_in_flight),
        telemetry_in_flight=BytesInFlight(TELEMETRY_IN_FLIGHT),
        tracing=tracing,
    )

    async def at_the_edge(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _Exchange(app, gate, scope, receive, send).run()
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "WebSockets are not supported."})
        else:
            await app(scope, receive, send)

    return at_the_edge


class _Gate(Struct, frozen=True, kw_only=True):
    """The parts that all requests share."""

    access: Access
    rates: RateLimits
    body_limits: BodyLimits
    in_flight: BytesInFlight
    telemetry_in_flight: BytesInFlight
    tracing: Tracing


class _Exchange:
    """One request and its response."""

    __slots__ = (
        "_app",
        "_body",
        "_cors",
        "_dropped",
        "_gate",
        "_payers",
        "_receive",
        "_send",
        "_status",
        "headers",
        "scope",
        "trace_id",
    )

    def __init__(self, app: ASGIApp, gate: _Gate, scope: Any, receive: Receive, send: Send) -> None:
        self._app = app
        self._gate = gate
        self.scope = scope
        self._receive = receive
        self._send = send
        self._status = 0
        self._dropped = False
        self._cors: Headers = []
        self.headers: dict[bytes, bytes] = {}
        self.trace_id = b""
        self._body: IncomingBody | None = None
        self._payers: Callers = ()

    async def run(self) -> None:
        began = time.perf_counter()
        scope = self.scope
        method, path = scope["method"], scope["path"]
        repeated = self._read_headers()
        with self._gate.tracing.server_span(
            method,
            path,
            scope["scheme"],
            self._text(b"traceparent"),
            self._text(b"tracestate"),
            recorded=is_recorded(path),
        ) as span:
            self.trace_id = span.trace_id.encode()
            try:
                await self._handle(span, repeated)
            except ReplaystackError as error:
                await self._refuse(error)
            except BodyRefused as error:
                await self._end_early(error.refusal)
            except Exception as error:
                await self._failed(error, method, path)
            finally:
                self._body_ended()
            self._finish(span, method)
            took_ms = (time.perf_counter() - began) * 1000
            access_logger.log(
                logging.INFO if self._status >= 500 else logging.DEBUG,
                "%s %s %d %.1f ms",
                method,
                path,
                self._status,
                took_ms,
            )

    def _read_headers(self) -> bytes:
        """Returns the name of a repeated header that must not be repeated; empty if there is none."""
        repeated = b""
        for name, value in self.scope["headers"]:
            if name in self.headers and name in _SINGLE:
                repeated = name
            self.headers[name] = value
        return repeated

    def _text(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    async def _handle(self, span: ActiveSpan, repeated: bytes) -> None:
        scope = self.scope
        state = scope.setdefault("state", {})
        state["actor"] = ""
        state["trace_id"] = span.trace_id
        state["traceparent"] = span.traceparent
        state["tracestate"] = span.tracestate
        if repeated:
            raise Invalid(f"The header {repeated.decode()} is given twice.")
        origin = self._text(b"origin")
        self._gate.access.check_host(self._text(b"host"))
        foreign = (
            self._gate.access.check_origin(origin, self._text(b"host"))
            if b"origin" in self.headers
            else False
        )
        if foreign:
            self._cors = cors_headers(origin)
            if scope["method"] == "OPTIONS" and b"access-control-request-method" in self.headers:
                await self._answer(204, preflight_headers(self.headers), b"")
                return
        state["actor"] = self._gate.access.actor(self._text(b"authorization"), scope["path"], self._address())
        if self._gate.rates.enabled:
            self._limit_rate(state["actor"])
        self._body = self._incoming(scope["path"])
        await self._app(scope, self._limited, self._forward)

    def _address(self) -> str:
        """Returns the address of the connection; headers with other addresses may be forged."""
        client = self.scope.get("client")
        return client[0] if client else ""

    def _limit_rate(self, actor: str) -> None:
        """Raises TooManyRequests; for senders of telemetry Unavailable, after which all of them retry
        later."""
        path = self.scope["path"]
        if is_open(path) or actor == ADMIN:
            return
        try:
            self._payers = self._gate.rates.admit(actor, self._address(), self.scope["method"] == "POST")
        except TooManyRequests as refusal:
            if path in OTLP_PATHS:
                raise Unavailable(refusal.detail, retry_after=refusal.retry_after) from None
            raise

    def _body_ended(self) -> None:
        """Releases the body and charges its bytes to the rate limit. Further calls have no effect."""
        if self._body is None:
            return
        self._body.release()
        if self._payers:
            payers, self._payers = self._payers, ()
            self._gate.rates.charge_bytes(payers, self._body.received)

    def _incoming(self, path: str) -> IncomingBody:
        length = self._text(b"content-length")
        announced: int | None = int(length) if length.isdigit() else 0
        if b"transfer-encoding" in self.headers:
            announced = None
        gate = self._gate
        in_flight = gate.telemetry_in_flight if path in OTLP_PATHS else gate.in_flight
        return IncomingBody(self._receive, gate.body_limits, in_flight, announced)

    async def _limited(self) -> Any:
        body = self._body
        assert body is not None
        try:
            message = await body.receive()
        except BodyRefused as error:
            if self._status:
                # The response does not depend on the rest of the body; the client is treated as disconnected.
                return {"type": "http.disconnect"}
            # The application may convert this to its own response, which is replaced by ours.
            await self._end_early(error.refusal)
            raise
        if body.left:
            self.scope["state"][LEFT] = True
        return message

    async def _forward(self, message: Message) -> None:
        if self._dropped:
            return
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._body_ended()
            headers = list(message.get("headers", ()))
            headers.append((b"x-trace-id", self.trace_id))
            position = self.scope.get("state", {}).get(POSITION)
            if position is not None:
                headers.append((POSITION_HEADER, b"%d" % position))
            headers.extend(self._cors)
            await self._send({"type": "http.response.start", "status": self._status, "headers": headers})
            return
        await self._send(message)

    async def _answer(self, status: int, headers: Headers, body: bytes, more: bool = False) -> None:
        await self._forward({"type": "http.response.start", "status": status, "headers": headers})
        await self._forward({"type": "http.response.body", "body": body, "more_body": more})

    async def _refuse(self, error: Exception) -> None:
        if self._status or self._dropped:
            return
        status, headers, body = self._error_parts(error)
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await self._answer(status, headers, body)

    def _error_parts(self, error: Exception) -> tuple[int, Headers, bytes]:
        """Returns status, headers and body of an error; senders of telemetry get the OTLP form."""
        path = self.scope["path"]
        status, headers, body = error_response_parts(error, path)
        if path in OTLP_PATHS and isinstance(error, ReplaystackError):
            told = refusal_body(error, self._text(b"content-type"))
            if told is not None:
                media_type, body = told
                sized = (b"content-type", media_type), (b"content-length", b"%d" % len(body))
                headers = [*sized, *headers[2:]]
        return status, headers, body

    async def _end_early(self, refusal: ReplaystackError) -> None:
        """Responds to a request whose body will not be read completely."""
        if self._status or self._dropped:
            return
        self._body_ended()
        status, headers, body = self._error_parts(refusal)
        await self._answer(status, [*headers, (b"connection", b"close")], body, more=True)
        self._dropped = True
        if b"expect" not in self.headers or (self._body is not None and self._body.received):
            # Closing the connection while the client still sends would reset it before the client reads the
            # response.
            await drain(self._receive)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _failed(self, error: Exception, method: str, path: str) -> None:
        if self._dropped:
            return
        if self._body is not None and self._body.left:
            logger.debug("%s %s: the client left before it had sent its body", method, path)
            return
        logger.error("%s %s failed", method, path, exc_info=error)
        # After the response has started, leaving it incomplete makes uvicorn close the connection, so that
        # the client does not mistake a part for the whole.
        await self._refuse(error)
        self._status = 500

    def _finish(self, span: ActiveSpan, method: str) -> None:
        route = self.scope.get("path_template")
        if route:
            span.rename(f"{method} {route}")
            span.set(conventions.HTTP_ROUTE, route)
        for name, value in (self.scope.get("path_params") or {}).items():
            if name in _LABELS:
                span.set(name, str(value))
        span.set(conventions.HTTP_RESPONSE_STATUS_CODE, self._status or None)
        if self._status >= 500:
            span.fail(str(self._status))


def is_recorded(path: str) -> bool:
    """Returns whether a request has a span. Spans for received telemetry would produce endless telemetry,
    reading traces must not create traces, and probes and pages are not of interest."""
    return path not in _UNRECORDED and not path.startswith(_UNRECORDED_BELOW)


_UNRECORDED = OTLP_PATHS | {"/", "/ui", "/v1/health"}
_UNRECORDED_BELOW = (
    "/admin/",
    "/jaeger/",
    "/mcp",
    "/schema",
    "/ui/",
    "/v1alpha/telemetry/",
    "/v1/telemetry/",
    "/v1alpha/sql",
    "/v1/sql",
)
_LABELS = frozenset(("agent_id", "session_id", "turn_id", "step_id"))
"""Path parameters by which existing users filter spans."""
_SINGLE = frozenset((b"host", b"origin", b"authorization", b"content-length"))
