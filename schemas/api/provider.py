"""Providers, as `GET /v1/providers` lists them (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ProviderInfo(Struct, frozen=True, kw_only=True):
    """What serves one part of the API. `config` shows no secret; `health` is `{status, message?}` with a status
    of OK or Error, the message saying what is wrong and what to do."""

    api: str
    provider_id: str
    provider_type: str
    config: dict[str, Any]
    health: dict[str, Any]


class ListProvidersResponse(Struct, frozen=True):
    data: list[ProviderInfo]
