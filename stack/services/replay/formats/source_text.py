"""Reads files of other tools: encoding, JSON, and lines, each problem with its place."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from stack.errors import Invalid
from telemetry.wire.json_values import with_whole_characters

MAX_LINE_BYTES = 64 * 2**20
"""Maximum length of a line, or of a file that is one JSON document, in bytes."""
MAX_DEPTH = 96
"""Maximum nesting of JSON."""
MAX_TIME_US = 4_102_444_800_000_000
"""Later times, from the year 2100 on, are wrong."""

_decode = msgspec.json.Decoder().decode


def checked(data: bytes) -> bytes:
    """Returns the text of a file as UTF-8 without a byte order mark. Raises Invalid if it is empty, compressed or not
    UTF-8."""
    if not data.strip():
        raise Invalid("The file is empty. Give the file that the other tool has written.")
    if data.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")):
        raise Invalid("The file is compressed. Decompress it first.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Invalid("The file is UTF-16. Save it as UTF-8.")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Invalid(
            f"Line {line}: the file is not UTF-8 (byte {error.start} is 0x{data[error.start]:02x}). Save it as UTF-8."
        ) from None
    return data.removeprefix(b"\xef\xbb\xbf")


def document(data: bytes) -> dict[str, Any]:
    """Returns the JSON object that a file consists of. Raises Invalid."""
    text = checked(data)
    return _object(text, "The file")


def lines(data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the JSON objects of a JSON Lines file, each with the number of its line from 1. Raises Invalid."""
    text = checked(data)
    ends_with_a_line = text.endswith(b"\n")
    parts = text.split(b"\n")
    last = len(parts) - ends_with_a_line
    for number, line in enumerate(parts, 1):
        if not line.strip():
            continue
        is_open = number == last and not ends_with_a_line
        yield number, _object(line, f"Line {number}", is_open)


def _object(text: bytes, what: str, is_last: bool = False) -> dict[str, Any]:
    if len(text) > MAX_LINE_BYTES:
        raise Invalid(f"{what} has {len(text)} bytes; at most {MAX_LINE_BYTES} are read.")
    try:
        value = _decoded(text)
    except RecursionError:
        raise Invalid(f"{what} is nested too deeply.") from None
    except msgspec.DecodeError as error:
        cut = " It is the last line and may be cut off; export the file again." if is_last else ""
        raise Invalid(f"{what} is not JSON: {error}.{cut}") from None
    if not isinstance(value, dict):
        raise Invalid(f"{what} is not a JSON object: {text[:40]!r}.")
    if _is_deep(value):
        raise Invalid(f"{what} is nested too deeply: more than {MAX_DEPTH} levels.")
    return value


def _decoded(text: bytes) -> Any:
    try:
        return _decode(text)
    except msgspec.DecodeError:
        # JavaScript cuts texts between the halves of a character.
        whole = with_whole_characters(text)
        if whole == text:
            raise
        return _decode(whole)


def _is_deep(value: dict[str, Any]) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for one in level
            for child in (one.values() if isinstance(one, dict) else one)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def microseconds(value: Any) -> int:
    """Returns a time as microseconds since 1970: ISO 8601, or a number of seconds or milliseconds; 0 if it is none."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return 0
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
        found = (delta.days * 86_400 + delta.seconds) * 10**6 + delta.microseconds
    elif isinstance(value, int | float) and not isinstance(value, bool):
        # Times in seconds are below this until the year 5138, and times in milliseconds above it since 1973.
        value = value if value < MAX_TIME_US else 0
        found = int(value * 1000) if value > 10**11 else int(value * 10**6)
    else:
        return 0
    return found if 0 < found < MAX_TIME_US else 0
