"""Toolgroups and the tools in them, and tools that are called directly (not part of the Llama Stack specification).

Clients of different versions read a tool in two forms; a response holds both.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from schemas.api.content import InterleavedContent


class ToolParameter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One parameter in the older form; `parameter_type` is a JSON Schema type."""

    name: str
    description: str
    parameter_type: str
    required: bool
    default: Any = None


class Tool(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool that the server runs. `name` and `input_schema` are the newer form of `identifier` and
    `parameters`."""

    identifier: str
    provider_id: str
    toolgroup_id: str
    type: Literal["tool"]
    description: str
    parameters: list[ToolParameter]
    name: str
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    provider_resource_id: str | None = None


class ListToolsResponse(Struct, frozen=True):
    data: list[Tool]


class McpEndpoint(Struct, frozen=True):
    """The URI of an MCP server."""

    uri: str


class ToolGroup(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group of tools. `args` contains no secrets."""

    identifier: str
    provider_id: str
    type: Literal["tool_group"]
    args: dict[str, Any] | None = None
    mcp_endpoint: McpEndpoint | None = None
    provider_resource_id: str | None = None


class ListToolGroupsResponse(Struct, frozen=True):
    data: list[ToolGroup]


class InvokeToolRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tool_name` is a tool's name, or `group/tool`; `kwargs` are its arguments. `toolgroup_id` selects the group of a
    tool whose name several groups have."""

    tool_name: str
    kwargs: dict[str, Any]
    toolgroup_id: str | None = None


class ToolInvocationResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`error_message` and `error_code` (1) are set if the tool itself reported that it failed."""

    content: InterleavedContent | None = None
    error_message: str | None = None
    error_code: int | None = None
    metadata: dict[str, Any] | None = None
