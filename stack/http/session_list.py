"""The sessions of all agents over HTTP (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from projections import session_list
from projections.warehouse.reader import NOW
from stack.errors import Invalid
from stack.http.answer import json_answer
from stack.http.body import integer_of
from stack.http.endpoint import serves
from stack.http.services import Services

LIMIT = 100
MAX_LIMIT = 1_000
MAX_WORDS = 1_000
SORTS = ("created", "active")


class SessionListController(Controller):
    @serves("list_all_sessions")
    async def page(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        found = await services.views.read(("agent", "session", "turn"), session_list.page, _wanted(request))
        return json_answer(found)


def _wanted(request: Request[Any, Any, Any]) -> session_list.Wanted:
    query = request.query_params
    sort = query.get("sort") or SORTS[0]
    if sort not in SORTS:
        raise Invalid(f"sort is {sort[:40]!r}; it must be {' or '.join(SORTS)}.")
    limit = integer_of(request, "limit", LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"limit is {limit}; it must be 1 to {MAX_LIMIT}. Continue with `before`.")
    before = integer_of(request, "before", NOW)
    if before < 0:
        raise Invalid(f"before is {before}; it must be 0 or more.")
    words = query.get("q", "")
    if len(words) > MAX_WORDS:
        raise Invalid(f"q has {len(words)} characters; at most {MAX_WORDS} are searched for.")
    return session_list.Wanted(
        before=before,
        limit=limit,
        is_active=sort == "active",
        agent_id=query.get("agent_id", ""),
        words=words,
    )
