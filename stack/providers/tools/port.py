"""The protocol of a toolgroup: a provider of tools that the server runs.

A call is a function of its request, without state in the provider: a tool that stops in the middle returns
`Suspended`, and is called again with the state that it returned, days later and in another process if need be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from schemas.events.payload import Content

STRUCTURED_CONTENT = "structured_content"
"""The key of a JSON value in the metadata of a result."""


class ToolDefinition(Struct, frozen=True, kw_only=True):
    """A tool, named as its group names it. `repeatable` means that it is declared safe to call again after a crash,
    whatever became of the first call."""

    name: str
    description: str = ""
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    repeatable: bool = False


class ToolResult(Struct, frozen=True, kw_only=True):
    """The end of a call. With `is_error` the tool itself reported that it failed; the model sees `content` in both
    cases. A tool that returns a JSON value puts it in `metadata` under STRUCTURED_CONTENT as well: code that called the
    tool gets this value instead of the text."""

    content: Content
    is_error: bool = False
    metadata: dict[str, Any] | None = None


class ToolQuestion(Struct, frozen=True, kw_only=True):
    """A question of a tool to the user, in the form of its protocol; `message` is for people."""

    message: str
    request: dict[str, Any]


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to a question: `action` is accept (with `content`), decline or cancel."""

    action: str
    content: dict[str, Any] | None = None


class NestedCall(Struct, frozen=True, kw_only=True):
    """A call of another tool of the turn. `tool` is its name for the model."""

    tool: str
    arguments: dict[str, Any]


class Suspended(Struct, frozen=True, kw_only=True):
    """The tool continues when `calls` have ended (they run concurrently), or when `question` was answered: one of
    them is given. `state` is returned to it then (text, a few kB; it is recorded)."""

    state: str
    calls: Sequence[NestedCall] = ()
    question: ToolQuestion | None = None


class ToolRequest(Struct, frozen=True, kw_only=True):
    """One call. `tool` is named as its group names it, `arguments` match its schema.

    `key` identifies the effect (64 hex digits): the idempotency key, for tools that take one. `args` configure the
    group in this turn (`{name, args}` of an agent or turn). `others` are the turn's tools that the call may suspend for:
    their names for the model, each with the names of its parameters in the order of its schema. A suspended call is continued with its `state` and either `results`, in the order of
    its calls, or `answer`.
    """

    tool: str
    arguments: dict[str, Any]
    key: str
    args: Mapping[str, Any] = {}
    others: Mapping[str, Sequence[str]] = {}
    state: str | None = None
    results: Sequence[ToolResult] = ()
    answer: Answer | None = None


class ToolGroup(Protocol):
    """`id` is that of the toolgroup, such as `mcp::files`; `provider_id` its kind, such as
    `model-context-protocol`."""

    id: str
    provider_id: str

    async def tools(self, args: Mapping[str, Any]) -> Sequence[ToolDefinition]:
        """Returns the tools of the group. May be cached. Raises UpstreamFailed, UpstreamTimeout, and Invalid for
        `args` that are not the group's."""
        ...

    async def call(self, request: ToolRequest) -> ToolResult | Suspended:
        """Calls a tool. An error of the tool is a result, also if the tool no longer exists. Raises NotCalled if
        the call certainly had no effect; after any other exception, and after a cancellation (which tells the tool to
        stop), its outcome is unknown."""
        ...

    async def aclose(self) -> None: ...


class NotCalled(Exception):
    """A call did not reach its tool. The message says why, for the model."""
