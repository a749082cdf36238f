"""Encodes messages in OpenAI's chat format: text, images as `data:` URLs, tool calls and their responses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from schemas.events.payload import CompletionMessage, Content, ContentItem
from schemas.events.turn import FetchedContent
from stack.domain.turn_action import arguments_are_json
from stack.services.turns.image import model_url

_encode = msgspec.json.Encoder().encode

Item = str | ContentItem


class Image(NamedTuple):
    """An image as a `data:` URL."""

    url: str


Part = str | Image
"""A part of a message: text or an image."""

LOST_IMAGE = "[an image that is not available]"
IMAGES_FOLLOW = "The tool returned images; they follow in the next message."


def parts_of(content: Content | Iterable[Item], fetched: Mapping[str, FetchedContent]) -> list[Part]:
    """Returns content as parts; consecutive texts are joined by a line break. Items of an unknown kind are
    left out. Never raises."""
    single = isinstance(content, str | ContentItem)
    items: Iterable[Item] = [content] if single else content  # type: ignore[list-item, assignment]
    parts: list[Part] = []
    for item in items:
        part: Part
        if isinstance(item, str):
            part = item
        elif item.image is not None:
            url = model_url(item.image, fetched)
            part = Image(url) if url else LOST_IMAGE
        elif item.text is not None:
            part = item.text
        else:
            continue
        _join(parts, part, "\n")
    return parts


def user_message(blocks: Iterable[list[Part]]) -> Raw:
    """Joins blocks by a blank line. Without images the content is plain text, which every server accepts;
    with images it is a list of parts."""
    parts: list[Part] = []
    for block in blocks:
        for number, part in enumerate(block):
            if part:
                _join(parts, part, "\n" if number else "\n\n")
    if all(isinstance(part, str) for part in parts):
        return _message("user", "".join(part for part in parts if isinstance(part, str)))
    return _message("user", [_chat_part(part) for part in parts])


def tool_message(call_id: str, parts: list[Part]) -> Raw:
    """Returns the text of a tool's response. It cannot contain images: `images_of` adds them after it."""
    text = "\n".join(part for part in parts if isinstance(part, str))
    if not text and images_of(call_id, parts):
        text = IMAGES_FOLLOW
    return Raw(_encode({"role": "tool", "tool_call_id": call_id, "content": text}))


def images_of(call_id: str, parts: list[Part]) -> list[Part]:
    """Returns the images of a tool's response as a block of a user message; empty if there are none."""
    images: list[Part] = [part for part in parts if isinstance(part, Image)]
    return [f"Images that the tool call {call_id} returned:", *images] if images else []


def assistant_message(output: CompletionMessage) -> Raw:
    if not output.tool_calls:
        return _message("assistant", output.content)
    # Servers parse the arguments for their templates, so invalid JSON objects must not be sent back.
    calls = [
        {
            "id": call.call_id,
            "type": "function",
            "function": {
                "name": call.tool_name,
                "arguments": call.arguments if arguments_are_json(call) else "{}",
            },
        }
        for call in output.tool_calls
    ]
    return Raw(_encode({"role": "assistant", "content": output.content, "tool_calls": calls}))


def system_text(text: str) -> Raw:
    return _message("system", text)


def _join(parts: list[Part], part: Part, separator: str) -> None:
    """Adds a part; two consecutive texts are joined."""
    if parts and isinstance(part, str) and isinstance(parts[-1], str):
        parts[-1] = f"{parts[-1]}{separator}{part}"
    else:
        parts.append(part)


def _chat_part(part: Part) -> dict[str, Any]:
    if isinstance(part, Image):
        return {"type": "image_url", "image_url": {"url": part.url}}
    return {"type": "text", "text": part}


def _message(role: str, content: Any) -> Raw:
    return Raw(_encode({"role": role, "content": content}))


def digests_of(messages: Iterable[Raw]) -> bytes:
    """Returns the SHA-256 of each message, concatenated (32 bytes each). A request's digest is computed from
    these, so that a long history is hashed only once instead of for every inference."""
    return b"".join([hashlib.sha256(message).digest() for message in messages])
