"""The events of the log over HTTP (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from stack.errors import Invalid
from stack.http.endpoint import serves
from stack.http.event_stream import EventStream
from stack.http.services import Services
from stack.services.log_events import LogEvents

LIMIT = 1_000
MAX_LIMIT = 10_000


class EventController(Controller):
    @serves("list_events")
    async def events(self, request: Request[Any, Any, Any], services: Services) -> ASGIApp:
        """A page of events, or with `follow` a stream that does not end."""
        log = services.log_events
        query = request.query_params
        names = [name for value in query.getall("name", []) for name in value.split(",") if name]
        wanted = log.filter(query.get("stream", ""), names)
        if _follows(request):
            if "limit" in query:
                raise Invalid(
                    "limit is for pages; a stream that follows the log has no end. Leave one of both out."
                )
            follower = log.follow(wanted, _after(request, log))
            return EventStream(follower, {}, services.settings.keep_alive_s, long=services.long_streams)
        limit = _limit(request)
        body = await log.page(wanted, _after(request, log), limit, services.settings.max_page_bytes)
        return ASGIResponse(body=body, media_type="application/json")


def _after(request: Request[Any, Any, Any], log: LogEvents) -> int:
    """Returns the position to continue after. A client that reconnects sends the header in addition to the query of its
    first request."""
    last = request.headers.get("last-event-id")
    name, text = ("Last-Event-ID", last) if last else ("after", request.query_params.get("after", "0"))
    if text == "end":
        return log.head()
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Invalid(
            f"{name} is {text[:40]!r}; it must be the position of an event, a whole number, 0 for the beginning, or end."
        )
    return log.check_position(int(text), name)


def _follows(request: Request[Any, Any, Any]) -> bool:
    text = request.query_params.get("follow", "false")
    if text not in ("true", "false"):
        raise Invalid(f"follow is {text[:40]!r}; it must be true or false.")
    return text == "true"


def _limit(request: Request[Any, Any, Any]) -> int:
    text = request.query_params.get("limit", str(LIMIT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(
            f"limit is {text[:40]!r}; it must be a whole number from 1 to {MAX_LIMIT}. Continue with `after`."
        )
    return limit
