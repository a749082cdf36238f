"""The parts of the SDK's results, without its types.

Imports the SDK: import this module only in the thread of MCP clients.
"""

from __future__ import annotations

from collections.abc import Iterable

from mcp.types import (
    AudioContent,
    BlobResourceContents,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

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
