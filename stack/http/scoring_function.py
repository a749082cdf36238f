"""Scoring functions over HTTP (not part of the Llama Stack specification; existing clients call it)."""

from __future__ import annotations

from litestar import Controller
from litestar.response.base import ASGIResponse

from schemas.api.scoring_function import ListScoringFunctionsResponse, ReturnType, ScoringFunction
from stack.errors import NotFound, NotOffered
from stack.http.answer import json_answer
from stack.http.endpoint import serves
from stack.http.path import id_of
from stack.http.services import Services
from stack.providers.scoring.port import Definition

REMEDY = (
    "Scoring functions are built in and not registered at run time. Give a request parameters of its own: a prompt "
    "and patterns for `llm-as-judge::base`, patterns for the `regex_parser` functions."
)


class ScoringFunctionController(Controller):
    @serves("list_scoring_functions")
    async def listing(self, services: Services) -> ASGIResponse:
        return json_answer(
            ListScoringFunctionsResponse(
                [_wire(one, services.scoring.unavailable(one)) for one in services.scoring.functions()]
            )
        )

    @serves("get_scoring_function")
    async def show(self, scoring_fn_id: str, services: Services) -> ASGIResponse:
        name = id_of(scoring_fn_id)
        for one in services.scoring.functions():
            if one.id == name:
                return json_answer(_wire(one, services.scoring.unavailable(one)))
        raise NotFound(
            f"There is no scoring function {name!r}. GET /v1/scoring-functions lists what there is."
        )

    @serves("register_scoring_function")
    async def register(self) -> ASGIResponse:
        raise NotOffered(REMEDY)

    @serves("unregister_scoring_function")
    async def unregister(self, scoring_fn_id: str) -> ASGIResponse:
        raise NotOffered(REMEDY)


def _wire(function: Definition, unavailable: str) -> ScoringFunction:
    return ScoringFunction(
        identifier=function.id,
        provider_id=function.provider_id,
        type="scoring_function",
        # A judge's grades A, B and C are texts; an aggregate over all scores is a number.
        return_type=ReturnType("number"),
        metadata={"unavailable": unavailable} if unavailable else {},
        description=function.description,
        params=function.params,
        provider_resource_id=function.id.replace("::", "-").replace("_", "-").removeprefix("basic-"),
    )
