"""Tools and parts of results of the SDK, without its types.

Imports the SDK: import this module only in the thread of MCP clients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcp.types import (
    AudioContent,
    BlobResourceContents,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)

from stack.providers.tools.mcp_listing import PROBLEM, ListedTool
from stack.providers.tools.mcp_result import Part


def parts_of(blocks: Iterable[ContentBlock]) -> list[Part]:
    return [_part(block) for block in blocks]


def _part(block: ContentBlock) -> Part:
    match block:
        case TextContent():
            return Part(text=block.text)
        case ImageContent() | AudioContent():
            return Part(data=block.data, mime_type=block.mime_type)
        case EmbeddedResource():
            return resource_part(block.resource)
        case ResourceLink():
            return Part(uri=str(block.uri), name=block.title or block.name)


def resource_part(resource: TextResourceContents | BlobResourceContents) -> Part:
    if isinstance(resource, TextResourceContents):
        return Part(text=resource.text, uri=str(resource.uri), mime_type=resource.mime_type)
    return Part(data=resource.blob, uri=str(resource.uri), mime_type=resource.mime_type)


def listed(tools: Sequence[Tool]) -> list[ListedTool]:
    return [
        ListedTool(
            name=tool.name,
            title=tool.title,
            description=tool.description,
            input_schema=tool.input_schema,
            output_schema=tool.output_schema,
            annotations=tool.annotations.model_dump(by_alias=True, mode="json") if tool.annotations else None,
            needs_task=tool.execution is not None and tool.execution.task_support == "required",
            problem=str((tool.meta or {}).get(PROBLEM, "")),
        )
        for tool in tools
    ]
