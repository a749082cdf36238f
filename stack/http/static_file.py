"""Files of the package that browsers load, with the headers that keep them to this server."""

from __future__ import annotations

from collections.abc import Mapping

from litestar.response.base import ASGIResponse
from msgspec import Struct

# A page may load from and connect to this server only, and must not be framed.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class StaticFile(Struct, frozen=True):
    """A file. `packed` is sent to clients that accept gzip; it is empty if compression saves nothing."""

    media_type: str
    body: bytes
    packed: bytes


def file_answer(file: StaticFile, request: Mapping[str, str], more: Mapping[str, str]) -> ASGIResponse:
    """Returns the file as the headers of the request want it, with `HEADERS` and `more`; 304 if the client has it."""
    sent = {**HEADERS, **more}
    if file.packed:
        sent["vary"] = "accept-encoding"
    if "etag" in sent and request.get("if-none-match") == sent["etag"]:
        return ASGIResponse(status_code=304, headers=sent)
    body = file.body
    if file.packed and takes_gzip(request.get("accept-encoding", "")):
        sent["content-encoding"] = "gzip"
        body = file.packed
    return ASGIResponse(body=body, media_type=file.media_type, headers=sent)


def takes_gzip(accepted: str) -> bool:
    """Returns whether an `Accept-Encoding` header accepts gzip (RFC 9110, section 12.5.3)."""
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
