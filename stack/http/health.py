"""Health and version over HTTP (beside the contract)."""

from __future__ import annotations

from litestar import Controller, get
from litestar.response.base import ASGIResponse

from schemas.api.health import HealthInfo, VersionInfo
from stack import VERSION
from stack.http.answer import json_answer


class HealthController(Controller):
    @get("/health")
    async def health(self) -> ASGIResponse:
        return json_answer(HealthInfo())

    @get("/version")
    async def version(self) -> ASGIResponse:
        return json_answer(VersionInfo(VERSION))
