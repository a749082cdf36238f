"""Scoring functions over HTTP (beside the contract): what existing clients ask for."""

from __future__ import annotations

from litestar import Controller, delete, get, post
from litestar.response.base import ASGIResponse

from schemas.api.scoring_function import ListScoringFunctionsResponse
from stack.errors import NotFound, NotOffered
from stack.http.answer import json_answer
from stack.http.path import id_of

REMEDY = "Scoring functions are built in and not registered at run time, and this server has none."


class ScoringFunctionController(Controller):
    path = "/scoring-functions"

    @get()
    async def listing(self) -> ASGIResponse:
        return json_answer(ListScoringFunctionsResponse([]))

    @get("/{scoring_fn_id:path}")
    async def show(self, scoring_fn_id: str) -> ASGIResponse:
        raise NotFound(f"There is no scoring function {id_of(scoring_fn_id)!r}; this server has none.")

    @post(status_code=200)
    async def register(self) -> ASGIResponse:
        raise NotOffered(REMEDY)

    @delete("/{scoring_fn_id:path}", status_code=200)
    async def unregister(self, scoring_fn_id: str) -> ASGIResponse:
        raise NotOffered(REMEDY)
