"""Routes of the server, as `GET /v1/inspect/routes` lists them (not part of the Llama Stack specification)."""

from __future__ import annotations

from msgspec import Struct


class RouteInfo(Struct, frozen=True, kw_only=True):
    """`provider_types` are those of the providers that the route may use."""

    route: str
    method: str
    provider_types: list[str]


class ListRoutesResponse(Struct, frozen=True):
    data: list[RouteInfo]
