"""Scoring functions, as `GET /v1/scoring-functions` lists them (beside the contract)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct


class ReturnType(Struct, frozen=True):
    """What a function returns, as a type of JSON schema."""

    type: str


class ScoringFunction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Scores what was generated for one row. `params` are those that it uses unless a request gives others."""

    identifier: str
    provider_id: str
    type: Literal["scoring_function"]
    return_type: ReturnType
    metadata: dict[str, Any]
    description: str | None = None
    params: dict[str, Any] | None = None
    provider_resource_id: str | None = None


class ListScoringFunctionsResponse(Struct, frozen=True):
    data: list[ScoringFunction]
