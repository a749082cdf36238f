"""Rows as columns in plain memory, for tables that insert many at once.

The database reads them in place (the Arrow C interface): no object is created per value, and the GIL is not
held. This takes 0.4 us for a row of 500 bytes; numpy's arrays of texts take as long, and the texts would have
to be created first.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, Literal

from msgspec import Struct

Kind = Literal["u8", "u32", "i32", "u64", "i64", "f64", "id", "text", "u64s", "f64s"]
"""Numbers by their number of bits; `id` is 16 bytes; `text` is UTF-8; `u64s` and `f64s` are lists of
numbers."""

_CODES = {"u8": "B", "u32": "I", "i32": "i", "u64": "Q", "i64": "q", "f64": "d"}


class Batch(Struct, array_like=True):
    """`buffers` are those of the columns in order: one for numbers and ids; offsets and content for the
    others."""

    rows: int
    buffers: list[bytes]

    def size(self) -> int:
        return sum(map(len, self.buffers))


def numbers(kind: Kind, values: Iterable[float]) -> list[bytes]:
    """Raises OverflowError if a value does not fit."""
    return [array(_CODES[kind], values).tobytes()]


def texts(values: Sequence[bytes]) -> list[bytes]:
    return [array("i", accumulate(map(len, values), initial=0)).tobytes(), b"".join(values)]


def lists(kind: Literal["u64s", "f64s"], values: Sequence[Sequence[float]]) -> list[bytes]:
    code = _CODES[kind[:-1]]
    offsets = array("i", accumulate(map(len, values), initial=0)).tobytes()
    return [offsets, b"".join([array(code, value).tobytes() for value in values])]


class Rows:
    """Consecutive batches, as a table that statements can read by name, any number of times."""

    def __init__(self, columns: Mapping[str, Kind], batches: Sequence[Batch]) -> None:
        self._columns = columns
        self._batches = batches
        self.rows = sum([batch.rows for batch in batches])

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        from nanoarrow.c_array_stream import CArrayStream

        schema = _schema(tuple(self._columns.items()))
        # One array for all batches: many small ones cost the database as much as ten times as many rows.
        merged = self._batches[0] if len(self._batches) == 1 else self._merged()
        return CArrayStream.from_c_arrays([self._array(merged, schema)], schema).__arrow_c_stream__()

    def _merged(self) -> Batch:
        buffers: list[bytes] = []
        of_batches = zip(*[batch.buffers for batch in self._batches], strict=True)
        for kind in self._columns.values():
            parts = next(of_batches)
            buffers.append(b"".join(parts) if _buffers(kind) == 1 else _offsets(parts))
            if _buffers(kind) == 2:
                buffers.append(b"".join(next(of_batches)))
        return Batch(self.rows, buffers)

    @property
    def last_number(self) -> int:
        """Returns the last number of rows whose last column is a column of increasing numbers."""
        return int.from_bytes(self._batches[-1].buffers[-1][-8:], sys.byteorder, signed=True)

    def only(self, columns: Container[str]) -> Rows:
        """Returns the same rows with some of their columns: a statement imports all columns, even those it
        does not read."""
        places: list[int] = []
        first = 0
        for name, kind in self._columns.items():
            if name in columns:
                places += range(first, first + _buffers(kind))
            first += _buffers(kind)
        kept = [Batch(batch.rows, [batch.buffers[place] for place in places]) for batch in self._batches]
        return Rows({name: kind for name, kind in self._columns.items() if name in columns}, kept)

    def with_column(self, column: str, content: bytes) -> Rows:
        """Returns the same rows with an additional column, of `u8`."""
        batches, first = [], 0
        for batch in self._batches:
            batches.append(Batch(batch.rows, [*batch.buffers, content[first : first + batch.rows]]))
            first += batch.rows
        return Rows({**self._columns, column: "u8"}, batches)

    def content(self, column: str) -> bytes:
        """Returns the values of a column of numbers or ids as they are in memory."""
        kinds = list(self._columns.values())
        place = sum(map(_buffers, kinds[: list(self._columns).index(column)]))
        return b"".join([batch.buffers[place] for batch in self._batches])

    def values(self, column: str, rows: Sequence[int]) -> list[Any]:
        """Returns the values of some rows in a column of numbers or ids."""
        kind, content = self._columns[column], self.content(column)
        if kind == "id":
            return [content[16 * row : 16 * row + 16] for row in rows]
        column_values = array(_CODES[kind], content)
        return [column_values[row] for row in rows]

    def without(self, rows: Collection[int]) -> Rows:
        """Returns all but these rows, which are numbered through all batches. Unaffected batches are not
        copied: selecting rows takes 10 us each, during which the GIL is held."""
        dropped = sorted(rows)
        kept, first, at = [], 0, 0
        for batch in self._batches:
            end = bisect_left(dropped, first + batch.rows, at)
            if end > at:
                here = {row - first for row in dropped[at:end]}
                batch_rows = [row for row in range(batch.rows) if row not in here]
                kept += [_picked(self._columns, batch, batch_rows)] if batch_rows else []
            else:
                kept.append(batch)
            first, at = first + batch.rows, end
        return Rows(self._columns, kept)

    def _array(self, batch: Batch, schema: Any) -> Any:
        from nanoarrow.c_array import c_array_from_buffers

        buffers, children = iter(batch.buffers), []
        for kind in self._columns.values():
            if kind in ("u64s", "f64s"):
                offsets, content = next(buffers), next(buffers)
                items = c_array_from_buffers(_type(kind[:-1]), len(content) // 8, [None, content])
                children.append(
                    c_array_from_buffers(_type(kind), batch.rows, [None, offsets], children=[items])
                )
                continue
            own = [next(buffers), next(buffers)] if kind == "text" else [next(buffers)]
            children.append(c_array_from_buffers(_type(kind), batch.rows, [None, *own]))
        return c_array_from_buffers(schema, batch.rows, [None], children=children)


def _buffers(kind: Kind) -> int:
    return 2 if kind in ("text", "u64s", "f64s") else 1


def _offsets(parts: Sequence[bytes]) -> bytes:
    """Returns the offsets into concatenated contents."""
    import numpy as np

    merged = [np.zeros(1, dtype=np.int32)]
    end = 0
    for part in parts:
        offsets = np.frombuffer(part, dtype=np.int32)
        merged.append(offsets[1:] + np.int32(end))
        end += int(offsets[-1])
    return np.concatenate(merged).tobytes()


def _picked(columns: Mapping[str, Kind], batch: Batch, rows: Sequence[int]) -> Batch:
    buffers, picked = iter(batch.buffers), []
    for kind in columns.values():
        if _buffers(kind) == 1:
            content = next(buffers)
            size = 16 if kind == "id" else array(_CODES[kind]).itemsize
            picked.append(b"".join([content[size * row : size * (row + 1)] for row in rows]))
            continue
        offsets, content = array("i", next(buffers)), next(buffers)
        size = 1 if kind == "text" else 8
        parts = [content[size * offsets[row] : size * offsets[row + 1]] for row in rows]
        lengths = [len(part) // size for part in parts]
        picked += [array("i", accumulate(lengths, initial=0)).tobytes(), b"".join(parts)]
    return Batch(len(rows), picked)


@cache
def _schema(columns: tuple[tuple[str, Kind], ...]) -> Any:
    import nanoarrow
    from nanoarrow.c_schema import c_schema

    return c_schema(nanoarrow.struct({name: _type(kind) for name, kind in columns}))


@cache
def _type(kind: str) -> Any:
    import nanoarrow as na

    types = {
        "u8": na.uint8,
        "u32": na.uint32,
        "i32": na.int32,
        "u64": na.uint64,
        "i64": na.int64,
        "f64": na.float64,
        "text": na.string,
    }
    if kind == "id":
        return na.fixed_size_binary(16)
    if kind in ("u64s", "f64s"):
        return na.list_(_type(kind[:-1]))
    return types[kind]()
