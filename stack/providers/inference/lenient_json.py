"""Parses JSON as model servers write it, and values whose type may differ from the API's."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

MAX_COUNT = 2**53

_LONE = re.compile("[\ud800-\udbff\udc00-\udc7f\udd00-\udfff]")
_SHORT = re.compile(
    "(?:[\ud800-\udbff]|[\udcc2-\udcdf]|[\udce0-\udcef][\udc80-\udcbf]?|[\udcf0-\udcf4][\udc80-\udcbf]{0,2})$"
)


class NotJSON(ValueError):
    """The text is not JSON, even with the tolerated deviations."""


def decode(payload: bytes) -> Any:
    """Parses a JSON text. Also accepts NaN, infinities, control characters in strings, halves of surrogate
    pairs and bytes that are not UTF-8; `Characters` joins the latter. Raises NotJSON."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(payload.decode("utf-8", "surrogateescape"), strict=False)
    except (ValueError, RecursionError):
        raise NotJSON from None


class Characters:
    """Joins text that arrives in parts, cut anywhere: also between the halves of a surrogate pair, or between
    the bytes of a character. An unpaired half becomes U+FFFD."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Adds a part and returns the text that is complete."""
        if not self._held and (text.isascii() or _is_clean(text)):
            return text
        text = _paired(self._held + text)
        cut = _SHORT.search(text)
        self._held = cut.group() if cut else ""
        return _whole(text[: cut.start()] if cut else text)

    def end(self) -> str:
        """Returns the text that was held back because it was incomplete."""
        held, self._held = self._held, ""
        return _whole(held)


def clean(text: str) -> str:
    """Returns a complete text without halves of characters."""
    return text if text.isascii() or _is_clean(text) else _whole(_paired(text))


def _is_clean(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _paired(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass") if text else text


def _whole(text: str) -> str:
    """Decodes bytes that were not UTF-8, represented as U+DC80 to U+DCFF: together they may form
    characters."""
    return _LONE.sub("\ufffd", text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def text_in(value: Any) -> str:
    """Returns the text of a string, of a number, or of a list of parts; parts that are not text are left
    out."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(text_in, value))
    if isinstance(value, dict):
        kind = value.get("type")
        if isinstance(kind, str) and ("think" in kind or "reason" in kind):
            return ""
        return text_in(
            value.get("text") or value.get("value") or value.get("content") or value.get("refusal")
        )
    return _number_text(value)


def reasoning_in(value: Any) -> str:
    """Like `text_in`, for the parts that are the model's reasoning."""
    if isinstance(value, list):
        return "".join(map(reasoning_in, value))
    if not isinstance(value, dict):
        return ""
    kind = value.get("type")
    if not isinstance(kind, str) or not ("think" in kind or "reason" in kind):
        return ""
    for key in ("thinking", "reasoning", "text", "content", "summary"):
        if value.get(key):
            return any_text(value[key])
    return ""


def any_text(value: Any) -> str:
    """Returns all text in a value, whatever the types of its parts are."""
    if isinstance(value, list):
        return "".join(map(any_text, value))
    if isinstance(value, dict):
        for key in ("text", "thinking", "reasoning", "content", "summary"):
            if value.get(key):
                return any_text(value[key])
        return ""
    return value if isinstance(value, str) else ""


def _number_text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def name_in(value: Any) -> str:
    """Returns an id or a name: a string, or a number as text; empty for anything else."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _number_text(value)


def count_in(value: Any) -> int | None:
    """Returns an integer from 0 to 2^53, also from a float or a text; None for anything else."""
    if isinstance(value, str) and len(value) <= 20:
        try:
            value = float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) and 0 <= value < MAX_COUNT else None
