"""Content of messages: text and images, in our form and by URL as other formats have it."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable

from schemas.events.payload import URL, Content, ContentItem, ImageSource
from stack.errors import Invalid
from stack.services.replay.formats.fields import Fields
from stack.services.turns.image import image_type

_HEAD_CHARACTERS = 16
_BY_ENDING = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}


def text_item(text: str) -> ContentItem:
    return ContentItem(type="text", text=text)


def image_item(uri: str) -> ContentItem:
    """Returns an image by its URL; that of base64 in a `data:` URL as data."""
    head, comma, data = uri.partition(",")
    if uri.startswith("data:") and comma and head.endswith(";base64"):
        return ContentItem(type="image", image=ImageSource(data=data))
    return ContentItem(type="image", image=ImageSource(url=URL(uri)))


def items_of(content: Content) -> list[ContentItem]:
    if isinstance(content, str):
        return [text_item(content)]
    return content if isinstance(content, list) else [content]


def content_of(items: Iterable[ContentItem]) -> Content:
    """Returns items as content: one text as text."""
    found = list(items)
    if not found:
        return ""
    only = found[0]
    return only.text if len(found) == 1 and only.type == "text" and only.text is not None else found


def read_content(
    fields: Fields, name: str, items: Callable[[Iterable[Fields]], Iterable[ContentItem]]
) -> Content:
    """Returns the content of a field: text, or a list of parts, of which `items` makes ours. Raises Invalid."""
    value = fields.any(name)
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        is_line = fields.place.startswith("line ")
        where = f"{fields.place.capitalize()}: {name}" if is_line else f"{fields.place}.{name}"
        raise Invalid(f"{where} is neither text nor a list of parts.")
    return content_of(items(fields.objects(name)))


def text_of(content: Content) -> str:
    """Returns the texts of content, joined by line breaks."""
    return (
        content if isinstance(content, str) else "\n".join(one.text for one in items_of(content) if one.text)
    )


def image_uri(image: ImageSource) -> tuple[str, str]:
    """Returns the URL of an image, a `data:` URL if its data is stored, and its media type: detected from the data, or
    guessed from the URL."""
    if image.data is not None:
        found = _type_of(image.data)
        return f"data:{found};base64,{image.data}", found
    uri = image.url.uri if image.url is not None else ""
    if uri.startswith("data:"):
        head = uri[5:].partition(",")[0].partition(";")[0].lower()
        return uri, head if head in (*_BY_ENDING.values(), "image/png") else "image/png"
    ending = next((one for one in _BY_ENDING if uri.lower().partition("?")[0].endswith(one)), "")
    return uri, _BY_ENDING.get(ending, "image/png")


def _type_of(data: str) -> str:
    try:
        return image_type(binascii.a2b_base64(data[:_HEAD_CHARACTERS])) or "image/png"
    except ValueError:
        return "image/png"
