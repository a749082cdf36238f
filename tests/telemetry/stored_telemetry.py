"""A warehouse with spans and metrics in it, written directly: what the road from a request to the store does, in
short."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from projections import span_store
from projections.attribute_pairs import joined
from projections.metrics import READ_MODEL as METRICS
from projections.plan import compile_plan, in_schema
from projections.spans import READ_MODEL as SPANS
from projections.traces import READ_MODEL as TRACES
from projections.warehouse import Warehouse
from tests.telemetry.otlp_requests import PlainSpan
from tests.telemetry.span_oracle import shown

SCHEMA = "telemetry.build_1"


class StoredTelemetry:
    """`add` spans, `move` some of them to the stored ones, read by `snapshot`."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = Warehouse.open(folder)
        self._next = 0
        with self.warehouse.write("telemetry") as transaction:
            transaction.run(f"CREATE SCHEMA {SCHEMA}")
            for ddl in compile_plan((SPANS, TRACES, METRICS)).ddl:
                transaction.run(in_schema(ddl, SCHEMA))
        self.warehouse.serve_telemetry(SCHEMA)

    def add(self, spans: Sequence[PlainSpan]) -> None:
        resources = {_id(span.resource): span.resource for span in spans}
        scopes = {_id(span.scope): span.scope for span in spans}
        with self.warehouse.write("telemetry") as transaction:
            for resource_id, resource in resources.items():
                transaction.run(
                    f"DELETE FROM {SCHEMA}.telemetry_resources WHERE resource_id = ?", [resource_id]
                )
                transaction.run(
                    f"INSERT INTO {SCHEMA}.telemetry_resources VALUES (?, ?, NULL)",
                    [resource_id, _text(resource)],
                )
            for scope_id, scope in scopes.items():
                transaction.run(f"DELETE FROM {SCHEMA}.telemetry_scopes WHERE scope_id = ?", [scope_id])
                transaction.run(
                    f"INSERT INTO {SCHEMA}.telemetry_scopes VALUES (?, ?, NULL, NULL, NULL)",
                    [scope_id, scope],
                )
            span_store.arrive(transaction, SCHEMA, self._columns(spans))

    def move(self, count: int) -> None:
        """Moves the oldest `count` spans that are recent."""
        with self.warehouse.write("telemetry") as transaction:
            rows = transaction.rows(
                f"SELECT number FROM {SCHEMA}.spans_recent ORDER BY number LIMIT ?", [count]
            )
            if rows:
                span_store.move(transaction, SCHEMA, rows[0][0], rows[-1][0])

    def add_streams(self, streams: Sequence[tuple[Any, ...]]) -> None:
        """Rows of `metric_streams`; labels as a dictionary."""
        with self.warehouse.write("telemetry") as transaction:
            for stream_id, name, unit, kind, temporality, is_monotonic, labels in streams:
                transaction.run(
                    f"INSERT INTO {SCHEMA}.metric_streams VALUES (?, ?, NULL, ?, ?, ?, ?, ?, 0, 0)",
                    [stream_id, name, unit, kind, temporality, is_monotonic, _text(labels)],
                )

    def add_rows(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Rows of `metric_points` or `metric_histograms`, the first columns of them."""
        with self.warehouse.write("telemetry") as transaction:
            known = f"SELECT column_name FROM duckdb_columns() WHERE database_name = 'telemetry' AND table_name = '{table}'"
            columns = [name for (name,) in transaction.rows(known)]
            for row in rows:
                named = ", ".join(columns[: len(row)])
                marks = ", ".join("?" * len(row))
                transaction.run(f"INSERT INTO {SCHEMA}.{table} ({named}) VALUES ({marks})", list(row))

    def clear(self) -> None:
        with self.warehouse.write("telemetry") as transaction:
            for table in (
                "spans_recent",
                "spans_stored",
                "span_pairs",
                "traces",
                "metric_streams",
                "metric_points",
                "metric_histograms",
            ):
                transaction.run(f"DELETE FROM {SCHEMA}.{table}")

    def close(self) -> None:
        self.warehouse.close()

    def _columns(self, spans: Sequence[PlainSpan]) -> dict[str, Any]:
        rows = [_row(self._next + number, span) for number, span in enumerate(spans)]
        self._next += len(rows)
        return {name: _array(name, [row[name] for row in rows]) for name in rows[0]}


_KINDS = {"number": "int64", "span_id": "uint64", "kind": "uint8", "status": "uint8", "start_ns": "int64",
          "end_ns": "int64", "resource_id": "uint64", "scope_id": "uint64", "size": "int32"}  # fmt: skip


def _row(number: int, span: PlainSpan) -> dict[str, Any]:
    attributes = {key: shown(value) for key, value in span.attributes.items()}
    text = _text(span.attributes)
    return {
        "number": number,
        "trace_id": span.trace_id,
        "span_id": span.span,
        "parent_span_id": span.parent,
        "name": span.name,
        "kind": span.kind,
        "status": span.status,
        "status_message": span.message or None,
        "start_ns": span.start_ns,
        "end_ns": span.end_ns,
        "resource_id": _id(span.resource),
        "scope_id": _id(span.scope),
        "request_model": attributes.get("gen_ai.request.model"),
        "response_model": attributes.get("gen_ai.response.model"),
        "input_tokens": attributes.get("gen_ai.usage.input_tokens"),
        "output_tokens": attributes.get("gen_ai.usage.output_tokens"),
        "attributes": text,
        "events": json.dumps(
            [{"time_ns": at, "name": name, "attributes": shown(more)} for at, name, more in span.events]
        )
        if span.events
        else None,
        "links": json.dumps(
            [
                {"trace_id": f"{trace:032x}", "span_id": f"{other:016x}", "attributes": shown(more)}
                for trace, other, more in span.links
            ]
        )
        if span.links
        else None,
        "size": len(text) + len(span.name),
        "pairs": joined(attributes),
    }


def _array(name: str, values: list[Any]) -> Any:
    if name in _KINDS:
        return np.array(values, dtype=_KINDS[name])
    if name in ("parent_span_id", "input_tokens", "output_tokens"):
        kind = "uint64" if name == "parent_span_id" else "int64"
        return np.ma.array(
            [value or 0 for value in values], mask=[value is None for value in values], dtype=kind
        )
    return np.array(values, dtype=object)


def _text(value: Any) -> str:
    return json.dumps(shown(value), ensure_ascii=False, separators=(",", ":"))


def _id(value: Any) -> int:
    return zlib.crc32(json.dumps(shown(value), sort_keys=True).encode())
