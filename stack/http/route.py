"""The routes of the server, over HTTP (not part of the Llama Stack specification; existing clients call it)."""

from __future__ import annotations

from litestar import Controller
from litestar.response.base import ASGIResponse

from schemas.api.route import ListRoutesResponse, RouteInfo
from stack.http.answer import json_answer
from stack.http.endpoint import serves
from stack.http.services import Services
from stack.http.spec.document import OPERATIONS

OWN = "inline::replaystack"


class RouteController(Controller):
    @serves("list_routes")
    async def listing(self, services: Services) -> ASGIResponse:
        shields = [f"inline::{kind}" for kind in services.safety.kinds]
        listed = [
            RouteInfo(
                route=one.path,
                method=one.method.upper(),
                provider_types=shields if one.id in ("run_shield", "create_moderation") else [OWN],
            )
            for one in OPERATIONS
            if not one.refused
        ]
        return json_answer(ListRoutesResponse(listed))
