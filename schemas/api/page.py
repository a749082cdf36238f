"""A page of a list (spec: PaginatedResponse)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class PaginatedResponse(Struct, frozen=True):
    """One page. `url` is the path of the request; `has_more` is exact."""

    data: list[Any]
    has_more: bool
    url: str
