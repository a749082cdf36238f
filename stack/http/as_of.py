"""The parameter `as_of`: a response shows what was at an earlier position of the log, and names the position."""

from __future__ import annotations

from typing import Any

from litestar import Request

from stack.http.services import Services

POSITION = "position"
"""Key in `scope["state"]`: the position for which the request is answered. The edge sends it as a header."""
POSITION_HEADER = b"x-replaystack-position"


async def as_of_in(request: Request[Any, Any, Any], services: Services) -> int | None:
    """Returns the position of the log that the query names, or that was the last one at the time that it names; None for the
    present. Raises Invalid."""
    text = request.query_params.get("as_of")
    if text is None:
        return None
    position = await services.positions.of(text)
    request.scope["state"][POSITION] = position
    return position
