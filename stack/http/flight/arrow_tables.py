"""Small tables of Python's values as Arrow streams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import accumulate
from typing import Any, Literal

from msgspec import Struct

Kind = Literal["string", "binary", "bool", "int32", "int64", "uint8", "uint32", "strings"]


class Column(Struct, frozen=True):
    """`strings` are lists of texts; only NULL can be written for them."""

    name: str
    kind: Kind
    nullable: bool = False


def stream(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> bytes:
    """Returns the table as a stream of Arrow IPC."""
    import nanoarrow

    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    arrays = [_array(column.kind, of) for column, of in zip(columns, values, strict=True)]
    return written(_struct(columns), len(values[0]) if values else 0, arrays, nanoarrow)


def schema(columns: Sequence[Column]) -> bytes:
    """Returns a stream without rows."""
    return stream(columns, ())


def written(type: Any, length: int, children: Sequence[Any], nanoarrow: Any) -> bytes:
    from nanoarrow.ipc import StreamWriter

    out = BytesIO()
    with StreamWriter.from_writable(out) as writer:
        empty = nanoarrow.c_array_stream(
            nanoarrow.c_array_from_buffers(type, length, [None], children=children)
        )
        if length:
            writer.write_stream(empty)
        else:
            writer.write_stream(empty.__class__.from_c_arrays([], empty.get_schema(), validate=False))
    return out.getvalue()


def _struct(columns: Sequence[Column]) -> Any:
    import nanoarrow

    return nanoarrow.struct({column.name: _type(column) for column in columns}, nullable=False)


def _type(column: Column) -> Any:
    import nanoarrow

    if column.kind == "strings":
        return nanoarrow.list_(nanoarrow.string(nullable=False), nullable=column.nullable)
    made = nanoarrow.bool_ if column.kind == "bool" else getattr(nanoarrow, column.kind)
    return made(nullable=column.nullable)


def _array(kind: Kind, values: Sequence[Any]) -> Any:
    import nanoarrow

    if kind == "strings":
        assert all(value is None for value in values)
        empty = nanoarrow.c_array([], nanoarrow.string())
        offsets = list(accumulate([0] * (len(values) + 1)))
        validity = bytes((len(values) + 7) // 8)
        type = nanoarrow.list_(nanoarrow.string(nullable=False))
        return nanoarrow.c_array_from_buffers(
            type, len(values), [validity, nanoarrow.c_buffer(offsets, nanoarrow.int32())], children=[empty]
        )
    return nanoarrow.c_array(values, _type(Column("", kind, nullable=True)))
