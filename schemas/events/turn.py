"""Events of `turn/<turn_id>`: one short stream per turn."""

from __future__ import annotations

from msgspec import Struct

from schemas.events.base import Event
from schemas.events.payload import (
    AgentTool,
    CompletionMessage,
    Document,
    InputMessage,
    SamplingParams,
    ToolCall,
    ToolConfig,
    ToolResponse,
    TurnError,
    TurnUsage,
)


class Owner(Struct, frozen=True):
    """Who runs a turn: a data folder's node id and the boot id of one server process on it."""

    node: str
    boot: str


class StreamTrace(Struct, frozen=True, omit_defaults=True):
    """How an answer was streamed, enough to replay it frame by frame at its pace.

    `lengths[i]` is the number of characters of the i-th chunk, `delays_ms[i]` the time from the chunk before
    it (for the first: from the start of the step), in milliseconds. `calls[i]` is the index of the tool call
    whose arguments the chunk is a piece of, -1 for a chunk of text; absent where all chunks are text. A
    length of -1 is the whole call, once its arguments were complete.
    """

    lengths: list[int]
    delays_ms: list[int]
    calls: list[int] | None = None


class FetchedContent(Struct, frozen=True):
    """What was behind a URL of the input: of an image `data` is base64 and `media_type` what the content itself
    says; of a document `data` is its text and `media_type` what its server said."""

    uri: str
    media_type: str
    data: str


class TurnStarted(Event, frozen=True, tag="turn.started.1"):
    """`input_messages` and `documents` are as they were posted; `fetched` is what was behind their URLs."""

    session_id: str
    agent_id: str
    owner: Owner
    input_messages: list[InputMessage]
    stream: bool = False
    documents: list[Document] | None = None
    toolgroups: list[AgentTool] | None = None
    tool_config: ToolConfig | None = None
    fetched: list[FetchedContent] | None = None


class TurnRestarted(Event, frozen=True, tag="turn.restarted.1"):
    """A new owner took over after a crash or a shutdown; `attempt` counts from 2."""

    owner: Owner
    attempt: int


class TurnStepStarted(Event, frozen=True, tag="turn.step_started.1"):
    """`request_digest` identifies the request as it went to the model: the SHA-256 (hex) of all of it but the
    messages, followed by the SHA-256 of each message."""

    step_id: str
    step_type: str
    attempt: int
    model: str = ""
    parameters: SamplingParams | None = None
    request_digest: str = ""


class TurnStepCompleted(Event, frozen=True, tag="turn.step_completed.1"):
    """An inference has `output`, `usage` and `trace`; a tool execution `tool_calls` and `tool_responses`.
    `reasoning` is the start of what the model thought before its answer, where its server says it; `usage` lacks
    what the server did not say."""

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


class TurnStepFailed(Event, frozen=True, tag="turn.step_failed.1"):
    """The step produced no result. What had been streamed before the failure is kept in `output`."""

    step_id: str
    step_type: str
    error: TurnError
    output: CompletionMessage | None = None
    trace: StreamTrace | None = None
    reasoning: str = ""


class TurnAwaitingInput(Event, frozen=True, tag="turn.awaiting_input.1"):
    """The last inference called tools that the client runs; nothing runs here until their responses come.
    `output_message` holds the pending calls."""

    output_message: CompletionMessage


class TurnResumed(Event, frozen=True, tag="turn.resumed.1"):
    """The responses came; they are the tool execution step that follows in the same append. `fetched` is what
    was behind their URLs."""

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
    """A new turn began while this one awaited input."""

    output_message: CompletionMessage


EVENTS = (
    TurnStarted,
    TurnRestarted,
    TurnStepStarted,
    TurnStepCompleted,
    TurnStepFailed,
    TurnAwaitingInput,
    TurnResumed,
    TurnCompleted,
    TurnFailed,
    TurnCancelled,
    TurnAbandoned,
)
TurnEvent = (
    TurnStarted
    | TurnRestarted
    | TurnStepStarted
    | TurnStepCompleted
    | TurnStepFailed
    | TurnAwaitingInput
    | TurnResumed
    | TurnCompleted
    | TurnFailed
    | TurnCancelled
    | TurnAbandoned
)
