"""Playback of sessions over HTTP (not part of the Llama Stack specification)."""

from __future__ import annotations

import math
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from stack.domain.stream_position import SESSION_BEGINNING, SessionPosition, parse_session
from stack.errors import Invalid
from stack.http.endpoint import serves
from stack.http.event_stream import EventStream, no_more_events, speed_of
from stack.http.services import Services

MAX_PAUSE_S = 2.0
"""Default of the longest pause between turns that is played, in seconds."""


class SessionFramesController(Controller):
    @serves("get_session_frames")
    async def page(
        self, request: Request[Any, Any, Any], agent_id: str, session_id: str, services: Services
    ) -> ASGIResponse:
        after = parse_session(request.query_params.get("after"), "after")
        body = await services.playback.page(agent_id, session_id, after, services.settings.max_page_bytes)
        return ASGIResponse(body=body, media_type="application/json")

    @serves("play_session")
    async def stream(
        self, request: Request[Any, Any, Any], agent_id: str, session_id: str, services: Services
    ) -> ASGIApp:
        """Replays the turns of the session and follows the running one."""
        speed, pause_s = speed_of(request), _pause_s_of(request)
        after = _after(request)
        pause_ms = pause_s * 1000 * speed if speed else 0.0
        follower = await services.playback.follow(agent_id, session_id, after, pause_ms)
        if after != SESSION_BEGINNING and await follower.is_over():
            return no_more_events({})
        long = services.long_streams if speed else None
        return EventStream(follower, {}, services.settings.keep_alive_s, speed, long)


def _after(request: Request[Any, Any, Any]) -> SessionPosition:
    """Returns where to continue. A client that reconnects sends the header in addition to the query of its first
    request."""
    if last := request.headers.get("last-event-id"):
        return parse_session(last)
    return parse_session(request.query_params.get("after"), "after")


def _pause_s_of(request: Request[Any, Any, Any]) -> float:
    """Returns the longest pause between turns, in seconds. Raises Invalid."""
    text = request.query_params.get("max_pause_s", str(MAX_PAUSE_S))
    if text == "all":
        return math.inf
    try:
        pause_s = float(text)
    except ValueError:
        pause_s = -1.0
    if not 0 <= pause_s < math.inf:
        raise Invalid(
            f"max_pause_s is {text[:40]!r}; it must be a number of seconds, 0 or more, or all to keep every pause."
        )
    return pause_s
