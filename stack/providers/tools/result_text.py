"""Tool results as plain text."""

from __future__ import annotations

from schemas.events.payload import Content


def text_of(content: Content) -> str:
    """Returns the text of a result. An image is replaced by a remark."""
    if isinstance(content, str):
        return content
    items = content if isinstance(content, list) else [content]
    return "\n".join(item.text or "" if item.type == "text" else f"[{item.type}]" for item in items)
