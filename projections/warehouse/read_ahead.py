"""Reads the next batch of a long log in a separate thread while the last one is being applied."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from projections.warehouse.port import Source, Tables


class _Read(NamedTuple):
    last: int
    prepared: Any


class ReadAhead:
    """Call `take` from one thread and `close` once."""

    def __init__(self, source: Source[Any]) -> None:
        self._source = source
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read ahead")
        self._begun: tuple[Tables[Any], Future[_Read]] | None = None

    def take(self, tables: Tables[Any], *, in_bulk: bool, has_more: bool) -> Any:
        """Returns the batch after the position of `tables`, prepared for `Tables.apply`. With `has_more`,
        reading of the following one is started: it must be taken next for the same tables, or never. Raises
        the errors of the log."""
        begun, self._begun = self._begun, None
        if begun is not None and begun[0] is tables:
            read = begun[1].result()
        else:
            read = self._read(tables, tables.position, in_bulk)
        if has_more and tables.position < read.last < self._source.head():
            self._begun = tables, self._thread.submit(self._read, tables, read.last, in_bulk)
        return read.prepared

    def close(self) -> None:
        self._begun = None
        self._thread.shutdown(cancel_futures=True)

    def _read(self, tables: Tables[Any], after: int, in_bulk: bool) -> _Read:
        records = self._source.read(after, in_bulk=in_bulk)
        return _Read(records[-1].position if records else after, tables.prepare(records))
