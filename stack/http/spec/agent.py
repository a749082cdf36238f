"""Description of agents, sessions, turns and steps."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

from schemas.api.agent import (
    Agent,
    AgentConfig,
    AgentCreateResponse,
    AgentTool,
    AgentToolGroupWithArgs,
    AgentUpdateResponse,
    CreateAgentRequest,
    GrammarResponseFormat,
    JsonSchemaResponseFormat,
    ResponseFormat,
    SamplingParams,
    ToolChoice,
    ToolConfig,
    ToolDef,
    TopPSamplingStrategy,
    UpdateAgentRequest,
)
from schemas.api.content import (
    ContentItem,
    ImageSource,
    InputMessage,
    InterleavedContent,
    ToolCall,
)
from schemas.api.page import PaginatedResponse
from schemas.api.session import AgentSessionCreateResponse, CreateAgentSessionRequest, Session
from schemas.api.turn import (
    AgentStepResponse,
    AgentTurnResponsePayload,
    AgentTurnResponseStreamChunk,
    CreateAgentTurnRequest,
    Document,
    ImageDelta,
    ResumeAgentTurnRequest,
    SafetyViolation,
    Step,
    StepType,
    ToolResponse,
    Turn,
    TurnOutcome,
)
from stack.http.spec.components import ANY_OBJECT, PREFIX, Details, Schema, plain_default
from stack.http.spec.operation import AS_OF, LAST_EVENT_ID, PAGE, Operation, Parameter

TAG = "Agents"

_ITEM: Schema = {"$ref": PREFIX + "InterleavedContentItem"}
_INTERLEAVED: list[Schema] = [{"type": "string"}, _ITEM, {"type": "array", "items": _ITEM}]
_CONTENT_OR_URL: Schema = {"oneOf": [*_INTERLEAVED, {"$ref": PREFIX + "URL"}]}
# The contract uses oneOf here, although the second branch includes the first: no named value would be valid.
_TOOL_NAME: Schema = {
    "anyOf": [
        {"type": "string", "enum": ["brave_search", "wolfram_alpha", "photogen", "code_interpreter"]},
        {"type": "string"},
    ]
}
_BASE64 = {"contentEncoding": "base64"}
_ATTACHMENT: Schema = {
    "type": "object",
    "properties": {"content": _CONTENT_OR_URL, "mime_type": {"type": "string"}},
    "additionalProperties": False,
    "required": ["content", "mime_type"],
}


def _tag_of(kind: type) -> str:
    return str(kind.__struct_config__.tag)  # type: ignore[attr-defined]


_EVENT_TYPES = tuple(_tag_of(kind) for kind in get_args(AgentTurnResponsePayload))
_FORMATS = tuple(_tag_of(kind) for kind in get_args(ResponseFormat))

DETAILS: dict[type, Details] = {
    SamplingParams: Details(
        hidden=frozenset(("temperature", "top_p", "top_k", "repeat_penalty")),
        required=frozenset(("strategy",)),
        notes={"max_tokens": plain_default(0), "repetition_penalty": plain_default(1.0)},
    ),
    TopPSamplingStrategy: Details(notes={"top_p": plain_default(0.95)}),
    JsonSchemaResponseFormat: Details(tags=_FORMATS),
    GrammarResponseFormat: Details(tags=_FORMATS),
    AgentToolGroupWithArgs: Details(inline=True),
    ToolDef: Details(hidden=frozenset(("parameters", "tool_prompt_format"))),
    ToolConfig: Details(
        schemas={
            "tool_choice": {
                "anyOf": [{"type": "string", "enum": list(get_args(ToolChoice))}, {"type": "string"}]
            }
        },
        notes={"tool_choice": plain_default("auto"), "system_message_behavior": plain_default("append")},
    ),
    AgentConfig: Details(
        notes={
            "tool_choice": {"deprecated": True},
            "tool_prompt_format": {"deprecated": True},
            "max_infer_iters": plain_default(10),
            "enable_session_persistence": plain_default(False),
        }
    ),
    ImageSource: Details(inline=True, notes={"data": _BASE64}),
    ImageDelta: Details(notes={"image": _BASE64}),
    ToolCall: Details(schemas={"tool_name": _TOOL_NAME}),
    ToolResponse: Details(schemas={"tool_name": _TOOL_NAME}),
    Document: Details(
        inline=True,
        hidden=frozenset(("document_id", "metadata")),
        schemas={"content": _CONTENT_OR_URL},
    ),
    Turn: Details(schemas={"output_attachments": {"type": "array", "items": _ATTACHMENT}}),
    PaginatedResponse: Details(
        optional=frozenset(("url",)), schemas={"data": {"type": "array", "items": ANY_OBJECT}}
    ),
    **{
        kind: Details(tags=get_args(StepType), optional=frozenset(("started_at",))) for kind in get_args(Step)
    },
    **{kind: Details(tags=_EVENT_TYPES) for kind in get_args(AgentTurnResponsePayload)},
}

NAMED: list[tuple[str, Any, Schema | None]] = [
    ("AgentTool", AgentTool, None),
    ("ResponseFormat", ResponseFormat, None),
    ("InterleavedContentItem", ContentItem, None),
    ("InterleavedContent", InterleavedContent, {"oneOf": _INTERLEAVED}),
    ("ViolationLevel", get_type_hints(SafetyViolation)["violation_level"], None),
]

PLAIN = [InputMessage]

_AGENTS = "/v1alpha/agents"
_AGENT = _AGENTS + "/{agent_id}"
_SESSION = _AGENT + "/session/{session_id}"
_TURN = _SESSION + "/turn/{turn_id}"

_STREAMED = (
    "With `stream: true` the answer is a stream of server-sent events, else the whole turn once it has ended or "
    "awaits input; then `x-turn-status` says which."
)

OPERATIONS = (
    Operation(
        method="get",
        path=_AGENTS,
        id="list_agents",
        tag=TAG,
        summary="List agents, oldest first.",
        parameters=(*PAGE, AS_OF),
        answer=PaginatedResponse,
        says="A page of agents.",
    ),
    Operation(
        method="post",
        path=_AGENTS,
        id="create_agent",
        tag=TAG,
        summary="Create an agent.",
        description="Checks everything that is known without asking a model; the model itself when a turn starts.",
        body=CreateAgentRequest,
        answer=AgentCreateResponse,
        says="The new agent's id.",
    ),
    Operation(
        method="get",
        path=_AGENT,
        id="get_agent",
        tag=TAG,
        summary="Read an agent.",
        description="The header `x-agent-version` names the version of the configuration that is returned.",
        parameters=(
            Parameter(
                name="version",
                kind=int,
                description="The version of the configuration, counted from 1; the newest where absent.",
                extension=True,
            ),
            AS_OF,
        ),
        answer=Agent,
        says="The agent.",
    ),
    Operation(
        method="post",
        path=_AGENT,
        id="update_agent",
        tag=TAG,
        summary="Give an agent a new configuration.",
        description="Not part of the Llama Stack specification. The configuration is complete, checked as that of a new "
        "agent, and becomes the agent's next version. Turns that have begun keep the version with which they began. "
        "Nothing is recorded if nothing changes. With `expected_version` it is refused with 409 unless the agent has "
        "that version; of concurrent updates without it the last one holds.",
        body=UpdateAgentRequest,
        answer=AgentUpdateResponse,
        says="The agent's version with this configuration.",
    ),
    Operation(
        method="get",
        path=_AGENT + "/versions",
        id="list_agent_versions",
        tag=TAG,
        summary="List the versions of an agent's configuration, oldest first.",
        description="Not part of the Llama Stack specification: each with its configuration, and who made it when.",
        parameters=(*PAGE, AS_OF),
        answer=PaginatedResponse,
        says="A page of versions.",
    ),
    Operation(
        method="delete",
        path=_AGENT,
        id="delete_agent",
        tag=TAG,
        summary="Delete an agent with all its sessions and turns.",
        says="Deleted; the answer has no body.",
    ),
    Operation(
        method="post",
        path=_AGENT + "/session",
        id="create_session",
        tag=TAG,
        summary="Begin a session with an agent.",
        body=CreateAgentSessionRequest,
        answer=AgentSessionCreateResponse,
        says="The new session's id.",
    ),
    Operation(
        method="get",
        path=_AGENT + "/sessions",
        id="list_sessions",
        tag=TAG,
        summary="List an agent's sessions, oldest first, without their turns.",
        parameters=(*PAGE, AS_OF),
        answer=PaginatedResponse,
        says="A page of sessions.",
    ),
    Operation(
        method="get",
        path=_SESSION,
        id="get_session",
        tag=TAG,
        summary="Read a session with its turns.",
        parameters=(
            Parameter(
                name="turn_ids",
                kind=list[str],
                description="Only these turns, as a repeated parameter; all where absent.",
            ),
            Parameter(
                name="start_index",
                kind=int,
                description="How many turns to pass over, 0 or more; 0 where absent.",
                extension=True,
            ),
            Parameter(
                name="limit",
                kind=int,
                description="How many turns to return; all where absent or -1.",
                extension=True,
            ),
            AS_OF,
        ),
        description="A session with very many or very large turns is returned in parts (`max_page_bytes`): the header "
        "`x-truncated: true` says that more turns follow, which `start_index` continues with.",
        answer=Session,
        says="The session.",
    ),
    Operation(
        method="delete",
        path=_SESSION,
        id="delete_session",
        tag=TAG,
        summary="Delete a session with its turns.",
        says="Deleted; the answer has no body.",
    ),
    Operation(
        method="post",
        path=_SESSION + "/turn",
        id="create_turn",
        tag=TAG,
        summary="Run a turn of the session.",
        description=f"{_STREAMED} The turn continues if the client disconnects. A turn that awaits input is abandoned.",
        body=CreateAgentTurnRequest,
        answer=Turn,
        frames=AgentTurnResponseStreamChunk,
        says="The turn, or the stream of its steps.",
    ),
    Operation(
        method="post",
        path=_TURN + "/resume",
        id="resume_turn",
        tag=TAG,
        summary="Give a waiting turn the results of its tool calls.",
        description=f"Takes exactly one response for each pending call. {_STREAMED}",
        body=ResumeAgentTurnRequest,
        answer=Turn,
        frames=AgentTurnResponseStreamChunk,
        says="The turn, or the stream of its further steps.",
    ),
    Operation(
        method="get",
        path=_TURN,
        id="get_turn",
        tag=TAG,
        summary="Read a turn.",
        description="The header `x-turn-status` says how the turn stands.",
        parameters=(AS_OF,),
        answer=Turn,
        says="The turn with its finished steps.",
    ),
    Operation(
        method="get",
        path=_TURN + "/step/{step_id}",
        id="get_step",
        tag=TAG,
        summary="Read one finished step of a turn.",
        parameters=(AS_OF,),
        answer=AgentStepResponse,
        says="The step.",
    ),
    Operation(
        method="get",
        path=_TURN + "/stream",
        id="follow_turn",
        tag=TAG,
        summary="Follow a running turn, or replay one that has ended.",
        description="Not part of the Llama Stack specification. The frames are those that the turn's own caller got.",
        parameters=(
            Parameter(
                name="speed",
                kind=float,
                description="1 replays at the recorded pace, 2 at twice that, 0.01 is the slowest; 0, the default, "
                "does not wait.",
            ),
            LAST_EVENT_ID,
        ),
        frames=AgentTurnResponseStreamChunk,
        says="The frames.",
    ),
    Operation(
        method="get",
        path=_TURN + "/outcome",
        id="get_turn_outcome",
        tag=TAG,
        summary="Read how a turn stands or ended.",
        description="Not part of the Llama Stack specification: status, error, tokens used and the agent's version.",
        parameters=(AS_OF,),
        answer=TurnOutcome,
        says="The outcome.",
    ),
    Operation(
        method="post",
        path=_TURN + "/cancel",
        id="cancel_turn",
        tag=TAG,
        summary="End a turn that runs or waits.",
        description="Not part of the Llama Stack specification. A turn that has ended is left as it is.",
        says="The turn has ended; the answer has no body.",
    ),
)
