"""Vector databases over HTTP (not part of the Llama Stack specification; existing clients call it): the collections of
the settings."""

from __future__ import annotations

from litestar import Controller
from litestar.response.base import ASGIResponse

from schemas.api.vector_db import ListVectorDBsResponse, VectorDB
from stack.errors import NotFound, NotOffered
from stack.http.answer import json_answer
from stack.http.endpoint import serves
from stack.http.path import id_of
from stack.http.services import Services
from stack.providers.retrieval.settings import CollectionSettings

REMEDY = (
    "Vector databases are not registered at run time: define a collection in the settings ([[collections]]), or give a turn "
    "its documents in `documents`."
)
BM25 = "bm25"


class VectorDBController(Controller):
    @serves("list_vector_dbs")
    async def listing(self, services: Services) -> ASGIResponse:
        return json_answer(ListVectorDBsResponse(_all(services)))

    @serves("get_vector_db")
    async def show(self, vector_db_id: str, services: Services) -> ASGIResponse:
        name = id_of(vector_db_id)
        for one in _all(services):
            if one.identifier == name:
                return json_answer(one)
        raise NotFound(f"There is no vector database {name!r}. {REMEDY}")

    @serves("register_vector_db")
    async def register(self) -> ASGIResponse:
        raise NotOffered(REMEDY)

    @serves("unregister_vector_db")
    async def unregister(self, vector_db_id: str) -> ASGIResponse:
        raise NotOffered(REMEDY)


def _all(services: Services) -> list[VectorDB]:
    return [_shown(one.settings) for one in services.collections.collections.values()]


def _shown(settings: CollectionSettings) -> VectorDB:
    return VectorDB(
        identifier=settings.id,
        provider_id="replaystack",
        type="vector_db",
        embedding_model=settings.embedding_model or BM25,
        embedding_dimension=0,
        provider_resource_id=settings.id,
    )
