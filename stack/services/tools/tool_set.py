"""The tools of one turn: those of the client, and those of its toolgroups, which the server runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Raw, Struct, to_builtins

from schemas.events.payload import AgentConfig, AgentTool, ToolCall, ToolDef
from schemas.events.turn import ResolvedTool
from stack.domain.json_schema import mismatch
from stack.domain.tool import strict_schema
from stack.domain.turn_action import problem_of
from stack.errors import Invalid
from stack.providers.tools.port import ToolDefinition
from stack.providers.tools.registry import Configured, ToolGroups

MAX_NAME = 64
"""Maximum length in characters of a tool's name in the chat format."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")

_encode = msgspec.json.Encoder().encode


class ServerTool(Struct, frozen=True, kw_only=True):
    """A tool that the server runs. `name` is its name for the model, `args` configure its group in this turn."""

    name: str
    definition: ToolDefinition
    configured: Configured
    args: Mapping[str, Any] = {}

    @property
    def toolgroup(self) -> str:
        return self.configured.settings.id

    @property
    def is_repeatable(self) -> bool:
        """Returns whether it is declared safe to be called again after a crash."""
        listed = self.configured.settings.repeatable
        return self.definition.repeatable or "*" in listed or self.definition.name in listed


class ToolSet:
    """`client` are the names of the client's tools, `server` the server's tools by name, `definitions` all of
    them in the chat format."""

    def __init__(self, client_tools: Sequence[ToolDef], server_tools: Sequence[ServerTool] = ()) -> None:
        self.client = frozenset(tool.name for tool in client_tools)
        self.server = {tool.name: tool for tool in server_tools}
        functions = [function_of(tool.name, tool.description, tool.input_schema) for tool in client_tools]
        functions += [
            function_of(one.name, one.definition.description, one.definition.input_schema)
            for one in server_tools
        ]
        self.functions = functions
        self.definitions = [Raw(_encode({"type": "function", "function": one})) for one in functions]

    @cached_property
    def resolved(self) -> list[ResolvedTool]:
        """The server's tools as they are recorded with a turn."""
        return [
            ResolvedTool(
                name=one.name,
                tool=one.definition.name,
                toolgroup=one.toolgroup,
                input_schema=one.definition.input_schema,
                description=one.definition.description or None,
                repeatable=one.is_repeatable,
                approval=[to_builtins(rule) for rule in one.configured.settings.approval] or None,
            )
            for one in self.server.values()
        ]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 (hex) of the definitions of the server's tools, "" if there are none."""
        return hashlib.sha256(_encode(self.resolved)).hexdigest() if self.server else ""

    @property
    def names(self) -> frozenset[str]:
        return self.client | self.server.keys()

    def problem(self, call: ToolCall) -> str:
        """Returns why a call of a server's tool cannot be made, for the model; empty if it can."""
        if problem := problem_of(call, self.names):
            return problem
        tool = self.server.get(call.tool_name)
        if tool is None:
            return f"Error: {call.tool_name!r} runs at the client and cannot be called here."
        if wrong := mismatch(tool.definition.input_schema, msgspec.json.decode(call.arguments)):
            return f"Error: the arguments do not match the schema of the tool: {wrong}. Call the tool again."
        return ""

    def others(self, tool: ServerTool) -> Mapping[str, Sequence[str]]:
        """Returns the server's tools that a call of this one may suspend for, with the names of their parameters."""
        return {
            one.name: tuple(one.definition.input_schema.get("properties", ()))
            for one in self.server.values()
            if one.toolgroup != tool.toolgroup
        }


async def tool_set(groups: ToolGroups, agent: AgentConfig, of_turn: Sequence[AgentTool]) -> ToolSet:
    """Returns the tools of a turn: the agent's and those that only the turn has, whose `args` take precedence.

    Raises Invalid for an unknown toolgroup or tool, and the errors of the groups' servers.
    """
    wanted: dict[str, _Wanted] = {}
    for given in (*(agent.toolgroups or ()), *of_turn):
        name, args = (given, {}) if isinstance(given, str) else (given.name, given.args)
        group_id, tool = split_name(name, groups)
        known = wanted.setdefault(group_id, _Wanted(set(), {}))
        known.tools.add(tool)
        known.args.update(args)
    client_tools = agent.client_tools or ()
    taken = {tool.name for tool in client_tools}
    found: list[ServerTool] = []
    for group_id, one in wanted.items():
        configured = groups.groups[group_id]
        listed = {tool.name: tool for tool in await configured.group.tools(one.args)}
        if missing := sorted(one.tools - listed.keys() - {""}):
            raise Invalid(f"The toolgroup {group_id!r} has no tool {missing[0]!r}.")
        for definition in listed.values():
            if "" in one.tools or definition.name in one.tools:
                name = _name(group_id, definition.name, taken)
                taken.add(name)
                found.append(
                    ServerTool(name=name, definition=definition, configured=configured, args=one.args)
                )
    return ToolSet(client_tools, found)


class _Wanted(Struct):
    """The tools of one group; "" means all."""

    tools: set[str]
    args: dict[str, Any]


def split_name(name: str, groups: ToolGroups) -> tuple[str, str]:
    """Splits `group` or `group/tool`; the tool is "" for all. Raises Invalid for an unknown group."""
    group_id, _, tool = name.partition("/")
    if group_id not in groups.groups:
        known = ", ".join(sorted(groups.groups)) or "none is configured"
        raise Invalid(f"There is no toolgroup {group_id!r}. Known: {known}.")
    return group_id, tool


def _name(group_id: str, tool: str, taken: set[str]) -> str:
    """Returns the name of a tool for the model: its own, as far as the chat format and the other names allow."""
    name = _NOT_IN_NAMES.sub("_", tool)
    if name in taken:
        name = _NOT_IN_NAMES.sub("_", f"{group_id.partition('::')[2]}__{tool}")
    if len(name) > MAX_NAME or name in taken or not name:
        digest = hashlib.sha256(f"{group_id}/{tool}".encode()).hexdigest()[:8]
        name = f"{name[: MAX_NAME - 9]}_{digest}"
    return name


def function_of(name: str, description: str | None, schema: dict[str, Any] | None) -> dict[str, Any]:
    function: dict[str, Any] = {"name": name}
    if description:
        function["description"] = description
    function["parameters"] = strict_schema(schema or {})
    return function
