"""Events of `turn/<turn_id>`: one short stream per turn."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.payload import (
    AgentTool,
    CompletionMessage,
    Content,
    Document,
    InputMessage,
    SamplingParams,
    ToolCall,
    ToolConfig,
    ToolResponse,
    TurnError,
    TurnUsage,
    Violation,
)


class Owner(Struct, frozen=True):
    """The process that runs a turn: the node id of a data folder and the boot id of one server process that
    uses it."""

    node: str
    boot: str


class StreamTrace(Struct, frozen=True, omit_defaults=True):
    """How an answer was streamed, sufficient to replay it frame by frame at its original pace.

    `lengths[i]` is the number of characters of the i-th chunk; `delays_ms[i]` is the time since the previous
    chunk (for the first: since the start of the step) in milliseconds. `calls[i]` is the index of the tool
    call whose arguments the chunk is a part of, -1 for a chunk of text; `calls` is absent if all chunks are
    text. A length of -1 means the whole call, sent once its arguments were complete.
    """

    lengths: list[int]
    delays_ms: list[int]
    calls: list[int] | None = None


class FetchedContent(Struct, frozen=True):
    """The content fetched from a URL of the input. For an image `data` is base64 and `media_type` is detected
    from the content; for a document `data` is its text (that in a PDF or in HTML) and `media_type` is what its server
    reported. The text in a PDF or in HTML that was posted as a `data:` URL has the `uri` `document:<number>`, with the
    document's number from 1."""

    uri: str
    media_type: str
    data: str


class RetrievedChunk(Struct, frozen=True, omit_defaults=True):
    """A passage that was retrieved. `collection` is a vector database, or "" for a document of the turn; `document_id`
    is that of the document, or its number in the turn (from 1); `start` and `end` are offsets in characters; a higher
    `score` is a better match."""

    document_id: str
    start: int
    end: int
    score: float
    collection: str = ""


class ResolvedTool(Struct, frozen=True, omit_defaults=True):
    """A tool of the server as a turn could use it. `name` is its name for the model, `tool` its name in its `toolgroup`;
    `input_schema` is JSON Schema; `approval` are the rules that apply to its calls, as in the settings."""

    name: str
    tool: str
    toolgroup: str
    input_schema: dict[str, Any]
    description: str | None = None
    repeatable: bool = False
    approval: list[dict[str, Any]] | None = None


class TurnStarted(Event, frozen=True, tag="turn.started.1"):
    """`input_messages` and `documents` are stored as they were posted; `fetched` is the content of their
    URLs. `input_shields` judge what the model reads: what they have not judged is never sent to a model.
    `agent_version` is the version of the agent's configuration with which the turn runs; 0 if the server did not record
    it, which then had one version only."""

    session_id: str
    agent_id: str
    owner: Owner
    input_messages: list[InputMessage]
    stream: bool = False
    documents: list[Document] | None = None
    toolgroups: list[AgentTool] | None = None
    tool_config: ToolConfig | None = None
    fetched: list[FetchedContent] | None = None
    input_shields: list[str] | None = None
    agent_version: int = 0


class TurnToolsResolved(Event, frozen=True, tag="turn.tools_resolved.1"):
    """The tools of the server that the turn can use from here on, recorded before they are first offered to the model, and
    again if they have changed. `digest` is the SHA-256 (hex) of their definitions. If an earlier turn of the session had
    the same ones, `same_as` is its id and `tools` is absent."""

    digest: str
    tools: list[ResolvedTool] | None = None
    same_as: str = ""


class TurnRestarted(Event, frozen=True, tag="turn.restarted.1"):
    """A new owner continues the turn after a crash or a shutdown; `attempt` counts from 2."""

    owner: Owner
    attempt: int


class TurnStepStarted(Event, frozen=True, tag="turn.step_started.1"):
    """`tool_calls` are those of a tool execution on the server. `touchpoint` of a shield call is user-input, retrieved-text, tool-result or assistant-output. `request_digest` identifies the request that was sent to the model: the SHA-256 (hex) of all of it
    except the messages, followed by the SHA-256 of each message."""

    step_id: str
    step_type: str
    attempt: int
    model: str = ""
    parameters: SamplingParams | None = None
    request_digest: str = ""
    touchpoint: str = ""
    tool_calls: list[ToolCall] | None = None


class TurnStepCompleted(Event, frozen=True, tag="turn.step_completed.1"):
    """An inference has `output`, `usage` and `trace`; a tool execution has `tool_calls` and `tool_responses`; a shield
    call has a `violation` if a shield objected; a memory retrieval has `inserted_context`, the `vector_db_ids` that were
    searched and its `sources`. `withheld` is the answer of an inference that an output shield refused: `output` is then
    empty, and nothing but the log has the answer.
    `reasoning` is the beginning of the model's reasoning, if its server returns it; `usage` omits the counts
    that the server did not report."""

    step_id: str
    step_type: str
    output: CompletionMessage | None = None
    usage: TurnUsage | None = None
    trace: StreamTrace | None = None
    response_id: str = ""
    response_model: str = ""
    tool_calls: list[ToolCall] | None = None
    tool_responses: list[ToolResponse] | None = None
    reasoning: str = ""
    withheld: CompletionMessage | None = None
    violation: Violation | None = None
    inserted_context: Content | None = None
    vector_db_ids: list[str] | None = None
    sources: list[RetrievedChunk] | None = None


class TurnStepFailed(Event, frozen=True, tag="turn.step_failed.1"):
    """The step produced no result. The output that had been streamed before the failure is kept in
    `output`."""

    step_id: str
    step_type: str
    error: TurnError
    output: CompletionMessage | None = None
    trace: StreamTrace | None = None
    reasoning: str = ""


class TurnToolCalled(Event, frozen=True, tag="turn.tool_called.1"):
    """The intent to call a tool of the server, recorded before the call leaves the process.

    `key` is the SHA-256 (hex) of tool, canonical arguments and turn, and the idempotency key of the call. `toolgroup` is
    the group of the tool; `tool_name` its name for the model. `parent` is the `call_id` of the call whose code
    made this one, "" for a call of the model. `attempt` counts the times that the tool was called for this call.
    `repeatable` tools are declared safe to call again after a crash.
    """

    step_id: str
    call_id: str
    key: str
    tool_name: str
    toolgroup: str
    arguments: str
    repeatable: bool = False
    parent: str = ""
    attempt: int = 1


class TurnToolReturned(Event, frozen=True, tag="turn.tool_returned.1"):
    """The outcome of a tool call. `status` is done, failed (the tool reported an error), denied (it was not called) or
    unknown (it may have run, and its result was lost)."""

    call_id: str
    tool_name: str
    status: str
    content: Content
    metadata: dict[str, Any] | None = None


class TurnToolSuspended(Event, frozen=True, tag="turn.tool_suspended.1"):
    """A tool stopped before its end and is called again with `state`, which only the tool understands (text), and with the
    results of `calls`, or with the answer to its `question` (in the form of its protocol, with a `message`)."""

    call_id: str
    state: str
    calls: list[ToolCall] | None = None
    question: dict[str, Any] | None = None


class TurnInputRequested(Event, frozen=True, tag="turn.input_requested.1"):
    """A call waits for a decision. `kind` is approval (may the tool be called?) or elicitation (the tool asks for
    `request`, in the form of its protocol). `digest` is the SHA-256 (hex) of the tool and its canonical arguments, to
    which the decision is bound. The answer at the `deadline` (microseconds since 1970) is a refusal."""

    request_id: str
    kind: str
    call_id: str
    tool_name: str
    toolgroup: str
    arguments: str
    digest: str
    deadline: int
    request: dict[str, Any] | None = None


class TurnInputReceived(Event, frozen=True, tag="turn.input_received.1"):
    """The decision on a request, made once. `decision` is approve or deny of an approval; accept (with `content`),
    decline or cancel of an elicitation; expired at its deadline. The model sees `reason`."""

    request_id: str
    call_id: str
    decision: str
    reason: str = ""
    content: dict[str, Any] | None = None


class TurnEffectSettled(Event, frozen=True, tag="turn.effect_settled.1"):
    """An operator decided a call whose outcome was unknown, possibly after the turn has ended. `decision` is done
    or failed, with the content that takes the place of the unknown outcome, or retry: the tool was called again, and
    `content` is its result (`status` done or failed)."""

    session_id: str
    call_id: str
    decision: str
    status: str
    content: Content
    reason: str = ""


class TurnAwaitingInput(Event, frozen=True, tag="turn.awaiting_input.1"):
    """The turn waits: for the responses of tools that the client runs, or for decisions. `output_message` holds
    the pending calls."""

    output_message: CompletionMessage


class TurnResumed(Event, frozen=True, tag="turn.resumed.1"):
    """The responses arrived; they form the tool execution step that follows in the same append. `fetched` is
    the content of their URLs."""

    owner: Owner
    fetched: list[FetchedContent] | None = None


class TurnCompleted(Event, frozen=True, tag="turn.completed.1"):
    output_message: CompletionMessage


class TurnFailed(Event, frozen=True, tag="turn.failed.1"):
    error: TurnError
    output_message: CompletionMessage


class TurnCancelled(Event, frozen=True, tag="turn.cancelled.1"):
    reason: str
    output_message: CompletionMessage


class TurnAbandoned(Event, frozen=True, tag="turn.abandoned.1"):
    """A new turn was started while this one awaited input."""

    output_message: CompletionMessage


EVENTS = (
    TurnStarted,
    TurnToolsResolved,
    TurnRestarted,
    TurnStepStarted,
    TurnStepCompleted,
    TurnStepFailed,
    TurnToolCalled,
    TurnToolReturned,
    TurnToolSuspended,
    TurnInputRequested,
    TurnInputReceived,
    TurnEffectSettled,
    TurnAwaitingInput,
    TurnResumed,
    TurnCompleted,
    TurnFailed,
    TurnCancelled,
    TurnAbandoned,
)
