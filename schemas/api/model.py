"""Models, as `GET /v1/models` lists them (not part of the Llama Stack specification; existing clients call it)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Model(Struct, frozen=True, kw_only=True):
    """A model. `identifier` is `<provider_id>/<provider_resource_id>`; `id`, `object`, `created` and
    `owned_by` describe the same model in the OpenAI format. `metadata` says how a model differs from what its
    name suggests."""

    identifier: str
    provider_id: str
    provider_resource_id: str
    type: str = "model"
    model_type: str = "llm"
    api_model_type: str = "llm"
    metadata: dict[str, Any] = {}
    id: str
    object: str = "model"
    created: int = 0
    owned_by: str


class ListModelsResponse(Struct, frozen=True):
    data: list[Model]


class OpenAIModel(Struct, frozen=True):
    """A model in the OpenAI format only. `created` is in seconds since 1970, 0 if unknown."""

    id: str
    object: str
    created: int
    owned_by: str


class OpenAIListModelsResponse(Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: list[OpenAIModel]
