"""The toolgroups and tools of the server, for callers that list them and call tools directly."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from projections import wire
from schemas.api.tool import (
    InvokeToolRequest,
    McpEndpoint,
    Tool,
    ToolGroup,
    ToolInvocationResult,
    ToolParameter,
)
from stack.domain.json_schema import mismatch
from stack.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ReplaystackError,
    UpstreamFailed,
    UpstreamTimeout,
)
from stack.providers.inference.settings import shown_url
from stack.providers.tools.port import NotCalled, Suspended, ToolDefinition, ToolRequest, ToolResult
from stack.providers.tools.registry import Configured, ToolGroups
from stack.providers.tools.result_text import text_of
from stack.services.effects import new_id
from stack.services.tools.approval_rules import needs_approval

logger = logging.getLogger("replaystack.tools")

LIST_ALL_S = 15.0
"""A list of all tools does not wait longer for a toolgroup; one that takes longer is left out."""


class _Found(Struct, frozen=True):
    configured: Configured
    definition: ToolDefinition

    @property
    def group_id(self) -> str:
        return self.configured.settings.id


class ToolDirectory:
    """Tools are named as their groups name them, or `group/tool`. Calls are made outside of any turn: nothing is
    recorded."""

    def __init__(self, toolgroups: ToolGroups) -> None:
        self._groups = toolgroups.groups

    def groups(self) -> list[ToolGroup]:
        return [_group(one) for one in self._groups.values()]

    def group(self, group_id: str) -> ToolGroup:
        """Raises NotFound."""
        return _group(self._configured(group_id))

    async def tools(self, group_id: str | None = None) -> list[Tool]:
        """Returns the tools of one group, or of all that can be listed. Raises NotFound, and the errors of the one
        group's server."""
        return _named(await self._found(group_id))

    async def tool(self, name: str) -> Tool:
        """Raises NotFound, and Conflict for a name that several groups have."""
        return _tool(await self._one(name, None), name)

    async def invoke(
        self, request: InvokeToolRequest, *, is_retry: bool, has_key: bool
    ) -> ToolInvocationResult:
        """Calls a tool. Raises Forbidden for a call that needs approval, and Conflict for one that can be made only
        in a turn, or may have been made before."""
        found = await self._one(request.tool_name, request.toolgroup_id)
        settings, definition = found.configured.settings, found.definition
        if wrong := mismatch(definition.input_schema, request.kwargs):
            raise Invalid(f"kwargs do not match the schema of the tool {request.tool_name!r}: {wrong}.")
        if needs_approval(settings.approval, definition.name, request.kwargs):
            raise Forbidden(
                f"This call of {request.tool_name!r} needs approval, by the rules of {found.group_id!r}, which only a "
                "turn can ask for. Give an agent the tool and let it call it."
            )
        repeatable = definition.repeatable or bool({"*", definition.name} & set(settings.repeatable))
        if not repeatable and (is_retry or has_key):
            raise Conflict(
                f"The call of {request.tool_name!r} may have been made by an earlier request, and calls outside of "
                "turns are not recorded. Send it as a new request, without Idempotency-Key and without automatic "
                "retries, or declare the tool `repeatable` in the settings."
            )
        async with found.configured.slots:
            result = await _called(found, request.kwargs)
        failure = text_of(result.content)[:2_000] if result.is_error else None
        return ToolInvocationResult(
            content=wire.content(result.content),
            error_message=failure,
            error_code=1 if result.is_error else None,
            metadata=result.metadata,
        )

    def _configured(self, group_id: str) -> Configured:
        if group_id not in self._groups:
            known = ", ".join(sorted(self._groups)) or "none is configured"
            raise NotFound(f"There is no toolgroup {group_id!r}. Known: {known}.")
        return self._groups[group_id]

    async def _one(self, name: str, group_id: str | None) -> _Found:
        before, _, after = name.partition("/")
        if group_id is None and before in self._groups and after:
            group_id, name = before, after
        found = [one for one in await self._found(group_id) if one.definition.name == name]
        if not found:
            raise NotFound(f"There is no tool {name!r}. GET /v1/tools lists them.")
        if len(found) > 1:
            groups = " and ".join(one.group_id for one in found)
            raise Conflict(f"{groups} both have a tool {name!r}: give it as `group/tool`.")
        return found[0]

    async def _found(self, group_id: str | None) -> list[_Found]:
        if group_id is not None:
            configured = self._configured(group_id)
            return [_Found(configured, tool) for tool in await configured.group.tools({})]
        lists = await asyncio.gather(*(_listed(one) for one in self._groups.values()))
        return [found for listed in lists for found in listed]


async def _listed(configured: Configured) -> Sequence[_Found]:
    """Returns the tools of a group; none if it cannot list them, which must not hide the others."""
    try:
        async with asyncio.timeout(LIST_ALL_S):
            return [_Found(configured, tool) for tool in await configured.group.tools({})]
    except TimeoutError:
        reason = f"not listed within {LIST_ALL_S:g} s"
    except ReplaystackError as error:
        reason = error.detail
    logger.warning("the tools of %s are left out: %s", configured.settings.id, reason)
    return ()


async def _called(found: _Found, arguments: dict[str, Any]) -> ToolResult:
    key = hashlib.sha256(new_id().encode()).hexdigest()
    request = ToolRequest(tool=found.definition.name, arguments=arguments, key=key)
    try:
        result = await asyncio.wait_for(
            found.configured.group.call(request), found.configured.settings.timeout_s
        )
    except NotCalled as error:
        raise UpstreamFailed(str(error)) from None
    except TimeoutError:
        raise UpstreamTimeout(
            f"{found.definition.name!r} did not answer in time; its outcome is unknown.", should_retry=False
        ) from None
    except ReplaystackError as error:
        # Clients repeat failed requests unasked; whether this one had its effect is unknown.
        error.should_retry = False
        raise
    if isinstance(result, Suspended):
        asks = f"asks: {result.question.message[:500]}" if result.question else "calls other tools"
        raise Conflict(f"The tool {found.definition.name!r} {asks}. Only a turn can continue such a call.")
    return result


def _group(configured: Configured) -> ToolGroup:
    url = configured.settings.url
    return ToolGroup(
        identifier=configured.settings.id,
        provider_id=configured.group.provider_id,
        type="tool_group",
        provider_resource_id=configured.settings.id,
        mcp_endpoint=McpEndpoint(shown_url(url)) if url else None,
    )


def _named(found: Sequence[_Found]) -> list[Tool]:
    """Returns tools with unique identifiers: the tool's name, or `group/tool` if an earlier group has that name."""
    taken: set[str] = set()
    tools = []
    for one in found:
        name = one.definition.name
        if name in taken:
            name = f"{one.group_id}/{name}"
        taken.add(name)
        tools.append(_tool(one, name))
    return tools


def _tool(found: _Found, identifier: str) -> Tool:
    definition = found.definition
    return Tool(
        identifier=identifier,
        provider_id=found.configured.group.provider_id,
        toolgroup_id=found.group_id,
        type="tool",
        description=definition.description,
        parameters=_parameters(definition.input_schema),
        name=identifier,
        input_schema=definition.input_schema,
        output_schema=definition.output_schema,
        metadata=definition.metadata,
        provider_resource_id=definition.name,
    )


def _parameters(schema: dict[str, Any]) -> list[ToolParameter]:
    """Returns the properties of a schema in the older form, which has only a type for each."""
    required = schema.get("required") or ()
    properties = schema.get("properties") or {}
    parameters = []
    for name, of_one in properties.items():
        known = of_one if isinstance(of_one, dict) else {}
        kind = known.get("type", "object" if "properties" in known else "string")
        parameters.append(
            ToolParameter(
                name=name,
                description=str(known.get("description") or known.get("title") or ""),
                parameter_type=kind if isinstance(kind, str) else msgspec.json.encode(kind).decode(),
                required=name in required,
                default=known.get("default"),
            )
        )
    return parameters
