"""Receives OTLP over HTTP: traces, metrics and logs, in protobuf and JSON.

Senders expect the responses of the OpenTelemetry protocol, so errors are `google.rpc.Status` in the form of
the request. If there is no room, the status is 503 instead of 429, because some senders drop data that was
refused with 429.
"""

from __future__ import annotations

import logging
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse
from msgspec import Struct

from stack.errors import ReplaystackError
from stack.http.body_limit import drain
from stack.http.endpoint import serves
from stack.http.services import Services
from telemetry.log.port import Compression, Content, Encoding, Signal, TelemetryLogError
from telemetry.wire import response
from telemetry.wire.decoded import Decoded
from telemetry.wire.refusals import IntakeFull, Malformed, TooLarge

logger = logging.getLogger("replaystack.telemetry")

MAX_BYTES = 20 * 2**20
"""Maximum size of a body in bytes, both as sent and after decompression."""
RETRY_AFTER_S = 5
"""Delay in seconds before a retry if writing to disk fails."""
PATHS = frozenset(("/v1/traces", "/v1/metrics", "/v1/logs"))

_ENCODINGS: dict[str, Encoding] = {
    "application/x-protobuf": "protobuf",
    "application/protobuf": "protobuf",
    "application/json": "json",
}
_COMPRESSIONS: dict[str, Compression] = {
    "": "identity",
    "identity": "identity",
    "gzip": "gzip",
    "x-gzip": "gzip",
    "deflate": "deflate",
}
_CODES = {
    408: response.DEADLINE_EXCEEDED,
    413: response.RESOURCE_EXHAUSTED,
    503: response.UNAVAILABLE,
}
_MEDIA_TYPES: dict[Encoding, str] = {"protobuf": "application/x-protobuf", "json": "application/json"}


def refusal_body(error: ReplaystackError, content_type: str) -> tuple[bytes, bytes] | None:
    """Returns media type and body of a refusal that tells senders to wait or to send less; None for other
    errors."""
    code = _CODES.get(error.status)
    if code is None:
        return None
    encoding = _ENCODINGS.get(content_type.partition(";")[0].strip().lower(), "json")
    return _MEDIA_TYPES[encoding].encode(), response.status(encoding, code, error.detail)


class OtlpController(Controller):
    @serves("export_traces")
    async def traces(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        return await _take("traces", request, services)

    @serves("export_metrics")
    async def metrics(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        return await _take("metrics", request, services)

    @serves("export_logs")
    async def logs(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        return await _take("logs", request, services)


async def unknown_query(request: Request[Any, Any, Any], problem: str) -> ASGIResponse:
    """Responds to a request with an unknown query parameter."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    await drain(request.receive)
    return _Refusal(400, response.INVALID_ARGUMENT, problem).answer(_ENCODINGS.get(media_type, "json"))


class _Refusal(Struct, frozen=True):
    status: int
    code: int
    message: str
    retry_after_s: int = 0

    def answer(self, encoding: Encoding) -> ASGIResponse:
        return ASGIResponse(
            body=response.status(encoding, self.code, self.message),
            status_code=self.status,
            media_type=_MEDIA_TYPES[encoding],
            headers={"retry-after": str(self.retry_after_s)} if self.retry_after_s else None,
        )


async def _take(signal: Signal, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = _ENCODINGS.get(media_type)
    coding = request.headers.get("content-encoding", "").strip().lower()
    compression = _COMPRESSIONS.get(coding)
    if encoding is None:
        problem = (
            f"Content-Type is {media_type[:80]!r}; it must be application/x-protobuf or application/json."
        )
    elif compression is None:
        problem = f"Content-Encoding is {coding[:80]!r}; it must be gzip, deflate or absent."
    else:
        return await _taken(Content(signal, encoding, compression), request, services)
    await drain(request.receive)
    return _Refusal(415, response.INVALID_ARGUMENT, problem).answer(encoding or "json")


async def _taken(content: Content, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
    encoding = content.encoding
    try:
        decoded = await _body_taken(content, request, services)
    except Malformed as refusal:
        return _Refusal(400, response.INVALID_ARGUMENT, str(refusal)).answer(encoding)
    except TooLarge as refusal:
        await drain(request.receive)
        return _Refusal(413, response.RESOURCE_EXHAUSTED, str(refusal)).answer(encoding)
    except IntakeFull as refusal:
        await drain(request.receive)
        return _Refusal(503, response.UNAVAILABLE, str(refusal), refusal.retry_after_s).answer(encoding)
    except TelemetryLogError as error:
        logger.error("telemetry is refused: %s", error)
        return _Refusal(503, response.UNAVAILABLE, str(error), RETRY_AFTER_S).answer(encoding)
    body = response.success(content.signal, encoding, decoded)
    return ASGIResponse(body=body, media_type=_MEDIA_TYPES[encoding])


async def _body_taken(content: Content, request: Request[Any, Any, Any], services: Services) -> Decoded:
    """Raises Malformed, TooLarge, IntakeFull, TelemetryLogError, and BodyRefused, which the middleware
    handles."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BYTES:
        raise TooLarge(f"The body has {length} bytes; at most {MAX_BYTES} are accepted. Send less at a time.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BYTES:
            raise TooLarge(f"The body has more than {MAX_BYTES} bytes. Send less at a time.")
        parts.append(part)
    intake = services.telemetry_store.intake
    # Only for received bytes: a sender that stalls must not block others.
    reservation = await intake.reserve(size, content.compression != "identity")
    return await intake.take(content, b"".join(parts), MAX_BYTES, reservation)
