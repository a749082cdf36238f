"""Vector databases, as `GET /v1/vector-dbs` lists them (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class VectorDB(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A store of embedded chunks."""

    identifier: str
    provider_id: str
    type: Literal["vector_db"]
    embedding_model: str
    embedding_dimension: int
    provider_resource_id: str | None = None


class ListVectorDBsResponse(Struct, frozen=True):
    data: list[VectorDB]
