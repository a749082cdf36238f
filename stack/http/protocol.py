"""The server's HTTP/1.1 protocol: uvicorn's, with limits on the size and duration of a connection's requests.

A request refused here never reaches the application, so the error response is written here, with the same
body.
"""

from __future__ import annotations

import secrets
import sys
from asyncio import AbstractEventLoop
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from stack.errors import HeadersTooLarge, Invalid, ReplaystackError, RequestTimeout, Unavailable, UriTooLong
from stack.http.connections import FAREWELL_BYTES, FAREWELL_S, Connections
from stack.http.error import error_response_parts
from stack.http.http_1_0 import send_unchunked


class _Refused(Exception):
    """Ends the parsing of a refused request."""


class Protocol(HttpToolsProtocol):
    """One connection.

    A request's head is counted as its bytes arrive, because the parser keeps incomplete heads and copies them
    with every part. Bodies are limited by the application (`body_limit.py`).
    """

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._all = connections
        self._limits = connections.limits
        self._refusal: ReplaystackError | None = None
        self._refused_at = 0.0
        # Bytes received since the parser's last callback, and those of the headers that it has reported.
        self._untold = 0
        self._header_bytes = 0
        self._in_body = False
        # When the connection, or the current request, started to wait for its head; 0 if none is awaited.
        self._head_since = 0.0
        self._head_began = False
        self._answered_at = 0.0
        self._unsent = sys.maxsize
        self._unsent_since = 0.0

    def connection_made(self, transport: Any) -> None:
        now = self.loop.time()
        self._head_since = self._unsent_since = now
        if self._all.admit(self):
            super().connection_made(transport)
            return
        self.transport = transport
        self.flow = FlowControl(transport)
        lingers = self._all.may_refuse_politely()
        self._refuse(Unavailable("The server has as many connections as it may have.", retry_after=5))
        if not lingers:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.forget(self)
        super().connection_lost(exc)

    def idle_since(self) -> float:
        """The loop time since which the connection has had no request; 0 while it has one."""
        if self.cycle is not None and not self.cycle.response_complete:
            return 0.0
        return self._head_since or self._answered_at

    def close_for_another(self) -> None:
        """Closes an idle connection for a new one."""
        self._refused_at = self.loop.time()
        self._all.refused.add(self)
        self.transport.close()

    def check_timeouts(self, now: float) -> None:
        """Closes the connection if it has waited too long for its client. Called once a second."""
        transport, limits = self.transport, self._limits
        unsent = transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent:
            self._unsent_since = now
        self._unsent = unsent
        if now - self._unsent_since > limits.unread_timeout_s:
            transport.abort()
        elif self._refused_at:
            if now - self._refused_at > FAREWELL_S:
                transport.abort()
        elif transport.is_closing() or (self.cycle is not None and not self.cycle.response_complete):
            return
        elif self._head_since:
            if now - self._head_since > limits.header_timeout_s:
                self._end_head()
        elif self._in_body and now - self._answered_at > limits.idle_timeout_s:
            # The response was sent before the body was complete.
            transport.close()

    def _end_head(self) -> None:
        if not self._head_began:
            # A connection that never started a request needs no response.
            self.transport.close()
            return
        limit = self._limits.header_timeout_s
        self._refuse(
            RequestTimeout(
                f"The request line and headers did not arrive within {limit:g} s. Send them at once."
            )
        )

    def data_received(self, data: bytes) -> None:
        if self._refused_at:
            self._untold += len(data)
            if self._untold > FAREWELL_BYTES:
                self.transport.abort()
            return
        if not (self._in_body or self._head_since):
            self._head_since = self.loop.time()
        self._untold += len(data)
        super().data_received(data)
        if (
            self._untold > self._limits.header_bytes
            and not self._refused_at
            and not self.transport.is_closing()
        ):
            self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        self._untold = self._header_bytes = 0
        self._head_began = True
        if not self._head_since:
            self._head_since = self.loop.time()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._untold = 0
        self.url += url
        limit = self._limits.request_line_bytes
        if len(self.url) > limit:
            self._refusal = UriTooLong(
                f"The request line is longer than {limit} bytes. Send less in the query, or raise "
                "max_request_line_bytes."
            )
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        self._untold = 0
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self._limits.header_bytes:
            self._refusal = self._too_large()
            raise _Refused
        if self._in_body:
            # A trailer, which is not used here.
            return
        if len(self.headers) >= self._limits.header_count:
            self._refusal = HeadersTooLarge(
                f"The request has more than {self._limits.header_count} headers. Send fewer, or raise "
                "max_header_count."
            )
            raise _Refused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._head_since = 0.0
        super().on_headers_complete()
        if self.scope["http_version"] == "1.0" and self.cycle is not None and self.cycle.scope is self.scope:
            send_unchunked(self.cycle)

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._untold = 0
        self._in_body = self._head_began = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._answered_at = self.loop.time()
        super().on_response_complete()

    def resume_writing(self) -> None:
        self._unsent = sys.maxsize
        super().resume_writing()

    def _too_large(self) -> HeadersTooLarge:
        return HeadersTooLarge(
            f"The headers are larger than {self._limits.header_bytes} bytes. Send less, or raise max_header_bytes."
        )

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for a request that the parser rejects."""
        self._refuse(self._refusal or Invalid("The request is not valid HTTP/1.1."))

    def _refuse(self, refusal: ReplaystackError) -> None:
        """Sends an error and closes the connection; if a response is being sent, it is aborted instead."""
        self._refused_at = self.loop.time()
        self._untold = 0
        self._all.open.pop(self, None)
        self._all.refused.add(self)
        cycle, self.cycle = self.cycle, None  # type: ignore[assignment]
        under_way = cycle is not None and cycle.response_started and not cycle.response_complete
        self.pipeline.clear()
        if cycle is not None and not cycle.response_complete:
            # The application is informed that its client has disconnected, and the rest of its response is
            # discarded.
            cycle.disconnected = True
            cycle.message_event.set()
            self.flow.resume_writing()
        if under_way or self.transport.is_closing():
            self.transport.close()
            return
        _, headers, body = error_response_parts(refusal)
        headers += [(b"x-trace-id", secrets.token_hex(16).encode()), (b"connection", b"close")]
        lines = [b"%b: %b\r\n" % header for header in headers]
        status = b"HTTP/1.1 %d %b\r\n" % (refusal.status, refusal.title.encode())
        self.transport.write(b"".join([status, *lines, b"\r\n", body]))
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self.transport.write_eof()


def protocol_factory(connections: Connections) -> Any:
    """Returns a factory of protocols for each connection; called by uvicorn."""

    def make(
        config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None
    ) -> Protocol:
        return Protocol(connections, config, server_state, app_state, _loop)

    return make
