"""Rows of decoded requests, to be looked at."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from projections.telemetry_columns import (
    HISTOGRAMS,
    LOGS,
    POINTS,
    RESOURCES,
    SCOPES,
    SPANS,
    STREAMS,
    Columns,
)
from telemetry.log.port import Content, Encoding, Signal
from telemetry.wire.decoded import Decoded
from telemetry.wire.receive import receive
from tests.telemetry.otlp_json_form import as_json

TABLES: dict[str, Columns] = {
    "resources": RESOURCES,
    "scopes": SCOPES,
    "spans": SPANS,
    "streams": STREAMS,
    "points": POINTS,
    "histograms": HISTOGRAMS,
    "logs": LOGS,
}
MAX_BYTES = 20 << 20
_CODES = {"u8": "B", "u32": "I", "i32": "i", "u64": "Q", "i64": "q", "f64": "d"}


def received(signal: Signal, body: bytes, encoding: Encoding = "protobuf") -> Decoded:
    return receive(Content(signal, encoding), body, MAX_BYTES)


def in_both_forms(signal: Signal, request: Any) -> Decoded:
    """Decodes a request in protobuf, and checks that the same request in JSON gives the same rows."""
    decoded = received(signal, request.SerializeToString())
    assert received(signal, as_json(request), "json") == decoded
    return decoded


def rows(decoded: Decoded, table: str) -> list[dict[str, Any]]:
    """Rows by the names of columns; none where there is no batch."""
    if table not in decoded.batches:
        return []
    batch = decoded.batches[table]
    buffers = iter(batch.buffers)
    columns = {name: _column(kind, batch.rows, buffers) for name, kind in TABLES[table].items()}
    assert next(buffers, None) is None
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _column(kind: str, count: int, buffers: Iterator[bytes]) -> list[Any]:
    if kind == "id":
        content = next(buffers)
        return [content[16 * row : 16 * row + 16].hex() for row in range(count)]
    if kind in _CODES:
        return list(array(_CODES[kind], next(buffers)))
    offsets, content = array("i", next(buffers)), next(buffers)
    places = list(pairwise(offsets))
    if kind == "text":
        return [content[begin:end].decode() for begin, end in places]
    values = array(_CODES[kind[:-1]], content)
    return [list(values[begin:end]) for begin, end in places]


def attributes(span: dict[str, Any]) -> Any:
    """Returns the attributes of a row of `spans`."""
    fragments = span["fragments"].split("\x1e") if span["fragments"] else []
    return json.loads("{" + ",".join(fragments) + "}")
