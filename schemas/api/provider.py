"""Providers, as `GET /v1/providers` lists them (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ProviderInfo(Struct, frozen=True, kw_only=True):
    """The provider of one part of the API. `config` contains no secrets; `health` is `{status, message?}`
    with the status OK or Error; the message names the problem and the remedy."""

    api: str
    provider_id: str
    provider_type: str
    config: dict[str, Any]
    health: dict[str, Any]


class ListProvidersResponse(Struct, frozen=True):
    data: list[ProviderInfo]
