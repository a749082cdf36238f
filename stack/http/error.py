"""Converts every error to a response with the contract's `Error` body; no other module does.

On paths of OpenAI's API the body has OpenAI's format: its clients read `error.message`. On those of Jaeger's API it has
Jaeger's.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)

from schemas.api.chat_completion import OpenAIError, OpenAIErrorResponse
from schemas.api.error import Error
from schemas.api.jaeger import JaegerError, JaegerFailure
from stack.domain.near import nearest_path
from stack.errors import InternalError, Invalid, MethodNotAllowed, NotFound, ReplaystackError, of_status
from stack.http.as_of import POSITION
from stack.http.body_limit import BodyRefused
from telemetry.query.errors import QueryInvalid

logger = logging.getLogger("replaystack.http")

Headers = list[tuple[bytes, bytes]]
Handler = Callable[[Request[Any, Any, Any], Any], Response[bytes]]

LEFT = "client_left"
"""Key in `scope["state"]`: the client disconnected before its request was complete."""

INTERNAL_DETAIL = (
    "The server failed to answer this request. Its log has the reason, by the x-trace-id of this answer."
)

_OPENAI_PATH = re.compile(
    r"/v1/(openai|assistants|audio|batches|chat|chatkit|completions|containers|conversations|embeddings|evals|files|"
    r"fine_tuning|images|moderations|organization|realtime|responses|skills|threads|uploads|vector_stores|videos)(/|$)"
)
"""The paths of OpenAI's API, including unsupported ones. `/v1/models` is not included: it is also Llama
Stack's."""

# Existing clients retry requests twice on these statuses by default, which would not help.
_FINAL = frozenset((409, 413, 500, 501))
_LATER = frozenset((429, 503))
_RETRY_AFTER_S = (1, 60)
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

_JAEGER = "/jaeger/"

_encode = msgspec.json.Encoder().encode


class NoRoute(NotFound):
    """The path of a request does not exist."""


def error_response_parts(error: Exception, path: str = "") -> tuple[int, Headers, bytes]:
    """Returns status, headers and body of the error response to a request for `path`. An error that is not a
    ReplaystackError becomes a 500 without internal details.

    `x-should-retry: false` is sent with 409, 413, 500 and 501, and with errors that have
    `should_retry=False`; `should_retry=True` omits it. 429 and 503 have `Retry-After`, 1 to 60 seconds.
    """
    if not isinstance(error, ReplaystackError):
        error = InternalError(INTERNAL_DETAIL)
    if _OPENAI_PATH.match(path):
        body = openai_error_body(error)
    elif path.startswith(_JAEGER):
        body = _jaeger_body(error)
    else:
        body = _body(Error(error.status, error.title, error.detail, error.instance))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    final = error.status in _FINAL if error.should_retry is None else not error.should_retry
    if final:
        headers.append((b"x-should-retry", b"false"))
    if error.status in _LATER or error.retry_after is not None:
        least, most = _RETRY_AFTER_S
        headers.append((b"retry-after", b"%d" % min(max(error.retry_after or least, least), most)))
    return error.status, headers, body


def exception_handlers() -> dict[type[Exception] | int, Handler]:
    """Returns the handlers for errors inside the application.

    An error of msgspec is not the caller's here: bodies are decoded in `body.py`, so it concerns stored data.
    """
    return {
        ReplaystackError: _known,
        QueryInvalid: lambda request, error: _answer(request, Invalid(error.detail)),
        HTTPException: _framework,
        Exception: _unexpected,
    }


def _known(request: Request[Any, Any, Any], error: ReplaystackError) -> Response[bytes]:
    if error.status == 500:
        logger.error("%s %s: %s", request.method, request.scope["path"], error.detail, exc_info=error)
    position = request.scope["state"].get(POSITION)
    if position is not None and isinstance(error, NotFound):
        error = NotFound(
            f"{error.detail} This is what was at position {position} of the log, which as_of names."
        )
    return _answer(request, error)


def _framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    match error:
        case NotFoundException():
            return _answer(request, NoRoute(_no_route(request)))
        case MethodNotAllowedException():
            allowed = (error.headers or {}).get("allow", "")
            detail = f"{request.scope['path'][:200]} does not take {request.method}; it takes {allowed}."
            return _answer(request, MethodNotAllowed(detail), {"allow": allowed})
        case ValidationException():
            return _answer(request, Invalid(_violations(error)))
    if error.status_code >= 500:
        return _unexpected(request, error)
    refusal = of_status(error.status_code, f"{error.detail}.")
    if refusal.status != error.status_code:
        phrase = HTTPStatus(error.status_code).phrase
        refusal = Invalid(f"{phrase}: {error.detail}.")
    return _answer(request, refusal, error.headers)


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    if not (request.scope["state"].get(LEFT) or isinstance(error, BodyRefused)):
        logger.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    return _answer(request, error)


def _answer(
    request: Request[Any, Any, Any], error: Exception, extra: Mapping[str, str] | None = None
) -> Response[bytes]:
    status, headers, body = error_response_parts(error, request.scope["path"])
    named = {name.decode(): value.decode() for name, value in headers} | dict(extra or {})
    return Response(body, status_code=status, headers=named, media_type="application/json")


def _no_route(request: Request[Any, Any, Any]) -> str:
    path = request.scope["path"][:200]
    if _OPENAI_PATH.match(path):
        return (
            f"{request.method} {path} is not served here. Of OpenAI's API there are POST /v1/chat/completions, "
            "/v1/completions and /v1/embeddings, and GET /v1/models."
        )
    near = nearest_path(path, sorted({route.path_format for route in request.app.routes}))
    hint = f" The nearest path is {near}." if near else ""
    return f"There is nothing at {path}.{hint}"


def _violations(error: ValidationException) -> str:
    found = error.extra if isinstance(error.extra, list) else []
    named = [
        f"{item.get('key', item.get('source', 'the request'))}: {item.get('message', 'is not valid')}"
        for item in found
        if isinstance(item, dict)
    ]
    return "; ".join(named) + "." if named else f"{error.detail}."


def openai_error_body(error: ReplaystackError) -> bytes:
    """Returns the error in OpenAI's format."""
    kind = _OPENAI_TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error")
    code = None
    if error.status == 404:
        code = "unknown_url" if isinstance(error, NoRoute) else "model_not_found"
    detail = error.detail.encode("utf-8", "replace").decode()
    return _encode(OpenAIErrorResponse(OpenAIError(detail, kind, code=code)))


def _jaeger_body(error: ReplaystackError) -> bytes:
    """Returns the error in the envelope of Jaeger's query API."""
    detail = error.detail.encode("utf-8", "replace").decode()
    return _encode(JaegerFailure(errors=[JaegerError(code=error.status, msg=detail)]))


def _body(error: Error) -> bytes:
    try:
        return _encode(error)
    except UnicodeEncodeError:
        # The detail quotes a lone surrogate of the request.
        clean = error.detail.encode("utf-8", "replace").decode()
        return _encode(Error(error.status, error.title, clean, error.instance))
