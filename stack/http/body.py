"""Reads request bodies: content type, JSON, and errors that name the field, the problem and the remedy."""

from __future__ import annotations

import functools
import re
from typing import Any, TypeVar

import msgspec
from litestar import Request

from stack.domain.near import nearest
from stack.errors import Invalid, UnsupportedMediaType
from stack.off_loop import LARGE_JSON_BYTES, off_loop_if
from stack.services.requests.caller import Caller
from stack.services.requests.once import Post

T = TypeVar("T")

JSON = "application/json"

HINTS = {
    "tools": "use `toolgroups` for tools that the server runs and `client_tools` for tools that you run",
}

_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `(.*)`)?$", re.DOTALL)
_PLACED = re.compile(r"^(.*?)(?: - at `(.*)`)?$", re.DOTALL)


async def read_json(request: Request[Any, Any, Any], type: type[T]) -> tuple[T, bytes]:
    """Returns the decoded body and its bytes. Raises UnsupportedMediaType and Invalid."""
    body = await body_of(request)
    return await decoded(body, type), body


async def decoded(body: bytes, type: type[T]) -> T:
    """Decodes the body; a large one is decoded in a thread. Raises Invalid."""
    return await off_loop_if(len(body) > LARGE_JSON_BYTES, decode, body, type)


async def read_optional(request: Request[Any, Any, Any], type: type[T]) -> tuple[T | None, bytes]:
    """Like `read_json`, for an optional body; returns None if there is none."""
    body = await _whole(request)
    if not body:
        return None, b""
    _check_media_type(request)
    return await decoded(body, type), body


async def body_of(request: Request[Any, Any, Any], media_types: tuple[str, ...] = (JSON,)) -> bytes:
    """Returns the body of a request that requires one, of the first of these types. Raises UnsupportedMediaType and
    Invalid."""
    body = await _whole(request)
    _check_media_type(request, media_types)
    if not body:
        takes = "a JSON object" if media_types[0] == JSON else media_types[0]
        raise Invalid(f"The request has no body; it takes {takes}.")
    return body


async def _whole(request: Request[Any, Any, Any]) -> bytes:
    # Not `request.body()`: it would keep the body in memory while the response is streamed.
    return b"".join([part async for part in request.stream()])


def _check_media_type(request: Request[Any, Any, Any], media_types: tuple[str, ...] = (JSON,)) -> None:
    media_type = request.headers.get("content-type", media_types[0]).partition(";")[0].strip().lower()
    if media_type not in media_types and not media_type.endswith("+json"):
        raise UnsupportedMediaType(f"Content-Type is {media_type!r}; send the body as {media_types[0]}.")


def decode(body: bytes, type: type[T]) -> T:
    decoder: msgspec.json.Decoder[T] = _decoder(type)  # type: ignore[arg-type]
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Invalid(_explained(str(error), type)) from None
    except msgspec.DecodeError as error:
        raise Invalid(f"The body is not valid JSON: {error}.") from None
    except UnicodeDecodeError as error:
        raise Invalid(f"The body is not valid UTF-8 at byte {error.start}.") from None
    except RecursionError:
        raise Invalid("The body is nested too deeply.") from None


@functools.cache
def _decoder(type: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type)


def _explained(message: str, type: Any) -> str:
    unknown = _UNKNOWN.match(message)
    if unknown is not None:
        field, place = unknown.group(1), _path(unknown.group(2))
        where = f"{place}.{field}" if place else field
        return f"{where[:200]} is not a known field; {_remedy(field, type)}."
    problem, place = _PLACED.match(message).groups()  # type: ignore[union-attr]
    return f"{_path(place) or 'the body'}: {problem}."


def _path(place: str | None) -> str:
    return (place or "").removeprefix("$").removeprefix(".")


def _remedy(field: str, type: Any) -> str:
    if field in HINTS:
        return HINTS[field]
    known = _fields(type)
    if near := nearest(field, known):
        return f"did you mean `{near}`? Leave it out otherwise"
    return "leave it out"


@functools.cache
def _fields(type: Any) -> tuple[str, ...]:
    """Returns the names of all fields that a body of this type may have, at any depth."""
    names: set[str] = set()
    seen: set[int] = set()

    def visit(info: Any) -> None:
        if id(info) in seen:
            return
        seen.add(id(info))
        if getattr(info, "tag", None) is not None:
            names.add(info.tag_field)
        for field in getattr(info, "fields", ()):
            names.add(field.encode_name)
            visit(field.type)
        for attribute in ("item_type", "value_type"):
            if hasattr(info, attribute):
                visit(getattr(info, attribute))
        for branch in getattr(info, "types", ()):
            visit(branch)

    visit(msgspec.inspect.type_info(type))
    return tuple(sorted(names))


def path_of(request: Request[Any, Any, Any]) -> str:
    """Returns the path. Not `request.url.path`: Litestar makes a whole URL for it, in 60 us."""
    return request.scope["path"]


def page_of(request: Request[Any, Any, Any]) -> tuple[int, int | None]:
    """Returns `start_index` (>= 0) and `limit` (None for all). Raises Invalid."""
    start = integer_of(request, "start_index", 0)
    limit = integer_of(request, "limit", -1)
    if start < 0:
        raise Invalid(f"start_index is {start}; it must be 0 or more.")
    if limit < -1:
        raise Invalid(f"limit is {limit}; it must be 0 or more, or -1 for all.")
    return start, None if limit == -1 else limit


def integer_of(request: Request[Any, Any, Any], name: str, default: int) -> int:
    """Returns the integer of a query parameter. Raises Invalid."""
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise Invalid(f"{name} is {text[:40]!r}; it must be a whole number.")
    return int(text)


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    state = request.scope["state"]
    return Caller(
        actor=state.get("actor", ""),
        trace_id=state.get("trace_id", ""),
        traceparent=state.get("traceparent", ""),
        tracestate=state.get("tracestate", ""),
    )


def post_of(request: Request[Any, Any, Any], body: bytes) -> Post:
    """Returns the parts of the request that identify a repetition."""
    retry = request.headers.get("x-stainless-retry-count", "0")
    return Post(
        actor=request.scope["state"].get("actor", ""),
        path=request.scope["path"],
        body=body,
        key=request.headers.get("idempotency-key", ""),
        retry=int(retry) if retry.isascii() and retry.isdigit() and len(retry) < 10 else 0,
    )
