"""Vector databases over HTTP (not part of the Llama Stack specification): always empty, because existing
clients ask."""

from __future__ import annotations

from litestar import Controller
from litestar.response.base import ASGIResponse

from schemas.api.vector_db import ListVectorDBsResponse
from stack.errors import NotFound, NotOffered
from stack.http.answer import json_answer
from stack.http.endpoint import serves
from stack.http.path import id_of

REMEDY = "This server keeps no vector databases: give a turn its documents in `documents`."


class VectorDBController(Controller):
    @serves("list_vector_dbs")
    async def listing(self) -> ASGIResponse:
        return json_answer(ListVectorDBsResponse([]))

    @serves("get_vector_db")
    async def show(self, vector_db_id: str) -> ASGIResponse:
        raise NotFound(f"There is no vector database {id_of(vector_db_id)!r}. {REMEDY}")

    @serves("register_vector_db")
    async def register(self) -> ASGIResponse:
        raise NotOffered(REMEDY)

    @serves("unregister_vector_db")
    async def unregister(self, vector_db_id: str) -> ASGIResponse:
        raise NotOffered(REMEDY)
