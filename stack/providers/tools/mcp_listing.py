"""Tools as an MCP server lists them: which of them can be used, and why the others cannot."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from stack.domain.json_schema import check_schema
from stack.domain.tool import MAX_TOOLS
from stack.errors import Invalid
from stack.providers.tools.port import ToolDefinition

MAX_DESCRIPTION_CHARACTERS = 16_384
MAX_SCHEMA_BYTES = 128 * 1024
MAX_TOTAL_BYTES = 4 * 2**20
MAX_PAGES = 256
"""A list of more pages is not read further: some servers return cursors for ever."""
_MAX_PROBLEMS = 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:-]{0,127}")


class Listing(Struct, frozen=True):
    """The usable tools by name, and what is wrong with the others. `expires_at` is in seconds of the loop's clock."""

    tools: Mapping[str, ToolDefinition]
    problems: tuple[str, ...]
    expires_at: float


class ListedTool(Struct, frozen=True, kw_only=True):
    """A tool as the server describes it. `annotations` has the protocol's names, such as readOnlyHint."""

    name: str
    title: str | None = None
    description: str | None = None
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None
    needs_task: bool = False
    problem: str = ""


PROBLEM = "replaystack/problem"
"""The field of a tool's `_meta` that says why it cannot be used."""

_TEXTS = ("title", "description")
_OBJECTS = ("annotations", "execution", "outputSchema")
_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


def repair(result: Any) -> None:
    """Changes the tools in a result of `tools/list` so that each can be read: the SDK refuses the whole list for one
    that it cannot read. What is wrong with a tool is noted in its `_meta`."""
    tools = result.get("tools") if isinstance(result, dict) else None
    if isinstance(tools, list):
        # One more than are used, so that the rest is reported: the SDK takes 0.1 s for 10,000.
        result["tools"] = [_readable(tool) for tool in tools[: MAX_TOOLS + 1]]


def _readable(tool: Any) -> dict[str, Any]:
    given = tool if isinstance(tool, dict) else {}
    name, schema = given.get("name"), given.get("inputSchema")
    kept: dict[str, Any] = {"name": name if isinstance(name, str) else "", "inputSchema": schema}
    kept |= {key: given[key] for key in _TEXTS if isinstance(given.get(key), str)}
    kept |= {key: given[key] for key in _OBJECTS if isinstance(given.get(key), dict)}
    if "annotations" in kept:
        hints = kept["annotations"]
        kept["annotations"] = {hint: hints[hint] for hint in _HINTS if isinstance(hints.get(hint), bool)}
    support = kept.pop("execution", {}).get("taskSupport")
    if support in ("forbidden", "optional", "required"):
        kept["execution"] = {"taskSupport": support}
    problem = ""
    if not _is_object_schema(schema):
        problem = "is not offered: its input schema is not that of an object"
        kept["inputSchema"] = {"type": "object"}
    elif "outputSchema" in kept and not _is_object_schema(kept["outputSchema"]):
        # Results are then not checked.
        del kept["outputSchema"]
    return kept | ({"_meta": {PROBLEM: problem}} if problem else {})


class _ObjectSchema(Struct):
    """The part of a schema that the protocol prescribes."""

    type: Literal["object"]
    properties: dict[str, dict[str, Any] | bool] | None = None
    required: list[str] | None = None
    dialect: str | None = field(default=None, name="$schema")


def _is_object_schema(schema: Any) -> bool:
    try:
        msgspec.convert(schema, _ObjectSchema)
    except (msgspec.ValidationError, RecursionError):
        return False
    return True


class Collector:
    """Takes the pages of a list. `repeatable` are the names that the settings declare repeatable; the server's own
    declarations count if `trust_annotations` is set."""

    def __init__(self, repeatable: Collection[str], trust_annotations: bool) -> None:
        self._repeatable = repeatable
        self._trust = trust_annotations
        self._tools: dict[str, ToolDefinition] = {}
        self._problems: list[str] = []
        self._bytes = 0
        self.full = False
        """No further page is needed."""

    def add(self, tools: Iterable[ListedTool]) -> None:
        for tool in tools:
            if self.full:
                return
            try:
                self._add(tool)
            except Invalid as error:
                self.report(error.detail)

    def report(self, problem: str) -> None:
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append(problem)
        elif len(self._problems) == _MAX_PROBLEMS:
            self._problems.append("There are more problems, which are not listed.")

    def listing(self, expires_at: float) -> Listing:
        return Listing(self._tools, tuple(self._problems), expires_at)

    def _add(self, tool: ListedTool) -> None:
        if not _NAME.fullmatch(tool.name):
            raise Invalid(
                f"A tool is named {tool.name[:100]!r} and is not offered: a name has at most 128 letters, digits and "
                "_ . / : -"
            )
        if tool.name in self._tools:
            raise Invalid(f"The tool {tool.name!r} is listed twice; the first one is offered.")
        if tool.needs_task:
            raise Invalid(
                f"The tool {tool.name!r} runs only as a task of revision 2025-11-25, and is not offered."
            )
        if tool.problem:
            raise Invalid(f"The tool {tool.name!r} {tool.problem}.")
        schema = tool.input_schema
        size = self._checked(schema, f"The tool {tool.name!r} is not offered: its input schema")
        output = self._output_schema(tool)
        description = self._description(tool)
        size += len(tool.name) + len(description) + len(msgspec.json.encode(output))
        if len(self._tools) >= MAX_TOOLS or self._bytes + size > MAX_TOTAL_BYTES:
            self.full = True
            raise Invalid(
                f"The server lists more than {MAX_TOOLS} tools, or more than {MAX_TOTAL_BYTES} bytes of them: only "
                f"the first {len(self._tools)} are offered."
            )
        self._bytes += size
        hints = {name: value for name, value in (tool.annotations or {}).items() if value is not None}
        self._tools[tool.name] = ToolDefinition(
            name=tool.name,
            description=description,
            input_schema=schema,
            output_schema=output,
            metadata={"annotations": hints} if hints else None,
            repeatable=self._is_repeatable(tool.name, hints),
        )

    def _output_schema(self, tool: ListedTool) -> dict[str, Any] | None:
        if tool.output_schema is None:
            return None
        try:
            self._checked(tool.output_schema, f"The output schema of the tool {tool.name!r} is ignored: it")
        except Invalid as error:
            self.report(error.detail)
            return None
        return tool.output_schema

    def _description(self, tool: ListedTool) -> str:
        description = tool.description or tool.title or ""
        if len(description) > MAX_DESCRIPTION_CHARACTERS:
            self.report(
                f"The description of the tool {tool.name!r} is cut at {MAX_DESCRIPTION_CHARACTERS} characters."
            )
        return description[:MAX_DESCRIPTION_CHARACTERS]

    def _is_repeatable(self, name: str, hints: Mapping[str, Any]) -> bool:
        declared = "*" in self._repeatable or name in self._repeatable
        trusted = hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True
        return declared or (self._trust and trusted)

    @staticmethod
    def _checked(schema: dict[str, Any], where: str) -> int:
        try:
            size = len(msgspec.json.encode(schema))
        except (TypeError, ValueError, RecursionError):
            raise Invalid(f"{where} is not JSON.") from None
        if size > MAX_SCHEMA_BYTES:
            raise Invalid(f"{where} is larger than {MAX_SCHEMA_BYTES} bytes.")
        check_schema(schema, where)
        return size
