"""The tools, as an assistant sees them: their descriptions, what they take, and what they return."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.api.sql import SqlResultColumn, SqlSchema
from stack.domain.near import nearest
from stack.services.assistant.api import Answered, Api, Call, Refused
from stack.services.assistant.bounds import MAX_BYTES, DoesNotFit, fitted, shortened
from stack.services.sql.prompt import DIALECT, prompt

INSTRUCTIONS = (
    "Replaystack records everything that agents do: sessions, turns, steps, tool calls, approvals, evaluations, traces, "
    "metrics and logs. To answer a question about them, call describe_schema once, then sql with one aggregating query. "
    "Use get_session and get_trace to read one of them as a whole, and replay_check to see whether a recorded session "
    "still runs as it did. All tools only read."
)
DEFAULT_ROWS, MAX_ROWS = 100, 1_000
DEFAULT_TURNS, MAX_TURNS = 20, 200

SessionId = Annotated[
    str, Meta(min_length=1, max_length=200, pattern="^[^/]+$", description="The session_id of the session.")
]


class DescribeSchema(Struct, frozen=True, forbid_unknown_fields=True):
    views: Annotated[
        list[str], Meta(description="Names of views to describe. Leave it out to describe all of them.")
    ] = []


class Sql(Struct, frozen=True, forbid_unknown_fields=True):
    query: Annotated[
        str, Meta(min_length=1, description="One SELECT, or EXPLAIN of one, in DuckDB's dialect.")
    ]
    parameters: Annotated[
        list[Any] | dict[str, Any],
        Meta(description="Values: an array for $1, $2 in the query, or an object for $name."),
    ] = []
    limit: Annotated[
        int,
        Meta(ge=1, le=MAX_ROWS, description="At most so many rows are returned; then `truncated` is set."),
    ] = DEFAULT_ROWS
    as_of: Annotated[
        int | str | None,
        Meta(
            description="Answer as of this position of the event log, or this time (RFC 3339); now if left out."
        ),
    ] = None


class GetSession(Struct, frozen=True, forbid_unknown_fields=True):
    session_id: SessionId
    start_index: Annotated[int, Meta(ge=0, description="How many turns to pass over.")] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_TURNS, description="At most so many turns are returned.")] = (
        DEFAULT_TURNS
    )


class GetTrace(Struct, frozen=True, forbid_unknown_fields=True):
    trace_id: Annotated[
        str, Meta(pattern="^[0-9a-fA-F]{32}$", description="The trace_id: 32 hexadecimal digits.")
    ]


class ReplayCheck(Struct, frozen=True, forbid_unknown_fields=True):
    session_id: SessionId


Shortened = Annotated[
    int, Meta(description="How many texts were shortened; each says how much of it is missing.")
]


class Rows(Struct, frozen=True, kw_only=True):
    columns: list[SqlResultColumn]
    rows: Annotated[list[list[Any]], Meta(description="For each row a value for each column.")]
    row_count: int
    truncated: Annotated[
        Literal["rows", "bytes"] | None,
        Meta(description="Why there are more rows than these; null if there are not."),
    ]
    shortened_texts: Shortened


class Turns(Struct, frozen=True, kw_only=True):
    session_id: str
    session_name: str
    agent_id: str
    started_at: str
    turns: list[dict[str, Any]]
    next_start_index: Annotated[
        int | None, Meta(description="start_index for the turns that follow; null after the last one.")
    ]
    shortened_texts: Shortened


class Spans(Struct, frozen=True, kw_only=True):
    trace_id: str
    spans: Annotated[list[dict[str, Any]], Meta(description="Ordered by time.")]
    omitted_spans: Annotated[int, Meta(description="Read spans that did not fit.")]
    is_complete: Annotated[bool, Meta(description="Whether these are all spans of the trace.")]
    input_tokens: int | None
    output_tokens: int | None
    shortened_texts: Shortened


class Check(Struct, frozen=True, kw_only=True):
    session_id: str
    verdict: Annotated[
        str,
        Meta(description="The worst of its turns: identical, equivalent, diverged or unreplayable."),
    ]
    turns: Annotated[
        list[dict[str, Any]],
        Meta(description="Each with its verdict, and its first difference or the reason."),
    ]
    omitted_turns: int
    shortened_texts: Shortened


class Result(Struct, frozen=True):
    """`content` is one of the structs above. `text` is the same for clients that show only text; None for its JSON."""

    content: Struct
    text: str | None = None


class Tool(Struct, frozen=True):
    """`arguments` and `answer` are structs, from which the schemas are made."""

    name: str
    title: str
    description: str
    arguments: type[Struct]
    answer: type[Struct]
    run: Callable[[Api, Any], Awaitable[Result]]


async def _described(api: Api, asked: DescribeSchema) -> Result:
    found = await api(Call(path="/v1alpha/sql/schema"))
    schema = msgspec.convert(found.content, SqlSchema)
    known = {view.name: view for view in schema.views}
    for name in asked.views:
        if name not in known:
            near = nearest(name, known)
            hint = f"Did you mean {near!r}?" if near else f"There are: {', '.join(known)}."
            raise Refused(f"There is no view {name[:80]!r}. {hint}")
    if asked.views:
        schema = SqlSchema(schema.dialect, [known[name] for name in dict.fromkeys(asked.views)])
    return Result(schema, prompt(schema))


async def _queried(api: Api, asked: Sql) -> Result:
    body = {"query": asked.query, "parameters": asked.parameters, "limit": asked.limit, "as_of": asked.as_of}
    found = (await api(Call(method="POST", path="/v1alpha/sql", body=body))).content
    if len(msgspec.json.encode(found["columns"])) > MAX_BYTES:
        raise Refused(f"The result has {len(found['columns'])} columns, too many to be shown. Select fewer.")
    kept = fitted(found["rows"])
    return Result(
        Rows(
            columns=msgspec.convert(found["columns"], list[SqlResultColumn]),
            rows=kept.items,
            row_count=len(kept.items),
            truncated="bytes" if kept.left_out else found["truncated"],
            shortened_texts=kept.shortened,
        )
    )


async def _session(api: Api, asked: GetSession) -> Result:
    found, path = await _found(api, asked.session_id)
    query = {"start_index": str(asked.start_index), "limit": str(asked.limit)}
    answer: Answered = await api(Call(path=path, query=query))
    session = answer.content
    kept = fitted(session["turns"])
    has_more = answer.has_more or kept.left_out
    return Result(
        Turns(
            session_id=session["session_id"],
            session_name=shortened(session["session_name"]),
            agent_id=found["agent_id"],
            started_at=session["started_at"],
            turns=kept.items,
            next_start_index=asked.start_index + len(kept.items) if has_more else None,
            shortened_texts=kept.shortened,
        )
    )


async def _trace(api: Api, asked: GetTrace) -> Result:
    trace_id = asked.trace_id.lower()
    answer = await api(Call(path=f"/v1alpha/telemetry/traces/{trace_id}/spans"))
    kept = fitted(answer.content["data"])
    return Result(
        Spans(
            trace_id=trace_id,
            spans=kept.items,
            omitted_spans=kept.left_out,
            is_complete=not (answer.has_more or kept.left_out),
            input_tokens=answer.content.get("input_tokens"),
            output_tokens=answer.content.get("output_tokens"),
            shortened_texts=kept.shortened,
        )
    )


async def _checked(api: Api, asked: ReplayCheck) -> Result:
    _, path = await _found(api, asked.session_id)
    report = (await api(Call(path=f"{path}/check"))).content
    kept = fitted(report["turns"])
    return Result(
        Check(
            session_id=report["session_id"],
            verdict=report["verdict"],
            turns=kept.items,
            omitted_turns=kept.left_out,
            shortened_texts=kept.shortened,
        )
    )


async def _found(api: Api, session_id: str) -> tuple[Mapping[str, str], str]:
    """Returns a session without its turns, and its path."""
    found = (await api(Call(path=f"/v1alpha/sessions/{session_id}"))).content
    return found, f"/v1alpha/agents/{found['agent_id']}/session/{found['session_id']}"


TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            "describe_schema",
            "Describe the SQL views",
            "List the views that the tool sql can query, with the type, unit and meaning of every column. Call this before the "
            f"first query. The dialect is {DIALECT}",
            DescribeSchema,
            SqlSchema,
            _described,
        ),
        Tool(
            "sql",
            "Query recorded data in SQL",
            "Run one read-only SQL query over agents, sessions, turns, steps, tool calls, approvals, messages, token usage, "
            "datasets, evaluations, spans, traces, metrics and logs. The dialect is "
            f"{DIALECT} Call describe_schema first: only its views can be read. They are joined by trace_id, turn_id and "
            "session_id. Give values as `parameters` ($1 or $name) and never as text of the query. Count, group and order in "
            f"SQL instead of fetching rows: at most `limit` rows ({DEFAULT_ROWS} unless given) are returned, long texts are "
            "shortened, and `truncated` says whether rows are missing.",
            Sql,
            Rows,
            _queried,
        ),
        Tool(
            "get_session",
            "Read a session",
            "Read the turns of a recorded session in order: input messages, steps (inference, tool execution, shields, "
            "retrieval) and the output message of each. Find sessions with sql in the view sessions. Long sessions come in "
            "parts: call again with start_index = next_start_index.",
            GetSession,
            Turns,
            _session,
        ),
        Tool(
            "get_trace",
            "Read a trace",
            "Read the spans of one trace ordered by time, each with its parent, times, status, attributes, events and links. "
            "Find traces with sql in the views traces and spans; turns.trace_id is the trace of a turn.",
            GetTrace,
            Spans,
            _trace,
        ),
        Tool(
            "replay_check",
            "Check a recorded session",
            "Run a recorded session again with what was recorded (no model and no tool is called) and compare. The verdict "
            "is identical, equivalent (differences that change nothing that is said or done), diverged (with the first "
            "event that differs), or unreplayable (with the reason).",
            ReplayCheck,
            Check,
            _checked,
        ),
    )
}


async def call(api: Api, name: str, arguments: Mapping[str, Any]) -> Result:
    """Returns the result of a tool. Raises Refused for anything that the assistant should know and can correct."""
    tool = TOOLS.get(name)
    if tool is None:
        raise Refused(f"There is no tool {name[:80]!r}. There are: {', '.join(TOOLS)}.")
    try:
        asked = msgspec.convert(arguments, tool.arguments)
    except msgspec.ValidationError as error:
        raise Refused(f"The arguments of {name} are wrong: {error}.") from None
    try:
        return await tool.run(api, asked)
    except DoesNotFit:
        raise Refused(
            "One row, turn or span alone is too large to be shown. Select parts of it with the tool sql."
        ) from None
    except UnicodeEncodeError:
        raise Refused(f"The arguments of {name} have half of a surrogate pair, which is no text.") from None
    except RecursionError:
        raise Refused(
            "A value is nested too deeply to be shown. Select parts of it with the tool sql."
        ) from None


def schema_of(type: type[Struct]) -> dict[str, Any]:
    """Returns the JSON schema of a struct, with the object at its root, as MCP wants it."""
    _, parts = msgspec.json.schema_components([type], ref_template="#/$defs/{name}")
    root: dict[str, Any] = dict(parts.pop(type.__name__))
    root.pop("title", None)
    return root | ({"$defs": parts} if parts else {})
