"""Shields, as `GET /v1/shields` lists them (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct


class Shield(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A check on the input or output of a turn."""

    identifier: str
    provider_id: str
    type: Literal["shield"]
    provider_resource_id: str | None = None
    params: dict[str, Any] | None = None


class ListShieldsResponse(Struct, frozen=True):
    data: list[Shield]
