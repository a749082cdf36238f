"""Health and version over HTTP (not part of the Llama Stack specification)."""

from __future__ import annotations

from litestar import Controller
from litestar.response.base import ASGIResponse
from msgspec import UNSET

from schemas.api.health import HealthInfo, VersionInfo
from stack.http.answer import json_answer
from stack.http.endpoint import serves
from stack.http.services import Services
from stack.version import VERSION


class HealthController(Controller):
    @serves("get_health")
    async def health(self, services: Services) -> ASGIResponse:
        return json_answer(HealthInfo(detail=services.server_state.trouble() or UNSET))

    @serves("get_version")
    async def version(self) -> ASGIResponse:
        return json_answer(VersionInfo(VERSION))
