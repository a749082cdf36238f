"""A row of a benchmark: the candidate's input, the expected answer, and the values for the scoring functions.

The input is `chat_completion_input` or `messages` (a list of messages, or that list as JSON text), or
`completion_input` (content, or content as JSON text) or `question`. The expected answer is `expected_answer`
or `answer`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from schemas.api.content import URL, ImageContentItem, ImageSource, TextContentItem
from schemas.events.payload import Content, ContentItem
from stack.domain import payload
from stack.errors import Invalid

FORMATS = (
    "a row needs `chat_completion_input` or `messages` (a list of messages), or `completion_input` or `question`, "
    "and `expected_answer` or `answer`"
)
_CHATS = ("chat_completion_input", "messages")
_TEXTS = ("completion_input", "question")
_ANSWERS = ("expected_answer", "answer")

Role = Literal["system", "user", "assistant"]


class _ImageURL(Struct, frozen=True):
    url: str


class _ImagePart(Struct, frozen=True, tag_field="type", tag="image_url"):
    """An image in OpenAI's chat format."""

    image_url: _ImageURL


_Item = TextContentItem | ImageContentItem | _ImagePart
_Content = str | TextContentItem | ImageContentItem | _ImagePart | list[_Item]


class _Message(Struct, frozen=True):
    role: Role
    content: _Content


class RowMessage(Struct, frozen=True):
    """One message of a conversation."""

    role: Role
    content: Content


class EvalRow(Struct, frozen=True):
    """`messages` is the candidate's input. `values` is the row as scoring functions receive it: all its
    fields, with `expected_answer` and `input_query` under these names. `size` is the length of the row's text
    in bytes."""

    messages: tuple[RowMessage, ...]
    values: dict[str, Any]
    size: int


_row = msgspec.json.Decoder(dict[str, Any])
_messages = msgspec.json.Decoder(list[_Message])


def read_row(text: bytes, answered: bool = True) -> EvalRow:
    """Parses the JSON text of a row. With `answered` the row must contain the expected answer. Raises
    Invalid, whose detail begins with the field."""
    try:
        values = _row.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The row is not a JSON object: {error}.") from None
    messages = _input_messages(values)
    expected = next((values[name] for name in _ANSWERS if values.get(name) is not None), None)
    if answered and expected is None:
        raise Invalid(f"The row says no expected answer; {FORMATS}.")
    if expected is not None:
        values["expected_answer"] = expected
    if values.get("input_query") is None:
        values["input_query"] = _query(messages)
    return EvalRow(messages, values, len(text))


def _input_messages(values: dict[str, Any]) -> tuple[RowMessage, ...]:
    for name in _CHATS:
        if values.get(name) is not None:
            return _conversation(values[name], name)
    for name in _TEXTS:
        if values.get(name) is not None:
            return (RowMessage("user", _single(values[name], name)),)
    raise Invalid(f"The row has no input; {FORMATS}.")


def _conversation(value: Any, field: str) -> tuple[RowMessage, ...]:
    try:
        found = _messages.decode(value) if isinstance(value, str) else msgspec.convert(value, list[_Message])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Invalid(f"{field} is neither a list of messages nor the JSON text of one: {error}.") from None
    if not any(message.role == "user" for message in found):
        raise Invalid(f"{field} has no user message.")
    return tuple(RowMessage(message.role, _content_of(message.content)) for message in found)


def _single(value: Any, field: str) -> Content:
    """Returns the content of one user message. A `completion_input` that is JSON text is decoded first."""
    if field == "completion_input":
        value = _from_json(value)
        if isinstance(value, dict) and "type" not in value:
            value = value.get("content", value)
    try:
        return _content_of(msgspec.convert(value, _Content))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Invalid(f"{field} is not valid content: {error}.") from None


def _from_json(value: Any) -> Any:
    if not isinstance(value, str) or value[:1] not in ('"', "[", "{"):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError):
        return value


def _content_of(content: _Content) -> Content:
    if isinstance(content, list):
        return [_item(item) for item in content]
    return content if isinstance(content, str) else _item(content)


def _item(item: _Item) -> ContentItem:
    if isinstance(item, _ImagePart):
        item = ImageContentItem(ImageSource(url=URL(item.image_url.url)))
    return payload.item(item)


def _query(messages: tuple[RowMessage, ...]) -> str:
    """Returns the text of the last user message, for a judge."""
    last = next(message for message in reversed(messages) if message.role == "user")
    return text_of(last.content)


def text_of(content: Content) -> str:
    """Returns the text of the content, parts joined by a line break."""
    if isinstance(content, str):
        return content
    items = content if isinstance(content, list) else [content]
    return "\n".join(item.text for item in items if item.type == "text" and item.text is not None)
