"""Results of MCP tools as results of the port: text and images, within a limit."""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from schemas.events.payload import ContentItem, ImageSource
from stack.domain.json_schema import mismatch
from stack.providers.tools.port import ToolResult

MAX_ITEMS = 256
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


class Part(Struct, frozen=True, kw_only=True):
    """One part of a result, of any kind: `text`, or base64 `data` of `mime_type`, or the name of a resource."""

    text: str | None = None
    data: str | None = None
    mime_type: str | None = None
    uri: str | None = None
    name: str | None = None


class Returned(Struct, frozen=True, kw_only=True):
    """The result of a call, as the server returned it."""

    parts: Iterable[Part]
    structured: Any = None
    is_error: bool = False


def failed(message: str) -> ToolResult:
    return ToolResult(content=message, is_error=True)


def result_of(
    returned: Returned, *, tool: str, max_bytes: int, output_schema: dict[str, Any] | None
) -> ToolResult:
    """Returns the result for the model. One that is too large is an error. Structured content is in `metadata`, and
    the content is its JSON if the server sent no other."""
    items = [_item(part) for part in returned.parts]
    structured = b"" if returned.structured is None else msgspec.json.encode(returned.structured)
    metadata: dict[str, Any] | None = None
    if structured:
        problem = "" if output_schema is None else mismatch(output_schema, returned.structured)
        metadata = {"structured_content": returned.structured}
        if problem and not returned.is_error:
            metadata = {"structured_content_problem": f"it does not match the output schema: {problem}"}
        if not items:
            items = [ContentItem(type="text", text=structured.decode())]
    size = sum(map(_size, items)) + len(structured)
    if size > max_bytes or len(items) > MAX_ITEMS:
        return failed(
            f"The tool {tool!r} returned {size} bytes in {len(items)} parts; at most {max_bytes} bytes in {MAX_ITEMS} "
            "parts are allowed (the setting `max_result_bytes` of the toolgroup). Ask for less."
        )
    content = items[0].text or "" if len(items) == 1 and items[0].type == "text" else items or ""
    return ToolResult(content=content, is_error=returned.is_error, metadata=metadata)


def _item(part: Part) -> ContentItem:
    if part.data is not None and part.mime_type in _IMAGES and _is_base64(part.data):
        return ContentItem(type="image", image=ImageSource(data=part.data))
    return ContentItem(type="text", text=text_of(part))


def text_of(part: Part) -> str:
    """Returns the text of a part; of binary data, a remark that names it."""
    if part.data is not None:
        size = len(part.data) * 3 // 4
        where = f" at {part.uri}" if part.uri else ""
        return f"[{part.mime_type or 'binary data'}, {size} bytes{where}, not shown]"
    if part.text is not None:
        return f"{part.uri}:\n{part.text}" if part.uri else part.text
    return f"[resource {part.name or ''}: {part.uri}]" if part.name else f"[resource {part.uri}]"


def _size(item: ContentItem) -> int:
    if item.image is not None:
        return len(item.image.data or "")
    return len((item.text or "").encode("utf-8", "surrogatepass"))


def _is_base64(data: str) -> bool:
    try:
        binascii.a2b_base64(data, strict_mode=True)
    except ValueError:
        return False
    return True
