"""A row of a benchmark: what the candidate is asked, what is expected, and what the scoring functions see.

The input is `chat_completion_input` or `messages` (a list of messages, or that as JSON text), or
`completion_input` (content, or that as JSON text) or `question`; the answer that is expected is `expected_answer` or
`answer`.
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
    """An image as OpenAI's chat form has it."""

    image_url: _ImageURL


_Item = TextContentItem | ImageContentItem | _ImagePart
_Content = str | TextContentItem | ImageContentItem | _ImagePart | list[_Item]


class _Message(Struct, frozen=True):
    role: Role
    content: _Content


class RowMessage(Struct, frozen=True):
    """What somebody said."""

    role: Role
    content: Content


class EvalRow(Struct, frozen=True):
    """`messages` is what the candidate is asked. `values` is the row as scoring functions see it: all its fields,
    with `expected_answer` and `input_query` under these names. `size` is the length of the row's text in bytes."""

    messages: tuple[RowMessage, ...]
    values: dict[str, Any]
    size: int


_row = msgspec.json.Decoder(dict[str, Any])
_messages = msgspec.json.Decoder(list[_Message])


def read_row(text: bytes, answered: bool = True) -> EvalRow:
    """The row whose JSON text this is. With `answered` it has to say what answer is expected. Raises Invalid, whose
    detail begins with the field."""
    try:
        values = _row.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The row is not a JSON object: {error}.") from None
    messages = _asked(values)
    expected = next((values[name] for name in _ANSWERS if values.get(name) is not None), None)
    if answered and expected is None:
        raise Invalid(f"The row says no expected answer; {FORMATS}.")
    if expected is not None:
        values["expected_answer"] = expected
    if values.get("input_query") is None:
        values["input_query"] = _query(messages)
    return EvalRow(messages, values, len(text))


def _asked(values: dict[str, Any]) -> tuple[RowMessage, ...]:
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
    """What one user message says. A `completion_input` that is JSON text stands for what is in it."""
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
    """What the user said last, for a judge to see."""
    last = next(message for message in reversed(messages) if message.role == "user")
    return text_of(last.content)


def text_of(content: Content) -> str:
    """The text in it, pieces joined by a line break."""
    if isinstance(content, str):
        return content
    items = content if isinstance(content, list) else [content]
    return "\n".join(item.text for item in items if item.type == "text" and item.text is not None)
