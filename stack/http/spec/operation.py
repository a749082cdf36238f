"""The description of one operation, and the responses that all operations share."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from schemas.api.error import Error
from stack.http.spec.components import Components, Schema

PATH_PARAMETERS = {
    "agent_id": "The id that the agent got when it was created.",
    "session_id": "The id that the session got when it was created.",
    "turn_id": "The id of the turn, from its answer or the first frame of its stream.",
    "step_id": "The id of the step, from the turn or its stream.",
    "model_id": "A model's identifier, `<provider>/<model>`, or a bare name that only one provider has.",
    "provider_id": "The provider's id.",
    "identifier": "The shield's identifier.",
    "tool_name": "The tool's name.",
    "toolgroup_id": "The toolgroup's identifier.",
    "scoring_fn_id": "The scoring function's identifier.",
    "vector_db_id": "The vector database's identifier.",
    "dataset_id": "The dataset's id; it may hold slashes.",
    "benchmark_id": "The benchmark's id; it may hold slashes.",
    "service": "The name of the service; it may hold slashes.",
    "trace_id": "The trace's id, 32 hexadecimal digits.",
    "span_id": "The span's id, 16 hexadecimal digits.",
    "metric_name": "The metric's name; it may hold slashes.",
    "approval_id": "The id of the decision, from the list of approvals.",
    "effect_key": "The key of the effect, 64 hexadecimal digits.",
    "erased_id": "The id of the agent, session, dataset or benchmark that was deleted; it may hold slashes.",
    "job_uuid": "The id with which the training job was created.",
    "job_id": "The job's number within its benchmark, or the id of rows that were evaluated at once.",
}

EXTENSION = "x-not-in-specification"
JSON, LINES = "application/json", "application/jsonl"

# Name in `components.responses`, status, title and an example of the detail.
_ERRORS = (
    ("BadRequest400", 400, "Bad Request", "agent_config.model: Expected `str`, got `int`."),
    ("TooManyRequests429", 429, "Too Many Requests", "The model server is busy; try again in 2 s."),
    (
        "InternalServerError500",
        500,
        "Internal Server Error",
        "The server failed to answer this request. Its log has the reason, by the x-trace-id of this answer.",
    ),
    ("DefaultError", 404, "Not Found", "There is no agent '...'. List the agents to see their ids."),
)
_ERROR_TEXTS = {
    "BadRequest400": "The request is wrong: `detail` names the field, its problem and the remedy.",
    "TooManyRequests429": "Too much at once: `Retry-After` says when to come back.",
    "InternalServerError500": "The server failed. Nothing in the request is at fault.",
    "DefaultError": "Any other failure, under its true status: 401, 403, 404, 405, 409, 413, 415, 501-504.",
}


class Parameter(Struct, frozen=True, kw_only=True):
    """A query or header parameter. `kind` is its type. `extension` marks one that the contract's operation
    lacks."""

    name: str
    kind: Any
    description: str
    place: Literal["query", "header"] = "query"
    extension: bool = False
    required: bool = False


PAGE = (
    Parameter(name="start_index", kind=int, description="How many to pass over, 0 or more; 0 where absent."),
    Parameter(name="limit", kind=int, description="How many to return; all where absent or -1."),
)

AS_OF = Parameter(
    name="as_of",
    kind=str,
    description="Answer as of this position of the log, or this time (RFC 3339); the present where absent. The header "
    "`x-replaystack-position` names the position. Deleted content is never shown.",
    extension=True,
)


LAST_EVENT_ID = Parameter(
    name="Last-Event-ID",
    kind=str,
    description="The id of the last frame that was seen: the stream continues after it.",
    place="header",
)


class Operation(Struct, frozen=True, kw_only=True):
    """One operation. `answer` is the type of the JSON response, None for an empty one; `frames` that of a
    streamed one; `failures` that of an error response, if it is not the contract's.

    An operation without `answer` and `frames` responds with 200 and an empty body, unless it is `refused`:
    then it always responds with 501.
    """

    method: Literal["get", "post", "delete"]
    path: str
    id: str
    tag: str
    summary: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    body_type: str = JSON
    answer: Any = None
    answer_type: str = JSON
    frames: Any = None
    says: str = "Done."
    refused: bool = False
    failures: Any = None


def described(operation: Operation, components: Components) -> Schema:
    """Returns OpenAPI's operation object."""
    made: Schema = {
        "tags": [operation.tag],
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.description or operation.summary,
        "parameters": [*_in_path(operation.path), *(_given(one, components) for one in operation.parameters)],
    }
    if operation.body is not None:
        content = {operation.body_type: {"schema": components.of(operation.body)}}
        made["requestBody"] = {"required": True, "content": content}
    if operation.refused:
        made["responses"] = {"501": {"$ref": "#/components/responses/NotOffered501"}}
    else:
        made["responses"] = {"200": _success(operation, components)}
    if any(parameter.name == LAST_EVENT_ID.name for parameter in operation.parameters):
        made["responses"]["204"] = {"description": "The stream has ended, and nothing follows that id."}
    if operation.failures is not None:
        content = {"application/json": {"schema": components.of(operation.failures)}}
        made["responses"]["default"] = {"description": _ERROR_TEXTS["DefaultError"], "content": content}
        return made
    for name, status, _, _ in _ERRORS:
        key = "default" if name == "DefaultError" else str(status)
        made["responses"][key] = {"$ref": f"#/components/responses/{name}"}
    return made


def _in_path(path: str) -> list[Schema]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH_PARAMETERS[name],
            "schema": {"type": "string"},
        }
        for name in names
    ]


def _given(parameter: Parameter, components: Components) -> Schema:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.description,
        "schema": components.of(parameter.kind),
    } | ({EXTENSION: True} if parameter.extension else {})


def _success(operation: Operation, components: Components) -> Schema:
    content: Schema = {}
    if operation.answer is not None:
        content[operation.answer_type] = {"schema": components.of(operation.answer)}
    if operation.frames is not None:
        content["text/event-stream"] = {"schema": components.of(operation.frames)}
    return {"description": operation.says} | ({"content": content} if content else {})


def shared_responses(components: Components) -> Schema:
    """Returns the error responses to which operations refer."""
    refused = (
        "NotOffered501",
        501,
        "Not Implemented",
        "Models are not registered at run time: name their server in the settings.",
    )
    texts = _ERROR_TEXTS | {"NotOffered501": "This is not done by request; `detail` says how it is done."}
    return {
        name: {
            "description": texts[name],
            "content": {
                "application/json": {
                    "schema": components.of(Error),
                    "example": {"status": status, "title": title, "detail": detail},
                }
            },
        }
        for name, status, title, detail in (*_ERRORS, refused)
    }
