"""Results as a stream of Arrow IPC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb

from stack.providers.sql import slices
from stack.providers.sql.columns import ARROW, limited
from stack.providers.sql.gate import Statement
from stack.providers.sql.ipc import flight_data_of
from stack.providers.sql.pieces import Pieces, Result, split
from stack.providers.sql.tasks import Head, Run

_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""The end of a stream."""
BATCH_ROWS = 4096
"""More take longer. Clients refuse messages above 16 MiB by default (ADBC)."""
MESSAGE_BYTES = 4 * 2**20
"""Batches above it are sent in parts."""
_SPARE = 0.9
"""How much of the estimate is tried if a batch is too large for the rest of the result."""


def written(cursor: duckdb.DuckDBPyConnection, statement: Statement, task: Run) -> Result:
    """Returns the result, cut between two rows. Raises duckdb.Error."""
    out = Pieces()
    *_, head = _batches(cursor, statement, task, out)
    out.write(_END)
    return Result(head, split(out.written))


def messages(cursor: duckdb.DuckDBPyConnection, statement: Statement, task: Run) -> Iterator[bytes | Head]:
    """Yields the messages of the result as `FlightData` while the query runs, and at last the head. Raises
    duckdb.Error."""
    out, head = Pieces(), Head(0, "")
    for so_far in _batches(cursor, statement, task, out, MESSAGE_BYTES):
        head = so_far
        if out.written:
            yield flight_data_of(out.taken())
    yield head


def _batches(
    cursor: duckdb.DuckDBPyConnection,
    statement: Statement,
    task: Run,
    out: Pieces,
    message_bytes: int | None = None,
) -> Iterator[Head]:
    """Writes the schema, and one batch after the other, each followed by the head so far. Batches of more than
    `message_bytes` are written in parts."""
    import nanoarrow
    from nanoarrow.ipc import StreamWriter

    sql, parameters = limited(cursor, statement, task, ARROW)
    # Its public methods have no size of a batch without pyarrow.
    result = cursor.sql(sql, params=parameters)._submit("stream", BATCH_ROWS)
    stream = nanoarrow.c_array_stream(result.arrow_capsule())
    writer = StreamWriter.from_writable(out)
    writer.write_stream(stream.__class__.from_c_arrays([], stream.get_schema(), validate=False))
    count, truncated = 0, ""
    yield Head(count, truncated)
    for batch in stream if message_bytes is None else _small(stream, message_bytes):
        rows = min(len(batch), task.max_rows - count)
        if rows < len(batch):
            truncated = "rows"
        fitting = _write(writer, out, batch, rows, task.max_bytes - len(_END))
        count += fitting
        if fitting < rows:
            truncated = "bytes"
        yield Head(count, truncated)
        if truncated:
            break
    writer.release()


def _small(stream: Any, most: int) -> Iterator[Any]:
    """Yields batches, those of more than `most` bytes in parts, as far as those have enough rows."""
    for batch in stream:
        size, rows = _size(batch), len(batch)
        count = min(-(-size // most), rows // slices.STEP)
        if count <= 1:
            yield batch
            continue
        step = -(-rows // count // slices.STEP) * slices.STEP
        for start in range(0, rows, step):
            yield slices.part(batch, start, min(step, rows - start))


def _size(array: Any) -> int:
    view = array.view()
    own = sum(view.buffer(number).size_bytes for number in range(view.n_buffers))
    return int(own) + sum(map(_size, array.children))


def _write(writer: Any, out: Pieces, batch: Any, rows: int, max_bytes: int) -> int:
    """Writes the first `rows` of a batch, or as many as fit, and returns how many."""
    parts, before = len(out.written), out.size
    while rows:
        writer.write_array(batch if rows == len(batch) else slices.first(batch, rows))
        if out.size <= max_bytes:
            break
        fitting = int(rows * max(0, max_bytes - before) / (out.size - before) * _SPARE)
        rows = min(rows - 1, fitting)
        out.cut(parts)
    return rows
