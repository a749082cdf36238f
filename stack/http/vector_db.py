"""Vector databases over HTTP (not part of the Llama Stack specification): there are none, and clients that ask get to know it."""

from __future__ import annotations

from litestar import Controller, delete, get, post
from litestar.response.base import ASGIResponse

from schemas.api.vector_db import ListVectorDBsResponse
from stack.errors import NotFound, NotOffered
from stack.http.answer import json_answer
from stack.http.path import id_of

REMEDY = "This server keeps no vector databases: give a turn its documents in `documents`."


class VectorDBController(Controller):
    path = "/vector-dbs"

    @get()
    async def listing(self) -> ASGIResponse:
        return json_answer(ListVectorDBsResponse([]))

    @get("/{vector_db_id:path}")
    async def show(self, vector_db_id: str) -> ASGIResponse:
        raise NotFound(f"There is no vector database {id_of(vector_db_id)!r}. {REMEDY}")

    @post(status_code=200)
    async def register(self) -> ASGIResponse:
        raise NotOffered(REMEDY)

    @delete("/{vector_db_id:path}", status_code=200)
    async def unregister(self, vector_db_id: str) -> ASGIResponse:
        raise NotOffered(REMEDY)
