"""Decisions that turns wait for, over HTTP (not part of the Llama Stack specification)."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Controller, Request
from litestar.response.base import ASGIResponse

from schemas.api.approval import DecideRequest
from schemas.api.page import PaginatedResponse
from stack.http.answer import json_answer
from stack.http.body import caller_of, page_of, post_of, read_json
from stack.http.endpoint import serves
from stack.http.services import Services
from stack.services.requests.once import Prior


class ApprovalController(Controller):
    @serves("list_approvals")
    async def page(self, request: Request[Any, Any, Any], services: Services) -> ASGIResponse:
        start, limit = page_of(request)
        status = request.query_params.get("status", "")
        data, more = await services.approvals.page(status, start, limit, services.settings.max_page_bytes)
        return json_answer(PaginatedResponse(data, more, request.url.path))

    @serves("get_approval")
    async def show(self, approval_id: str, services: Services) -> ASGIResponse:
        return json_answer(await services.approvals.show(approval_id))

    @serves("decide_approval")
    async def decide(
        self, request: Request[Any, Any, Any], approval_id: str, services: Services
    ) -> ASGIResponse:
        data, body = await read_json(request, DecideRequest)
        decide = partial(services.approvals.decide, approval_id, data, caller_of(request))
        decided = await services.once.perform(post_of(request, body), decide)
        if isinstance(decided, Prior):
            decided = await services.approvals.show(approval_id)
        return json_answer(decided)
