"""Builds rows of a table column by column."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from projections.telemetry_columns import Columns
from projections.warehouse.column_batch import Batch, lists, numbers, texts

# Their values are big-endian bytes, as on the wire.
_SPAN_IDS = ("span_id", "parent_span_id")


class RowColumns:
    """`columns` maps names to lists, which must be of equal length when `batch` is called."""

    def __init__(self, kinds: Columns) -> None:
        self.columns: dict[str, list[Any]] = {name: [] for name in kinds}
        self._kinds = kinds

    def add(self, name: str, values: Iterable[Any]) -> None:
        self.columns[name] += values

    def append(self, row: Mapping[str, Any]) -> None:
        for name, values in self.columns.items():
            values.append(row[name])

    def batch(self) -> Batch:
        buffers: list[bytes] = []
        for name, kind in self._kinds.items():
            values = self.columns[name]
            if kind == "text":
                buffers += texts(values)
            elif kind == "id":
                buffers.append(b"".join(values))
            elif kind in ("u64s", "f64s"):
                buffers += lists(kind, values)
            elif name in _SPAN_IDS:
                buffers.append(_span_ids(values))
            else:
                buffers += numbers(kind, values)
        return Batch(len(values), buffers)


def _span_ids(values: Sequence[bytes]) -> bytes:
    ids = array("Q", b"".join(values))
    if sys.byteorder == "little":
        ids.byteswap()
    return ids.tobytes()
