"""Operations that are not part of the Llama Stack specification, but that existing clients call."""

from __future__ import annotations

from schemas.api.erasure import Erasure
from schemas.api.health import HealthInfo, VersionInfo
from schemas.api.model import ListModelsResponse, Model, OpenAIListModelsResponse
from schemas.api.provider import ListProvidersResponse, ProviderInfo
from schemas.api.route import ListRoutesResponse
from schemas.api.scoring_function import ListScoringFunctionsResponse, ScoringFunction
from schemas.api.shield import ListShieldsResponse, Shield
from schemas.api.tool import ListToolGroupsResponse, ListToolsResponse, Tool, ToolGroup
from schemas.api.vector_db import ListVectorDBsResponse, VectorDB
from stack.http.spec import (
    chat_completion,
    decision,
    event,
    fork,
    jaeger,
    otlp,
    safety,
    scoring,
    session_file,
    session_frames,
    session_list,
    sql,
    tool,
)
from stack.http.spec.operation import Operation, Parameter

TAG = "Not part of the Llama Stack specification"


def _listed(path: str, id: str, what: str, answer: type, parameters: tuple[Parameter, ...] = ()) -> Operation:
    return Operation(
        method="get",
        path=path,
        id=f"list_{id}s",
        tag=TAG,
        summary=f"List {what}s.",
        parameters=parameters,
        answer=answer,
        says=f"All {what}s.",
    )


def _shown(path: str, id: str, what: str, answer: type) -> Operation:
    return Operation(
        method="get", path=path, id=f"get_{id}", tag=TAG, summary=f"Read a {what}.", answer=answer, says="It."
    )


def _registered(path: str, key: str, id: str, what: str) -> tuple[Operation, Operation]:
    """Returns the two operations that are replaced by the settings."""
    text = "Always answered 501, with what to do instead."
    return (
        Operation(
            method="post",
            path=path,
            id=f"register_{id}",
            tag=TAG,
            summary=f"Not offered: register a {what} at run time.",
            description=text,
            refused=True,
        ),
        Operation(
            method="delete",
            path=path + key,
            id=f"unregister_{id}",
            tag=TAG,
            summary=f"Not offered: remove a {what} at run time.",
            description=text,
            refused=True,
        ),
    )


def _noun(
    path: str, key: str, id: str, what: str, listing: type, one: type, parameters: tuple[Parameter, ...] = ()
) -> tuple[Operation, Operation]:
    return _listed(path, id, what, listing, parameters), _shown(path + key, id, what, one)


OPERATIONS = (
    Operation(
        method="get",
        path="/v1/health",
        id="get_health",
        tag=TAG,
        summary="Whether the server answers. Needs no key.",
        answer=HealthInfo,
        says="It does.",
    ),
    Operation(
        method="get",
        path="/v1/version",
        id="get_version",
        tag=TAG,
        summary="The server's version.",
        answer=VersionInfo,
        says="The version.",
    ),
    Operation(
        method="get",
        path="/v1alpha/erasures/{erased_id}",
        id="get_erasure",
        tag=TAG,
        summary="Read the receipt of a deletion.",
        description="What was erased after something was deleted, when that was done, and what remains where.",
        answer=Erasure,
        says="The receipt.",
    ),
    *_noun("/v1/models", "/{model_id}", "model", "model", ListModelsResponse, Model),
    *_registered("/v1/models", "/{model_id}", "model", "model"),
    Operation(
        method="get",
        path="/v1/openai/v1/models",
        id="list_openai_models",
        tag=TAG,
        summary="List models in the OpenAI form.",
        answer=OpenAIListModelsResponse,
        says="All models.",
    ),
    *chat_completion.operations(TAG),
    *otlp.operations(TAG),
    *decision.operations(TAG),
    *event.operations(TAG),
    *session_file.operations(TAG),
    *session_frames.operations(TAG),
    *session_list.operations(TAG),
    *fork.operations(TAG),
    *jaeger.operations(TAG),
    *sql.operations(TAG),
    *_noun("/v1/providers", "/{provider_id}", "provider", "provider", ListProvidersResponse, ProviderInfo),
    *_noun("/v1/shields", "/{identifier}", "shield", "shield", ListShieldsResponse, Shield),
    *_registered("/v1/shields", "/{identifier}", "shield", "shield"),
    *safety.operations(TAG),
    Operation(
        method="get",
        path="/v1/inspect/routes",
        id="list_routes",
        tag=TAG,
        summary="List the routes of this server.",
        answer=ListRoutesResponse,
        says="All routes.",
    ),
    *_noun("/v1/toolgroups", "/{toolgroup_id}", "toolgroup", "toolgroup", ListToolGroupsResponse, ToolGroup),
    *_registered("/v1/toolgroups", "/{toolgroup_id}", "toolgroup", "toolgroup"),
    *_noun(
        "/v1/tools",
        "/{tool_name}",
        "tool",
        "tool",
        ListToolsResponse,
        Tool,
        (Parameter(name="toolgroup_id", kind=str, description="Only the tools of this toolgroup."),),
    ),
    *tool.operations(TAG),
    *_noun(
        "/v1/scoring-functions",
        "/{scoring_fn_id}",
        "scoring_function",
        "scoring function",
        ListScoringFunctionsResponse,
        ScoringFunction,
    ),
    *_registered("/v1/scoring-functions", "/{scoring_fn_id}", "scoring_function", "scoring function"),
    *scoring.operations(TAG),
    *_noun(
        "/v1/vector-dbs", "/{vector_db_id}", "vector_db", "vector database", ListVectorDBsResponse, VectorDB
    ),
    *_registered("/v1/vector-dbs", "/{vector_db_id}", "vector_db", "vector database"),
)
