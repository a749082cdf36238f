"""Attributes with columns of their own, in all supported conventions (see `dialects.py`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from telemetry.wire.dialects import ENTITY_COLUMNS, ENTITY_KIND, ENTITY_NAME, OPERATIONS, SOURCES, provider_of
from telemetry.wire.remembered import Remembered

TEXTS = (
    "operation_name",
    "provider_name",
    "request_model",
    "response_model",
    "response_id",
    "conversation_id",
    "agent_id",
    "agent_name",
    "turn_id",
    "step_id",
    "tool_name",
    "tool_call_id",
    "error_type",
)
COUNTS = ("input_tokens", "output_tokens")

_MAX_KNOWN_BYTES = 4 << 20

Source = tuple[str, bytes, Callable[[bytes], Any]]


def entity(fragments: Mapping[bytes, bytes]) -> tuple[str, bytes] | None:
    """Returns the column that the span's OpenLLMetry entity name fills, and the name. None if its kind is
    unknown."""
    if _ENTITY_KIND not in fragments:
        return None
    kind, name = _texts(fragments[_ENTITY_KIND]), _texts(fragments[ENTITY])
    column = ENTITY_COLUMNS.get((kind or b"").decode())
    return (column, name) if column and name else None


ENTITY = msgspec.json.encode(ENTITY_NAME)
"""The key of OpenLLMetry's entity name as JSON text."""
_ENTITY_KIND = msgspec.json.encode(ENTITY_KIND)


class Promoted(Remembered[tuple[Any, ...], tuple[Source, ...]]):
    """Maps a dialect and the keys of a span's attributes (JSON text), in one tuple, to the columns that they
    fill, each with its key and the conversion from fragment to value. Senders use few sets of keys; the cache
    is bounded for those that do not."""

    def __init__(self) -> None:
        super().__init__(_sources, _size, _MAX_KNOWN_BYTES)


def _sources(dialect_and_keys: tuple[Any, ...]) -> tuple[Source, ...]:
    dialect, *keys = dialect_and_keys
    held = set(keys)
    others = [sources for other, sources in _CONVERTED.items() if other != dialect]
    return tuple(
        (column, key, convert)
        # The source with the highest precedence is last and overwrites the others.
        for sources in (*reversed(others), _CONVERTED[dialect])
        for column, key, convert in sources
        if key in held
    )


def _size(keys: tuple[Any, ...]) -> int:
    return sum(map(len, keys)) + 8 * len(keys)


def _values(convert: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Converts a fragment to its value; None if it has another type."""

    def value_of(fragment: bytes) -> Any:
        return convert(fragment[fragment.index(b'":') + 2 :])

    return Remembered(value_of, len, _MAX_KNOWN_BYTES).__getitem__


def _text(json: bytes) -> bytes | None:
    if not json.startswith(b'"'):
        return None
    if b"\\" not in json:
        return json[1:-1] or None
    text: str = msgspec.json.decode(json)
    return text.encode()


def _operation(names: Mapping[str, str]) -> Callable[[bytes], bytes | None]:
    known = {name.encode(): operation.encode() for name, operation in names.items()}

    def operation_of(json: bytes) -> bytes | None:
        text = _text(json)
        return None if text is None else known.get(text, text)

    return operation_of


def _provider(attribute: str) -> Callable[[bytes], bytes | None]:
    def provider(json: bytes) -> bytes | None:
        text = _text(json)
        return None if text is None else provider_of(text.decode(), attribute).encode()

    return provider


def _count(json: bytes) -> int | None:
    """Parses a non-negative integer, also from a float or a text of digits; None for anything else."""
    if json.isdigit() and len(json) < 19:
        return int(json)
    text = json[1:-1] if json.startswith(b'"') else json
    if not _NUMBER.fullmatch(text):
        return None
    number = msgspec.json.decode(text)
    if number != int(number) or not 0 <= number < 2**63:
        return None
    return int(number)


_NUMBER = re.compile(rb"(0|[1-9]\d{0,18})(\.\d{1,18})?([eE]\+?\d{1,2})?")

_texts, _counts = _values(_text), _values(_count)


def _converter(column: str, name: str) -> Callable[[bytes], Any]:
    if column in COUNTS:
        return _counts
    if column == "provider_name" and name not in SOURCES["current"][column]:
        return _values(_provider(name))
    if column == "operation_name" and name in OPERATIONS:
        return _values(_operation(OPERATIONS[name]))
    return _texts


_CONVERTED: Mapping[str, Sequence[Source]] = {
    dialect: [
        (column, msgspec.json.encode(name), _converter(column, name))
        for column, names in columns.items()
        for name in reversed(names)
    ]
    for dialect, columns in SOURCES.items()
}
