"""Models over HTTP (not part of the Llama Stack specification; existing clients call it)."""

from __future__ import annotations

from litestar import Controller
from litestar.response.base import ASGIResponse

from schemas.api.model import ListModelsResponse, Model, OpenAIListModelsResponse, OpenAIModel
from stack.errors import NotFound, NotOffered
from stack.http.answer import json_answer
from stack.http.endpoint import serves
from stack.http.path import id_of
from stack.http.services import Services

REMEDY = (
    "Models are not registered at run time: name their server in the settings (an [[inference]] table, or "
    "OPENAI_BASE_URL) and each of its models is there as <provider>/<model>."
)


class ModelController(Controller):
    @serves("list_models")
    async def listing(self, services: Services) -> ASGIResponse:
        return json_answer(ListModelsResponse(await _all(services)))

    @serves("list_openai_models")
    async def openai_listing(self, services: Services) -> ASGIResponse:
        listed = [OpenAIModel(one.id, one.object, one.created, one.owned_by) for one in await _all(services)]
        return json_answer(OpenAIListModelsResponse(data=listed))

    @serves("get_model")
    async def show(self, model_id: str, services: Services) -> ASGIResponse:
        """Finds a model by identifier, or by a bare name that only one provider has."""
        name = id_of(model_id)
        listed = await _all(services)
        found = [one for one in listed if one.identifier == name]
        found = found or [one for one in listed if one.provider_resource_id == name]
        if len(found) != 1:
            raise NotFound(_problem(name, [one.identifier for one in found]))
        return json_answer(found[0])

    @serves("register_model")
    async def register(self) -> ASGIResponse:
        raise NotOffered(REMEDY)

    @serves("unregister_model")
    async def unregister(self, model_id: str) -> ASGIResponse:
        raise NotOffered(REMEDY)


async def _all(services: Services) -> list[Model]:
    return [*await services.models.list(), *services.reranking.rerankers.models()]


def _problem(name: str, found: list[str]) -> str:
    if found:
        return f"The model name {name!r} is ambiguous. Say which one is meant: {', '.join(found)}."
    return f"There is no model {name!r}. GET /v1/models lists what there is."
