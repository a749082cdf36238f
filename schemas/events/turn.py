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
    from the content; for a document `data` is its text and `media_type` is what its server reported."""

    uri: str
    media_type: str
    data: str


class TurnStarted(Event, frozen=True, tag="turn.started.1"):
    """`input_messages` and `documents` are stored as they were posted; `fetched` is the content of their
    URLs."""

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
    """A new owner continues the turn after a crash or a shutdown; `attempt` counts from 2."""

    owner: Owner
    attempt: int


class TurnStepStarted(Event, frozen=True, tag="turn.step_started.1"):
    """`request_digest` identifies the request that was sent to the model: the SHA-256 (hex) of all of it
    except the messages, followed by the SHA-256 of each message."""

    step_id: str
    step_type: str
    attempt: int
    model: str = ""
    parameters: SamplingParams | None = None
    request_digest: str = ""


class TurnStepCompleted(Event, frozen=True, tag="turn.step_completed.1"):
    """An inference has `output`, `usage` and `trace`; a tool execution has `tool_calls` and `tool_responses`.
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


class TurnStepFailed(Event, frozen=True, tag="turn.step_failed.1"):
    """The step produced no result. The output that had been streamed before the failure is kept in
    `output`."""

    step_id: str
    step_type: str
    error: TurnError
    output: CompletionMessage | None = None
    trace: StreamTrace | None = None
    reasoning: str = ""


class TurnAwaitingInput(Event, frozen=True, tag="turn.awaiting_input.1"):
    """The last inference called tools that the client runs; the turn waits for their responses.
    `output_message` holds the pending calls."""

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
