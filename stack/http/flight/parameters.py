"""The values of a prepared statement's parameters, which arrive as a stream of Arrow."""

from __future__ import annotations

import datetime
import math
import uuid
from collections.abc import Sequence
from decimal import Decimal
from io import BytesIO
from typing import Any

from stack.errors import Invalid
from stack.providers.sql.ipc import END, Malformed, Message, body_length

MAX_BYTES = 2**20


class Arriving:
    """The stream of the messages that arrive. Raises Invalid."""

    def __init__(self) -> None:
        self._stream = BytesIO()

    def add(self, header: bytes, body: bytes) -> None:
        if not header:
            # It has a descriptor or metadata only.
            return
        try:
            if body_length(header) != len(body):
                raise Malformed("a body has another length than its header says")
        except Malformed as error:
            raise Invalid(f"parameters: they are not Arrow data: {error}.") from None
        padded = header + bytes(-len(header) % 8)
        self._stream.write(Message(padded, body).encapsulated)
        if self._stream.tell() > MAX_BYTES:
            raise Invalid(f"parameters: they have more than {MAX_BYTES} bytes.")

    def values(self) -> list[Any]:
        """Returns the values of the one row, of the types of JSON; others as texts, as DuckDB reads them."""
        import nanoarrow
        from nanoarrow._utils import NanoarrowException
        from nanoarrow.ipc import InputStream

        if not self._stream.tell():
            return []
        self._stream.write(END)
        self._stream.seek(0)
        try:
            with InputStream.from_readable(self._stream) as source:
                rows = [row for batch in nanoarrow.c_array_stream(source) for row in _rows(batch)]
        except (
            NanoarrowException,
            ValueError,
            KeyError,
            NotImplementedError,
            OverflowError,
            UnicodeDecodeError,
        ) as error:
            raise Invalid(f"parameters: they cannot be read: {str(error)[:300]}") from None
        if len(rows) != 1:
            raise Invalid(f"parameters: there are {len(rows)} rows; bind one row at a time.")
        return [_value(value) for value in rows[0]]


def _rows(batch: Any) -> list[Sequence[Any]]:
    import nanoarrow

    array = nanoarrow.Array(batch)
    columns = [array.child(at).to_pylist() for at in range(array.n_children)]
    return list(zip(*columns, strict=True)) if columns else [()] * len(array)


def _value(value: Any) -> Any:
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -(2**63) <= value < 2**64 else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat(sep=" ") if isinstance(value, datetime.datetime) else value.isoformat()
        case Decimal() | uuid.UUID():
            return str(value)
        case bytes():
            return "".join([chr(one) if 32 <= one < 127 and one != 92 else f"\\x{one:02X}" for one in value])
        case datetime.timedelta():
            return f"{value // datetime.timedelta(microseconds=1)} microseconds"
        case list() | tuple():
            return [_value(one) for one in value]
        case dict():
            return {key: _value(one) for key, one in value.items()}
        case _:
            raise Invalid(
                f"parameters: a value of the type {type(value).__name__} is not supported; send it as a text."
            )
