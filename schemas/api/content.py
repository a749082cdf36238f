"""Content of messages: text, images, tool calls and the four kinds of messages (spec: InterleavedContent)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

StopReason = Literal["end_of_turn", "end_of_message", "out_of_tokens"]


class URL(Struct, frozen=True, forbid_unknown_fields=True):
    """A reference to external content. Only `https:` and `data:` URLs are fetched."""

    uri: str


class ImageSource(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The source of an image: `url`, or `data` as base64 text."""

    url: URL | None = None
    data: str | None = None


class TextContentItem(
    Struct, frozen=True, tag_field="type", tag="text", omit_defaults=True, forbid_unknown_fields=True
):
    text: str


class ImageContentItem(
    Struct, frozen=True, tag_field="type", tag="image", omit_defaults=True, forbid_unknown_fields=True
):
    image: ImageSource


ContentItem = TextContentItem | ImageContentItem
InterleavedContent = str | TextContentItem | ImageContentItem | list[TextContentItem | ImageContentItem]


class UserMessage(
    Struct, frozen=True, tag_field="role", tag="user", omit_defaults=True, forbid_unknown_fields=True
):
    content: InterleavedContent
    context: InterleavedContent | None = None


class ToolResponseMessage(
    Struct, frozen=True, tag_field="role", tag="tool", omit_defaults=True, forbid_unknown_fields=True
):
    call_id: str
    content: InterleavedContent


InputMessage = UserMessage | ToolResponseMessage


class ToolCall(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call made by the model. `arguments` is JSON text exactly as the model wrote it."""

    call_id: str
    tool_name: str
    arguments: str


class CompletionMessage(
    Struct, frozen=True, tag_field="role", tag="assistant", omit_defaults=True, forbid_unknown_fields=True
):
    """A model's answer. `tool_calls` is absent (None) if the model made no calls."""

    content: InterleavedContent
    stop_reason: StopReason
    tool_calls: list[ToolCall] | None = None
